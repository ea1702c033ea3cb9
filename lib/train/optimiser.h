/* One optimiser step over all parameters of a model: the gradient's norm, clipping, AdamW, and zeroing for
 * the next step. */
#ifndef BD_OPTIMISER_H
#define BD_OPTIMISER_H

#include "machine/par.h"
#include "math/adamw.h"
#include "model/model.h"

struct bd_optimiser {
	struct bd_adamw adamw;
	double clip;         /* largest gradient norm; 0: off */
	float *grad, *m, *v; /* [n] gradient (zero at first), moments */
	size_t n;
	double *part; /* partial sums of the norm */
};
struct bd_optimiser bd_optimiser_new(const struct bd_model *m, const struct bd_adamw *o, double clip);
void bd_optimiser_free(struct bd_optimiser *u);

/* ||grad||, summed in a fixed order: the same for any number of threads. */
double bd_optimiser_norm(const struct bd_optimiser *u, struct bd_par *par);
/* Step t (1 first) at rate lr, given the norm; grad is zero afterwards. Gains and biases are not decayed. */
void bd_optimiser_step(struct bd_optimiser *u, struct bd_par *par, struct bd_model *m, double norm, double lr,
                       long t);
void bd_optimiser_zero(struct bd_optimiser *u, struct bd_par *par);

#endif
