/* RMSNorm over rows: y = gain * (x r), r = 1 / sqrt(mean(x^2) + eps)  (arXiv 1910.07467; method of HF
 * LlamaRMSNorm). */
#ifndef BD_OP_RMSNORM_H
#define BD_OP_RMSNORM_H

#include "machine/kern.h"

/* y[T,n], r[T] from x[T,n], gain[n] (NULL: ones). y may be x. r may be NULL. */
void bd_rmsnorm_forward(const struct bd_kern *k, float *y, float *r, const float *x, const float *gain,
                        float eps, size_t T, size_t n);
/* dx[T,n] += r (dn - nx mean(dn nx)), nx = x r, dn = dy gain;  dgain[n] += sum_t dy nx (dgain NULL: not
 * wanted). dx may be dy itself only when `overwrite` is true, which stores instead of adding. */
void bd_rmsnorm_backward(float *dx, float *dgain, const float *dy, const float *x, const float *r,
                         const float *gain, size_t T, size_t n, int overwrite);

#endif
