/* The optimiser's arithmetic: AdamW (arXiv 1711.05101) as PyTorch computes it, and the norm of the gradient.
 *	m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
 *	w -= lr wd w;  w -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) */
#ifndef BD_ADAMW_H
#define BD_ADAMW_H

#include <stdbool.h>

#include "machine/dev.h"

struct bd_adamw {
	double beta1, beta2, eps, decay; /* set by the caller */
};

/* Parameters w[off .. off + n) of one kind: with weight decay or without. */
struct bd_adamw_range {
	size_t off, n;
	bool decayed;
};

/* Step t (1 first) on w with gradient scale * g and moments m, v; g is zero afterwards. Elementwise: any
 * slicing gives the same bits. */
struct bd_adamw_step {
	struct bd_adamw adamw;
	float *w, *g, *m, *v; /* [n] */
	size_t n;
	const struct bd_adamw_range
	    *range; /* host, [n_range] in order of off; what lies between them is left as it is */
	size_t n_range;
	double lr;
	long t;
	float scale;
};
void bd_adamw_step(struct bd_dev *dev, const struct bd_adamw_step *o);

/* *norm = ||g||, summed in a fixed order: the same for any number of threads. */
struct bd_grad_norm {
	double *norm; /* host */
	const float *g;
	size_t n;
};
void bd_grad_norm(struct bd_dev *dev, const struct bd_grad_norm *o);

extern const struct bd_op bd_op_adamw_step, bd_op_grad_norm;

#endif
