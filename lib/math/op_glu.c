/* Gated activations, forward and backward. */
#include "math/op_glu.h"

#include <math.h>

enum { CHUNK = 512 };

/* silu and GELU are both g s, s = sigmoid(z(g)), with z(g) = g or 2u; its derivative is s
 * (1 + g (1 - s) z'). */
static float z_of(enum bd_act act, float g)
{
	return act == BD_SILU ? g : 1.5957691216f * (g + 0.044715f * g * g * g); /* 2 sqrt(2/pi) */
}

static float dz_of(enum bd_act act, float g)
{
	return act == BD_SILU ? 1 : 1.5957691216f * (1 + 0.134145f * g * g);
}

/* s[n] = sigmoid(z(gate)), n <= CHUNK. The exponential is in (0, 1]: it cannot overflow. */
static void sigmoid(const struct bd_kern *k, enum bd_act act, float *s, const float *gate, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s[i] = -fabsf(z_of(act, gate[i]));
	k->vexp(s, s, n);
	for (size_t i = 0; i < n; i++)
		s[i] = (gate[i] < 0 ? s[i] : 1) / (1 + s[i]); /* z has the sign of g */
}

static size_t chunk(size_t n, size_t i)
{
	return n - i < CHUNK ? n - i : CHUNK;
}

static void forward_tokens(struct bd_cpu *cpu, const void *operands, size_t t0, size_t t1, int slice)
{
	const struct bd_glu *o = operands;
	size_t n = (t1 - t0) * o->F;
	const float *gate = o->gate + t0 * o->F, *up = o->up + t0 * o->F;
	float *out = o->out + t0 * o->F, s[CHUNK];

	(void)slice;
	if (o->act == BD_SILU) {
		cpu->kern->silu_mul(out, gate, up, n);
		return;
	}
	for (size_t i0 = 0; o->act == BD_GELU_TANH && i0 < n; i0 += CHUNK) {
		sigmoid(cpu->kern, o->act, s, gate + i0, chunk(n, i0));
		for (size_t i = i0; i < i0 + chunk(n, i0); i++)
			out[i] = gate[i] * s[i - i0] * up[i];
	}
	for (size_t i = 0; o->act == BD_RELU2 && i < n; i++) {
		float r = gate[i] > 0 ? gate[i] : 0;

		out[i] = r * r * up[i];
	}
}

static void backward_tokens(struct bd_cpu *cpu, const void *operands, size_t t0, size_t t1, int slice)
{
	const struct bd_glu_grad *o = operands;
	size_t at = t0 * o->F, n = (t1 - t0) * o->F;
	const float *dout = o->dout + at, *gate = o->gate + at, *up = o->up + at;
	float *dgate = o->dgate + at, *dup = o->dup + at, s[CHUNK];

	(void)slice;
	for (size_t i0 = 0; o->act != BD_RELU2 && i0 < n; i0 += CHUNK) {
		sigmoid(cpu->kern, o->act, s, gate + i0, chunk(n, i0));
		for (size_t i = i0; i < i0 + chunk(n, i0); i++) {
			float g = gate[i], u = up[i], d = dout[i], si = s[i - i0];

			dgate[i] = d * u * (si * (1 + g * (1 - si) * dz_of(o->act, g)));
			dup[i] = d * (g * si);
		}
	}
	for (size_t i = 0; o->act == BD_RELU2 && i < n; i++) {
		float r = gate[i] > 0 ? gate[i] : 0, u = up[i], d = dout[i];

		dgate[i] = d * u * (2 * r);
		dup[i] = d * (r * r);
	}
}

static void forward(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_glu *)operands)->T, forward_tokens, operands);
}

static void backward(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_glu_grad *)operands)->T, backward_tokens, operands);
}

const struct bd_op bd_op_glu_forward = {"glu_forward", forward},
                   bd_op_glu_backward = {"glu_backward", backward};

void bd_glu_forward(struct bd_dev *dev, const struct bd_glu *o)
{
	bd_dev_run(dev, &bd_op_glu_forward, o);
}

void bd_glu_backward(struct bd_dev *dev, const struct bd_glu_grad *o)
{
	bd_dev_run(dev, &bd_op_glu_backward, o);
}
