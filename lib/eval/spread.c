/* Order statistics. */
#include "eval/spread.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Of sorted v[n]. */
static double quantile(const double *v, size_t n, double p)
{
	double at = p * (double)(n - 1), whole = floor(at);
	size_t i = (size_t)whole;

	return i + 1 < n ? v[i] + (at - whole) * (v[i + 1] - v[i]) : v[i];
}

struct bd_spread bd_spread(const double *v, size_t n)
{
	struct bd_spread s = {NAN, NAN, NAN, NAN, NAN};
	double *sorted = bd_alloc(n, sizeof(*v));

	for (size_t i = 0; i < n; i++)
		if (isnan(v[i])) /* not measured */
			n = 0;
	if (n > 0) {
		memcpy(sorted, v, n * sizeof(*v));
		qsort(sorted, n, sizeof(*v), compare);
		s = (struct bd_spread){quantile(sorted, n, 0.5), sorted[0], sorted[n - 1],
		                       quantile(sorted, n, 0.25), quantile(sorted, n, 0.75)};
	}
	bd_free(sorted);
	return s;
}

struct bd_spread bd_spread_ratio(const double *a, const double *b, size_t n)
{
	double *r = bd_alloc(n, sizeof(*r));
	struct bd_spread s;

	for (size_t i = 0; i < n; i++)
		r[i] = a[i] / b[i];
	s = bd_spread(r, n);
	bd_free(r);
	return s;
}
