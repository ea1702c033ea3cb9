/* AdamW: PyTorch's order of operations (torch/optim/adamw.py, single tensor), so a run can be checked against
 * it. */
#include "math/adamw.h"

#include <math.h>

void bd_adamw_step(const struct bd_adamw *o, float *w, const float *g, float *m, float *v, size_t n,
                   double lr, int decayed, long t, float scale)
{
	float keep = decayed ? (float)(1 - lr * o->decay) : 1;
	float c1 = (float)(1 - o->beta1), b2 = (float)o->beta2, c2 = (float)(1 - o->beta2),
	      eps = (float)o->eps;
	float step = (float)(-lr / (1 - pow(o->beta1, (double)t)));
	float root = (float)sqrt(1 - pow(o->beta2, (double)t));

	for (size_t i = 0; i < n; i++) {
		float gi = g[i] * scale;
		float mi = m[i] + c1 * (gi - m[i]);
		float vi = v[i] * b2 + c2 * gi * gi;

		m[i] = mi;
		v[i] = vi;
		w[i] = w[i] * keep + step * mi / (sqrtf(vi) / root + eps);
	}
}

double bd_sum_squares(const float *g, size_t n)
{
	double lane[8] = {0};
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		for (size_t l = 0; l < 8; l++)
			lane[l] += (double)g[i + l] * (double)g[i + l];
	for (size_t l = 0; i < n; i++, l++)
		lane[l] += (double)g[i] * (double)g[i];
	return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}
