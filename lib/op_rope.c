/* Rotary position embedding: the table of angles and the rotation. */
#include "op_rope.h"

#include <math.h>

/* Inverse frequency of pair i of D/2, in radians per position (HF modeling_rope_utils). */
static double inv_freq(const struct bd_config *c, size_t i)
{
	double inv = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
	if (c->rope == BD_ROPE_LINEAR)
		return inv / c->rope_factor;
	if (c->rope != BD_ROPE_LLAMA3)
		return inv;
	/* Waves shorter than original/high stay, those longer than original/low stretch by factor, between
	 * them a blend. */
	double turns = c->rope_original * inv / (2 * M_PI); /* over the original context */
	double keep = (turns - c->rope_low) / (c->rope_high - c->rope_low);
	keep = keep < 0 ? 0 : keep > 1 ? 1 : keep;
	return keep * inv + (1 - keep) * inv / c->rope_factor;
}

void bd_rope_table(float *cos_, float *sin_, const struct bd_config *c, size_t n)
{
	size_t half = (size_t)c->head_dim / 2;
	for (size_t i = 0; i < half; i++) {
		double inv = inv_freq(c, i);
		for (size_t t = 0; t < n; t++) {
			cos_[t * half + i] = (float)cos((double)t * inv);
			sin_[t * half + i] = (float)sin((double)t * inv);
		}
	}
}

/* x[T, heads, D] turned by sign * angle. */
static void rotate(float *x, const uint32_t *pos, const float *cos_, const float *sin_, float sign, size_t T,
                   size_t heads, size_t D)
{
	size_t half = D / 2;
	for (size_t t = 0; t < T; t++) {
		const float *c = cos_ + pos[t] * half, *s = sin_ + pos[t] * half;
		for (size_t h = 0; h < heads; h++, x += D)
			for (size_t i = 0; i < half; i++) {
				float a = x[i], b = x[half + i], si = sign * s[i];
				x[i] = a * c[i] - b * si;
				x[half + i] = b * c[i] + a * si;
			}
	}
}

void bd_rope_forward(float *x, const uint32_t *pos, const float *cos, const float *sin, size_t T,
                     size_t heads, size_t D)
{
	rotate(x, pos, cos, sin, 1, T, heads, D);
}

void bd_rope_backward(float *dx, const uint32_t *pos, const float *cos, const float *sin, size_t T,
                      size_t heads, size_t D)
{
	rotate(dx, pos, cos, sin, -1, T, heads, D);
}
