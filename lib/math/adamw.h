/* AdamW (arXiv 1711.05101) as PyTorch computes it:
 *	m = b1 m + (1 - b1) g
 *	v = b2 v + (1 - b2) g^2
 *	w -= lr wd w
 *	w -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) */
#ifndef BD_ADAMW_H
#define BD_ADAMW_H

#include <stddef.h>

struct bd_adamw {
	double beta1, beta2, eps, decay; /* set by the caller */
};

/* One step t (1 first) on w[n] with gradient scale * g[n], moments m, v[n]. decay applies when `decayed`.
 * Elementwise: any slicing gives the same bits. */
void bd_adamw_step(const struct bd_adamw *o, float *w, const float *g, float *m, float *v, size_t n,
                   double lr, int decayed, long t, float scale);
/* Sum of squares in double, in a fixed order, for the gradient norm. */
double bd_sum_squares(const float *g, size_t n);

#endif
