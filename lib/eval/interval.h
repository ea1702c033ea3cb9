/* 95% confidence intervals. */
#ifndef BD_INTERVAL_H
#define BD_INTERVAL_H

#include <stddef.h>
#include <stdint.h>

struct bd_interval {
	double low, high;
};
/* Wilson's, for k correct ones among n > 0. */
struct bd_interval bd_wilson(double k, double n);

/* Percentile bootstrap (B. Efron, 1979): examples are drawn with replacement BD_RESAMPLES times. x[n,k]: the
 * values of each example, n > 0; f computes stat[m] from the sums over the n drawn ones. out[m]; the same
 * seed gives the same intervals. */
enum { BD_RESAMPLES = 1000 };
typedef void bd_statistic(void *ctx, const double *sum, size_t n, double *stat);
void bd_bootstrap(struct bd_interval *out, size_t m, const double *x, size_t n, size_t k, uint64_t seed,
                  bd_statistic *f, void *ctx);

#endif
