/* Linear layers, dense and ternary: y[T,N] = x[T,K] W[N,K]^T + bias[N]. */
#ifndef BD_OP_LINEAR_H
#define BD_OP_LINEAR_H

#include <stdint.h>

#include "machine/dev.h"

struct bd_dense {
	float *y;           /* [T,N] */
	const float *x, *w; /* [T,K], [N,K] */
	const float *bias;  /* [N] or NULL */
	size_t T, N, K;
	const uint16_t *half; /* if w is NULL: [N,K] in bf16 or f16 */
	bool bf16;
};
void bd_dense_forward(struct bd_dev *dev, const struct bd_dense *o);

/* dx = beta dx + dy W, dw += dy^T x, dbias += sum_t dy. For a ternary layer x is xhat and w is What: that is
 * the straight-through estimator (code of arXiv 2510.13998). */
struct bd_dense_grad {
	float *dx;               /* [T,K], NULL: not wanted */
	float beta;              /* 0 stores, 1 adds */
	float *dw;               /* [N,K] */
	float *dbias;            /* [N] or NULL */
	const float *dy, *x, *w; /* [T,N], [T,K], [N,K] */
	size_t T, N, K;
};
void bd_dense_backward(struct bd_dev *dev, const struct bd_dense_grad *o);

/* A batch of int8 activations (quant.h): q[T,kpad], step[T] = a/127, sum[T] of q; kpad =
 * bd_ternary_cols(K). */
struct bd_int8 {
	int8_t *q;
	float *step;
	int32_t *sum;
};

struct bd_quantise {
	struct bd_int8 q;
	const float *x; /* [T,K] */
	size_t T, K;
};
void bd_int8_forward(struct bd_dev *dev, const struct bd_quantise *o);

/* xhat[T,K] = q step. */
struct bd_dequantise {
	float *x;
	struct bd_int8 q;
	size_t T, K;
};
void bd_int8_dequant(struct bd_dev *dev, const struct bd_dequantise *o);

/* y = step scale (q C^T) + bias, the sums in integers. */
struct bd_ternary {
	float *y; /* [T,N] */
	struct bd_int8 q;
	const uint8_t *codes; /* [N, bd_ternary_stride(K)] */
	float scale;
	const float *bias; /* [N] or NULL */
	size_t T, N, K;
};
void bd_ternary_forward(struct bd_dev *dev, const struct bd_ternary *o);

/* Codes and scale of a master weight w[N,K] (quant.h), and What[N,K] if wanted; of n such weights. */
struct bd_ternarised {
	uint8_t *codes; /* [N, bd_ternary_stride(K)] */
	float *what;    /* NULL: not wanted */
	float *scale;   /* host */
	const float *w;
	size_t N, K;
};
struct bd_ternarise {
	const struct bd_ternarised *item; /* host, [n] */
	size_t n;
};
void bd_ternarise(struct bd_dev *dev, const struct bd_ternarise *o);

/* Codes before and now: how many differ, and how many are -1, 0, +1 now; then `before` is set to the codes of
 * now. */
struct bd_code_change {
	uint8_t *before;
	const uint8_t *codes; /* [N, bd_ternary_stride(K)] */
	size_t N, K;
	uint64_t flips, count[3]; /* out */
};
struct bd_code_changes {
	struct bd_code_change *item; /* host, [n] */
	size_t n;
};
void bd_code_look(struct bd_dev *dev, const struct bd_code_changes *o);

extern const struct bd_op bd_op_dense_forward, bd_op_dense_backward, bd_op_int8_forward, bd_op_int8_dequant,
    bd_op_ternary_forward, bd_op_ternarise, bd_op_code_look;

#endif
