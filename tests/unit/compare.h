/* Computed numbers against golden ones. Gradients of one tensor span many orders of magnitude and small
 * entries are the difference of large ones, so an error counts relative to the largest value of the tensor.
 */
#ifndef BD_TEST_COMPARE_H
#define BD_TEST_COMPARE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct match {
	bool same;
	size_t at;    /* the worst element */
	double error; /* max |got - want| / max |want|; INFINITY if that is not a number */
};

/* same: n > 0, every number is finite, and max |got - want| <= tol max |want|. So where zeros are wanted only
 * zeros do. */
static inline struct match compare(const float *got, const float *want, size_t n, double tol)
{
	struct match m = {.same = n > 0};
	double largest = 0, worst = -1;

	for (size_t i = 0; i < n; i++) {
		double d = fabs((double)got[i] - (double)want[i]);

		if (!isfinite(d))
			return (struct match){false, i, INFINITY};
		if (d > worst) {
			worst = d;
			m.at = i;
		}
		largest = fmax(largest, fabs((double)want[i]));
	}
	m.error = worst <= 0 ? 0 : worst / largest;
	m.same = m.same && worst <= tol * largest;
	return m;
}

/* The same, with a sentence on stderr when it is not. cols: of the tensor, for the place (0: a vector). */
static inline bool agrees(const char *what, const float *got, const float *want, size_t n, size_t cols,
                          double tol)
{
	struct match m = compare(got, want, n, tol);

	if (m.same)
		return true;
	if (n == 0)
		fprintf(stderr, "%s: nothing to compare\n", what);
	else
		fprintf(stderr, "%s[%zu,%zu] is %g, should be %g: %.1e of the largest, %.0e allowed\n", what,
		        cols ? m.at / cols : 0, cols ? m.at % cols : m.at, (double)got[m.at],
		        (double)want[m.at], m.error, tol);
	return false;
}

#endif
