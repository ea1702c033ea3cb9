/* The optimisers: one step over a block of parameters, and the norm of the gradient. They are one list; each
 * has a file in optim/. */
#ifndef BD_OPTIM_H
#define BD_OPTIM_H

#include <stdbool.h>

#include "base/word.h"
#include "machine/dev.h"

/* Its word as an option, its function. */
#define BD_OPTIM_LIST(W) W(BD_OPTIM_ADAMW, "adamw", bd_adamw_update)
#define BD_OPTIM_NAMES   BD_WORDS(BD_OPTIM_LIST)

enum bd_optim_kind { BD_OPTIM_LIST(BD_WORD_ID) };

/* Set by the caller. */
struct bd_optim {
	enum bd_optim_kind kind;
	double beta1, beta2, eps, decay;
};

/* Parameters w[off .. off + n) of one kind: with weight decay or without. */
struct bd_optim_range {
	size_t off, n;
	bool decayed;
};

/* Step t (1 first) on w with gradient scale * g and moments m, v, zero at first; g is zero afterwards.
 * Elementwise: any slicing gives the same bits. */
struct bd_optim_step {
	struct bd_optim optim;
	float *w, *g, *m, *v; /* [n] */
	size_t n;
	const struct bd_optim_range
	    *range; /* host, [n_range] in order of off; what lies between them is left as it is */
	size_t n_range;
	double lr;
	long t;
	float scale;
};
void bd_optim_step(struct bd_dev *dev, const struct bd_optim_step *o);

/* *norm = ||g||, summed in a fixed order: the same for any number of threads. */
struct bd_grad_norm {
	double *norm; /* host */
	const float *g;
	size_t n;
};
void bd_grad_norm(struct bd_dev *dev, const struct bd_grad_norm *o);

/* The functions of the list: w, m, v of parameters [a, b) after the step; g is left to the caller. */
typedef void bd_optim_fn(const struct bd_optim_step *o, size_t a, size_t b, bool decayed);
#define BD_OPTIM_DECLARE(id, word, fn) bd_optim_fn fn;
BD_OPTIM_LIST(BD_OPTIM_DECLARE)

extern const struct bd_op bd_op_optim_step, bd_op_grad_norm;

#endif
