/* RMSNorm forward and backward. */
#include "math/op_rmsnorm.h"

#include <string.h>

static void forward_rows(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_rmsnorm *o = operands;
	size_t n = o->n;

	(void)slice;
	for (size_t t = begin; t < end; t++) {
		float r = cpu->kern->rmsnorm(o->y + t * n, o->x + t * n, o->gain, o->eps, n);

		if (o->r != NULL)
			o->r[t] = r;
	}
}

static void forward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_rmsnorm *o = operands;

	bd_cpu_for_work(cpu, o->rows, 4 * o->rows * o->n, forward_rows, o);
}

/* ---- backward ---- */

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

/* One row: r (dn - nx mean(dn nx)) = r dn - c x. */
static void backward_row(const struct bd_rmsnorm_grad *o, size_t t, float *dgain)
{
	size_t n = o->n;
	const float *dy = o->dy + t * n, *x = o->x + t * n, *gain = o->gain;
	float *dx = o->dx + t * n, r = o->r[t], c = r * r * r * (dot3(dy, gain, x, n) / (float)n);

	for (size_t i = 0; i < n; i++) /* before dx, which may be dy */
		dgain[i] += dy[i] * (x[i] * r);
	if (o->store)
		for (size_t i = 0; i < n; i++)
			dx[i] = r * (dy[i] * gain_at(gain, i)) - c * x[i];
	else
		for (size_t i = 0; i < n; i++)
			dx[i] += r * (dy[i] * gain_at(gain, i)) - c * x[i];
}

/* Every slice sums the gradient of the gain for itself. */
static void backward_rows(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_rmsnorm_grad *o = operands;
	float *part = cpu->all.p + (size_t)slice * o->n;

	for (size_t t = begin; t < end; t++)
		backward_row(o, t, part);
}

static void backward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_rmsnorm_grad *o = operands;
	size_t parts = (size_t)bd_par_threads(cpu->par), n = o->n;
	float *part = bd_cpu_shared(cpu, parts * n); /* [parts,n] */

	memset(part, 0, parts * n * sizeof(*part));
	bd_cpu_for(cpu, o->rows, backward_rows, o);
	for (size_t s = 0; o->dgain != NULL && s < parts; s++)
		for (size_t i = 0; i < n; i++)
			o->dgain[i] += part[s * n + i];
}

const struct bd_op bd_op_rmsnorm_forward = {"rmsnorm_forward", forward},
                   bd_op_rmsnorm_backward = {"rmsnorm_backward", backward};

void bd_rmsnorm_forward(struct bd_dev *dev, const struct bd_rmsnorm *o)
{
	bd_dev_run(dev, &bd_op_rmsnorm_forward, o);
}

void bd_rmsnorm_backward(struct bd_dev *dev, const struct bd_rmsnorm_grad *o)
{
	bd_dev_run(dev, &bd_op_rmsnorm_backward, o);
}
