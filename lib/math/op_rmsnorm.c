/* RMSNorm forward and backward. */
#include "math/op_rmsnorm.h"

void bd_rmsnorm_forward(const struct bd_kern *k, float *y, float *r, const float *x, const float *gain,
                        float eps, size_t T, size_t n)
{
	for (size_t t = 0; t < T; t++) {
		float rt = k->rmsnorm(y + t * n, x + t * n, gain, eps, n);

		if (r != NULL)
			r[t] = rt;
	}
}

static inline float gain_at(const float *gain, size_t i)
{
	return gain != NULL ? gain[i] : 1;
}

/* sum_i dy gain x, in 16 lanes: a fixed order that vectorises. */
static float dot3(const float *dy, const float *gain, const float *x, size_t n)
{
	float lane[16] = {0}, sum = 0;
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (size_t l = 0; l < 16; l++)
			lane[l] += dy[i + l] * gain_at(gain, i + l) * x[i + l];
	for (size_t l = 0; i < n; i++, l++)
		lane[l] += dy[i] * gain_at(gain, i) * x[i];
	for (size_t l = 0; l < 16; l++)
		sum += lane[l];
	return sum;
}

void bd_rmsnorm_backward(float *dx, float *dgain, const float *dy, const float *x, const float *r,
                         const float *gain, size_t T, size_t n, int overwrite)
{
	for (size_t t = 0; t < T; t++, dx += n, dy += n, x += n) {
		/* r (dn - nx mean(dn nx)) = r dn - c x */
		float rt = r[t], c = rt * rt * rt * (dot3(dy, gain, x, n) / (float)n);

		if (dgain != NULL) /* before dx, which may be dy */
			for (size_t i = 0; i < n; i++)
				dgain[i] += dy[i] * (x[i] * rt);
		if (overwrite)
			for (size_t i = 0; i < n; i++)
				dx[i] = rt * (dy[i] * gain_at(gain, i)) - c * x[i];
		else
			for (size_t i = 0; i < n; i++)
				dx[i] += rt * (dy[i] * gain_at(gain, i)) - c * x[i];
	}
}
