/* Confidence intervals: Wilson's for shares, the bootstrap for everything else. */
#include "eval/interval.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bd_interval bd_wilson(double k, double n)
{
	const double z = 1.959963984540054;
	double p = k / n, centre = p + z * z / (2 * n), scale = 1 + z * z / n;
	double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));

	return (struct bd_interval){k > 0 ? (centre - half) / scale : 0, k < n ? (centre + half) / scale : 1};
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between the two values of sorted x[n] around place q (n - 1). */
static double quantile(const double *x, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[i];
}

void bd_bootstrap(struct bd_interval *out, size_t m, const double *x, size_t n, size_t k, uint64_t seed,
                  bd_statistic *f, void *ctx)
{
	double *sum = bd_alloc(k, sizeof(*sum)), *stat = bd_alloc(m, sizeof(*stat));
	double *all = bd_alloc(bd_mul(m, BD_RESAMPLES), sizeof(*all)); /* [m, BD_RESAMPLES] */

	for (size_t b = 0; b < BD_RESAMPLES; b++) {
		memset(sum, 0, k * sizeof(*sum));
		for (size_t i = 0; i < n; i++) {
			const double *row = x + bd_rng_below(seed, b, i, n) * k;

			for (size_t j = 0; j < k; j++)
				sum[j] += row[j];
		}
		f(ctx, sum, n, stat);
		for (size_t i = 0; i < m; i++)
			all[i * BD_RESAMPLES + b] = stat[i];
	}
	for (size_t i = 0; i < m; i++) {
		double *v = all + i * BD_RESAMPLES;

		qsort(v, BD_RESAMPLES, sizeof(*v), compare);
		out[i] =
		    (struct bd_interval){quantile(v, BD_RESAMPLES, 0.025), quantile(v, BD_RESAMPLES, 0.975)};
	}
	bd_free(sum);
	bd_free(stat);
	bd_free(all);
}
