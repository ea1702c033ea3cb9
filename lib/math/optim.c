#include "math/optim.h"

#include <math.h>
#include <string.h>

#include "math/op_vec.h"

#define PART ((size_t)1 << 16) /* floats of one partial sum of the norm */

#define FUNCTION(id, word, fn) [id] = fn,
static bd_optim_fn *const update[] = {BD_OPTIM_LIST(FUNCTION)};

static void step_slice(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_optim_step *o = operands;

	(void)cpu, (void)slice;
	for (size_t i = 0; i < o->n_range && o->range[i].off < end; i++) {
		size_t a = o->range[i].off, b = a + o->range[i].n;

		a = a > begin ? a : begin;
		b = b < end ? b : end;
		if (a < b)
			update[o->optim.kind](o, a, b, o->range[i].decayed);
	}
	memset(o->g + begin, 0, (end - begin) * sizeof(*o->g));
}

static void optim_step(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_optim_step *)operands)->n, step_slice, operands);
}

/* ---- the norm ---- */

struct parts {
	const struct bd_grad_norm *o;
	double *part;
};

static void norm_slice(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct parts *p = operands;

	(void)cpu, (void)slice;
	for (size_t i = begin; i < end; i++) {
		size_t first = i * PART, left = p->o->n - first;

		p->part[i] = bd_sum_squares(p->o->g + first, left < PART ? left : PART);
	}
}

static void grad_norm(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_grad_norm *o = operands;
	size_t n = (o->n + PART - 1) / PART;
	struct parts p = {o, (double *)(void *)bd_cpu_shared(cpu, 2 * n)};
	double sum = 0;

	bd_cpu_for(cpu, n, norm_slice, &p);
	for (size_t i = 0; i < n; i++)
		sum += p.part[i];
	*o->norm = sqrt(sum);
}

const struct bd_op bd_op_optim_step = {"optim_step", optim_step}, bd_op_grad_norm = {"grad_norm", grad_norm};

void bd_optim_step(struct bd_dev *dev, const struct bd_optim_step *o)
{
	bd_dev_run(dev, &bd_op_optim_step, o);
}

void bd_grad_norm(struct bd_dev *dev, const struct bd_grad_norm *o)
{
	bd_dev_run(dev, &bd_op_grad_norm, o);
}
