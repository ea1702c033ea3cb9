/* Rotary position embedding: the table of angles and the rotation. */
#include "math/op_rope.h"

#include <math.h>

/* Frequencies are in radians per position, those of HF modeling_rope_utils; pair i of D/2. */

static double clamp01(double x)
{
	return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* Waves shorter than original/high stay, those longer than original/low stretch by factor, with a blend
 * between them. */
static double keep_llama3(const struct bd_rope *r, double inv)
{
	double turns = r->original * inv / (2 * M_PI); /* over the original context */
	return clamp01((turns - r->low) / (r->high - r->low));
}

/* The pair, counted continuously, that makes this many turns over the original context. */
static double yarn_pair(const struct bd_rope *r, double turns, double D)
{
	return D * log(r->original / (turns * 2 * M_PI)) / (2 * log(r->theta));
}

/* YaRN (arXiv 2309.00071, section 3.2): pairs up to `first` stay, from `last` on they stretch by factor, with
 * a ramp between them. */
static double keep_yarn(const struct bd_rope *r, double i, double D)
{
	double first = yarn_pair(r, r->high, D), last = yarn_pair(r, r->low, D);
	if (r->truncate)
		first = floor(first), last = ceil(last);
	first = fmax(first, 0), last = fmin(last, D - 1);
	if (first == last)
		last += 0.001;
	return 1 - clamp01((i - first) / (last - first));
}

static double inv_freq(const struct bd_rope *r, size_t i, size_t D)
{
	double inv = pow(r->theta, -2.0 * (double)i / (double)D);
	double keep = r->kind == BD_ROPE_LLAMA3 ? keep_llama3(r, inv)
	              : r->kind == BD_ROPE_YARN ? keep_yarn(r, (double)i, (double)D)
	                                        : 0;
	return r->kind == BD_ROPE_DEFAULT ? inv : keep * inv + (1 - keep) * inv / r->factor;
}

void bd_rope_table(float *cos_, float *sin_, const struct bd_rope *r, size_t D, size_t n)
{
	size_t half = D / 2;
	for (size_t i = 0; i < half; i++) {
		double inv = inv_freq(r, i, D);
		for (size_t t = 0; t < n; t++) {
			cos_[t * half + i] = (float)(r->attention * cos((double)t * inv));
			sin_[t * half + i] = (float)(r->attention * sin((double)t * inv));
		}
	}
}

/* x[T, heads, D] turned by sign * angle. */
static void rotate(const struct bd_rope_turn *o, float *x, size_t heads, float sign, size_t t0, size_t t1)
{
	size_t half = o->D / 2;

	if (heads == 0) /* and x may be NULL */
		return;
	x += t0 * heads * o->D;
	for (size_t t = t0; t < t1; t++) {
		const float *c = o->cos + o->pos[t] * half, *s = o->sin + o->pos[t] * half;

		for (size_t h = 0; h < heads; h++, x += o->D)
			for (size_t i = 0; i < half; i++) {
				float a = x[i], b = x[half + i], si = sign * s[i];

				x[i] = a * c[i] - b * si;
				x[half + i] = b * c[i] + a * si;
			}
	}
}

static void forward_tokens(struct bd_cpu *cpu, const void *operands, size_t t0, size_t t1, int slice)
{
	const struct bd_rope_turn *o = operands;

	(void)cpu, (void)slice;
	rotate(o, o->q, o->H, 1, t0, t1);
	rotate(o, o->k, o->G, 1, t0, t1);
}

static void backward_tokens(struct bd_cpu *cpu, const void *operands, size_t t0, size_t t1, int slice)
{
	const struct bd_rope_turn *o = operands;

	(void)cpu, (void)slice;
	rotate(o, o->q, o->H, -1, t0, t1);
	rotate(o, o->k, o->G, -1, t0, t1);
}

static void forward(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_rope_turn *)operands)->T, forward_tokens, operands);
}

static void backward(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_rope_turn *)operands)->T, backward_tokens, operands);
}

const struct bd_op bd_op_rope_forward = {"rope_forward", forward},
                   bd_op_rope_backward = {"rope_backward", backward};

void bd_rope_forward(struct bd_dev *dev, const struct bd_rope_turn *o)
{
	bd_dev_run(dev, &bd_op_rope_forward, o);
}

void bd_rope_backward(struct bd_dev *dev, const struct bd_rope_turn *o)
{
	bd_dev_run(dev, &bd_op_rope_backward, o);
}
