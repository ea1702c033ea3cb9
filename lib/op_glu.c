/* SwiGLU forward and backward. */
#include "op_glu.h"

#include <math.h>

void bd_glu_forward(const struct bd_kern *k, float *out, const float *gate, const float *up, size_t n)
{
	k->silu_mul(out, gate, up, n);
}

/* With s = sigmoid(g): silu = g s, silu' = s (1 + g (1 - s)). */
void bd_glu_backward(const struct bd_kern *k, float *dgate, float *dup, const float *dout, const float *gate,
                     const float *up, size_t n)
{
	enum { CHUNK = 512 };
	float e[CHUNK];
	for (size_t i0 = 0; i0 < n; i0 += CHUNK) {
		size_t m = n - i0 < CHUNK ? n - i0 : CHUNK;
		for (size_t i = 0; i < m; i++)
			e[i] = -fabsf(gate[i0 + i]);
		k->vexp(e, e, m); /* in (0, 1]: cannot overflow */
		for (size_t i = 0; i < m; i++) {
			float g = gate[i0 + i], u = up[i0 + i], d = dout[i0 + i];
			float s = (g < 0 ? e[i] : 1) / (1 + e[i]);
			dgate[i0 + i] = d * u * (s * (1 + g * (1 - s)));
			dup[i0 + i] = d * (g * s);
		}
	}
}
