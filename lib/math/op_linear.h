/* Linear layers, dense and ternary: y[T,N] = x[T,K] W[N,K]^T + bias[N]. */
#ifndef BD_OP_LINEAR_H
#define BD_OP_LINEAR_H

#include "machine/kern.h"
#include "machine/par.h"

#include <stdint.h>

/* Dense, through gemm.h. bias may be NULL. */
void bd_linear_forward(struct bd_par *par, float *y, const float *x, const float *w, const float *bias,
                       size_t T, size_t N, size_t K);
/* dx[T,K] += dy W (dx NULL: not wanted; beta 0 stores), dw[N,K] += dy^T x, dbias[N] += sum_t dy (NULL: none).
 * For a ternary layer x is xhat and w is What: that is the straight-through estimator (method of arXiv
 * 2510.13998 code). */
void bd_linear_backward(struct bd_par *par, float *dx, float beta, float *dw, float *dbias, const float *dy,
                        const float *x, const float *w, size_t T, size_t N, size_t K);

/* A batch of int8 activations: q[T,kpad], step[T] = a/127, sum[T]. */
struct bd_int8 {
	int8_t *q;
	float *step;
	int32_t *sum;
};
/* q from x[T,K]. */
void bd_int8_forward(const struct bd_kern *k, struct bd_int8 *q, const float *x, size_t T, size_t K);
/* xhat[T,K] = q step, rows [0,T). */
void bd_int8_dequant(float *x, const struct bd_int8 *q, size_t T, size_t K);
/* y[T,N] = step scale (q C^T) + bias, in integers; split over par by output rows when T is small, else by
 * tokens. */
void bd_ternary_forward(struct bd_par *par, const struct bd_kern *k, float *y, const struct bd_int8 *q,
                        const uint8_t *codes, float scale, const float *bias, size_t T, size_t N, size_t K);

#endif
