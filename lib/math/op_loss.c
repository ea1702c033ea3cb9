/* Losses over positions and sequences, one a thread. */
#include "math/op_loss.h"

#include <string.h>

#include "math/op_vec.h"

/* Position i: z, dz[V]. */
static struct bd_position_loss position_loss(struct bd_cpu *cpu, const struct bd_logit_losses *o, size_t i,
                                             float *scratch)
{
	const struct bd_position *p = &o->pos[i];
	const float *z = o->z + i * o->V;
	float *dz = o->dz + i * o->V, *g = scratch + 2 * o->V;
	struct bd_position_loss l = {0};

	memset(dz, 0, o->V * sizeof(*dz));
	if (p->target) {
		l.ce = bd_loss_ce(cpu->kern, dz, z, p->y, o->unit_ce, o->V, scratch);
		l.ce2 = bd_sum_squares(dz, o->V);
	}
	for (size_t v = 0; o->ce != 1 && v < o->V; v++)
		dz[v] *= o->ce;
	if (p->ld) {
		memset(g, 0, o->common * sizeof(*g));
		l.ld = bd_loss_divergence(cpu->kern, &o->soften, &p->teacher, g, z, o->unit_ld, o->common,
		                          scratch);
		l.ld2 = bd_sum_squares(g, o->common);
		cpu->kern->axpy(dz, o->lambda, g, o->common);
	}
	return l;
}

static void positions(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_logit_losses *o = operands;
	float *scratch = bd_cpu_scratch(cpu, slice, 3 * o->V);

	for (size_t i = begin; i < end; i++)
		o->loss[i] = position_loss(cpu, o, i, scratch);
}

static void logit_losses(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_logit_losses *)operands)->P, positions, operands);
}

static void states(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_state_losses *o = operands;

	for (size_t i = begin; i < end; i++) {
		struct bd_state_loss *x = &o->item[i];
		const struct bd_relation *r = &x->relation;
		size_t n = r->n * r->ws;
		float *scratch = bd_cpu_scratch(cpu, slice, bd_loss_relation_scratch(r));

		memset(x->ds, 0, n * sizeof(*x->ds));
		x->ad = bd_loss_relation(cpu->kern, r, x->ds, x->s, x->t, o->unit, scratch);
		x->ad2 = bd_sum_squares(x->ds, n);
		for (size_t j = 0; j < n; j++)
			x->ds[j] *= o->gamma;
	}
}

static void state_losses(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_state_losses *)operands)->n, states, operands);
}

const struct bd_op bd_op_logit_losses = {"logit_losses", logit_losses},
                   bd_op_state_losses = {"state_losses", state_losses};

void bd_logit_losses(struct bd_dev *dev, const struct bd_logit_losses *o)
{
	bd_dev_run(dev, &bd_op_logit_losses, o);
}

void bd_state_losses(struct bd_dev *dev, const struct bd_state_losses *o)
{
	bd_dev_run(dev, &bd_op_state_losses, o);
}
