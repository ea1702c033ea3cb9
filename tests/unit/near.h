/* Numbers for the tests of the maths: reproducible inputs, a comparison that is shown a wrong answer each
 * time it is used, and gradients by central differences in double. */
#ifndef BD_TEST_NEAR_H
#define BD_TEST_NEAR_H

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* x[n], normal with this standard deviation, a new stream at each call. */
static inline float *normal(size_t n, double sd)
{
	static uint64_t stream;
	float *x = bd_alloc(n + 1, sizeof(*x));

	stream++;
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(sd * bd_rng_normal(7, stream, i));
	return x;
}

static inline double *doubles(const float *x, size_t n)
{
	double *d = bd_zalloc(n + 1, sizeof(*d));

	for (size_t i = 0; x != NULL && i < n; i++)
		d[i] = (double)x[i];
	return d;
}

static inline float *copy_of(const float *x, size_t n)
{
	return memcpy(bd_alloc(n + 1, sizeof(*x)), x, n * sizeof(*x));
}

/* Every element within tol * (its size + the largest size)? */
static inline bool near(const float *got, const double *want, size_t n, double tol)
{
	double max = 0;

	for (size_t i = 0; i < n; i++)
		max = fmax(max, fabs(want[i]));
	for (size_t i = 0; i < n; i++)
		if (!(fabs((double)got[i] - want[i]) <= tol * (fabs(want[i]) + max))) {
			return false;
		}
	return true;
}

static inline void report_worst(const char *what, const float *got, const double *want, size_t n)
{
	size_t worst = 0;

	for (size_t i = 0; i < n; i++)
		if (!(fabs((double)got[i] - want[i]) <= fabs((double)got[worst] - want[worst])))
			worst = i;
	print_error("%s: [%zu] of %zu is %.9g, expected %.9g\n", what, worst, n, (double)got[worst],
	            want[worst]);
}

/* got[n] is near want[n]; one changed element, and zeros, are not. */
static inline void assert_near(const char *what, const float *got, const double *want, size_t n, double tol)
{
	double max = 0;

	for (size_t i = 0; i < n; i++)
		max = fmax(max, fabs(want[i]));
	if (!near(got, want, n, tol)) {
		report_worst(what, got, want, n);
		fail();
	}
	float *bad = copy_of(got, n);
	bad[n / 2] += (float)(8 * tol * (fabs(want[n / 2]) + max) + 1e-30);
	assert_false(near(bad, want, n, tol));
	bad[n / 2] = NAN;
	assert_false(near(bad, want, n, tol));
	memset(bad, 0, n * sizeof(*bad));
	assert_int_equal(near(bad, want, n, tol), max == 0.0);
	bd_free(bad);
}

static inline void assert_near1(const char *what, double got, double want, double tol)
{
	float g = (float)got;

	assert_near(what, &g, &want, 1, tol);
}

static inline void assert_same(const char *what, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(a + i, b + i, sizeof(*a))) {
			print_error("%s: [%zu] of %zu is %.9g and %.9g\n", what, i, n, (double)a[i],
			            (double)b[i]);
			fail();
		}
}

/* start[n] + df/dx[n]: what an accumulating backward must leave. x is restored. */
static inline double *gradient(double (*f)(void *), void *ctx, double *x, size_t n, const float *start)
{
	double *g = doubles(start, n), h = 1e-5;

	for (size_t i = 0; i < n; i++) {
		double keep = x[i];

		x[i] = keep + h;
		double up = f(ctx);
		x[i] = keep - h;
		double down = f(ctx);
		x[i] = keep;
		g[i] += (up - down) / (2 * h);
	}
	return g;
}

#endif
