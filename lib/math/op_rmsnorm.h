/* RMSNorm over rows: y = gain * (x r), r = 1 / sqrt(mean(x^2) + eps) (arXiv 1910.07467; method
 * of HF LlamaRMSNorm). */
#ifndef BD_OP_RMSNORM_H
#define BD_OP_RMSNORM_H

#include <stdbool.h>

#include "machine/dev.h"

struct bd_rmsnorm {
	float *y;          /* [rows,n], may be x */
	float *r;          /* [rows], NULL: not wanted */
	const float *x;    /* [rows,n] */
	const float *gain; /* [n], NULL: ones */
	float eps;
	size_t rows, n;
};
void bd_rmsnorm_forward(struct bd_dev *dev, const struct bd_rmsnorm *o);

/* dx (+)= r (dn - nx mean(dn nx)), nx = x r, dn = dy gain;  dgain += sum over rows of dy nx. */
struct bd_rmsnorm_grad {
	float *dx;             /* [rows,n]; dy itself only if `store` */
	float *dgain;          /* [n], NULL: not wanted */
	const float *dy, *x;   /* [rows,n] */
	const float *r, *gain; /* [rows]; [n] or NULL */
	size_t rows, n;
	bool store; /* dx = instead of += */
};
void bd_rmsnorm_backward(struct bd_dev *dev, const struct bd_rmsnorm_grad *o);

extern const struct bd_op bd_op_rmsnorm_forward, bd_op_rmsnorm_backward;

#endif
