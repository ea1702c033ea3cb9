/* One optimiser step over all parameters of a model: the gradient's norm, clipping, the update, and
 * zeroing for the next step. */
#ifndef BD_OPTIMISER_H
#define BD_OPTIMISER_H

#include "math/optim.h"
#include "model/model.h"

struct bd_optimiser {
	struct bd_dev *dev;
	struct bd_optim optim;
	double clip;         /* largest gradient norm; 0: off */
	float *grad, *m, *v; /* device, [n] gradient (zero at first), moments */
	size_t n;
	struct bd_optim_range *range; /* [n_range] one for each parameter of the model */
	size_t n_range;
};
struct bd_optimiser bd_optimiser_new(const struct bd_model *m, struct bd_dev *dev, const struct bd_optim *o,
                                     double clip);
void bd_optimiser_free(struct bd_optimiser *u);

/* ||grad||. */
double bd_optimiser_norm(const struct bd_optimiser *u);
/* Step t (1 first) at rate lr on params (layout of m->data, the device's), given the norm; grad is zero
 * afterwards. Gains and biases are not decayed. */
void bd_optimiser_step(struct bd_optimiser *u, float *params, double norm, double lr, long t);
void bd_optimiser_zero(struct bd_optimiser *u);

#endif
