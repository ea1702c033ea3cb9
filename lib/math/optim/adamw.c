/* AdamW (arXiv 1711.05101) in PyTorch's order of operations (torch/optim/adamw.py, single tensor), so that a
 * run can be checked against it.
 *	m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
 *	w -= lr wd w;  w -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) */
#include "math/optim.h"

#include <math.h>

void bd_adamw_update(const struct bd_optim_step *o, size_t a, size_t b, bool decayed)
{
	const struct bd_optim *x = &o->optim;
	float keep = decayed ? (float)(1 - o->lr * x->decay) : 1;
	float c1 = (float)(1 - x->beta1), b2 = (float)x->beta2, c2 = (float)(1 - x->beta2),
	      eps = (float)x->eps;
	float step = (float)(-o->lr / (1 - pow(x->beta1, (double)o->t)));
	float root = (float)sqrt(1 - pow(x->beta2, (double)o->t));
	float *w = o->w + a, *m = o->m + a, *v = o->v + a;
	const float *g = o->g + a;

	for (size_t i = 0; i < b - a; i++) {
		float gi = g[i] * o->scale;
		float mi = m[i] + c1 * (gi - m[i]);
		float vi = v[i] * b2 + c2 * gi * gi;

		m[i] = mi;
		v[i] = vi;
		w[i] = w[i] * keep + step * mi / (sqrtf(vi) / root + eps);
	}
}
