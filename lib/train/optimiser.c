/* The optimiser's passes over the block of parameters. */
#include "train/optimiser.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define PART ((size_t)1 << 16) /* floats of one partial sum */

struct bd_optimiser bd_optimiser_new(const struct bd_model *m, const struct bd_adamw *o, double clip)
{
	struct bd_optimiser u = {.adamw = *o, .clip = clip, .n = m->n};

	u.grad = bd_zalloc(m->n, sizeof(*u.grad));
	u.m = bd_zalloc(m->n, sizeof(*u.m));
	u.v = bd_zalloc(m->n, sizeof(*u.v));
	u.part = bd_alloc(m->n / PART + 1, sizeof(*u.part));
	return u;
}

void bd_optimiser_free(struct bd_optimiser *u)
{
	bd_free(u->grad);
	bd_free(u->m);
	bd_free(u->v);
	bd_free(u->part);
	*u = (struct bd_optimiser){0};
}

static void norm_slice(void *ctx, size_t begin, size_t end, int slice)
{
	const struct bd_optimiser *u = ctx;

	(void)slice;
	for (size_t i = begin; i < end; i++) {
		size_t first = i * PART, left = u->n - first;

		u->part[i] = bd_sum_squares(u->grad + first, left < PART ? left : PART);
	}
}

double bd_optimiser_norm(const struct bd_optimiser *u, struct bd_par *par)
{
	size_t parts = (u->n + PART - 1) / PART;
	double sum = 0;

	bd_par_for(par, parts, norm_slice, (void *)(uintptr_t)u);
	for (size_t i = 0; i < parts; i++)
		sum += u->part[i];
	return sqrt(sum);
}

struct step {
	struct bd_optimiser *u;
	struct bd_model *m;
	double lr;
	float scale;
	long t;
};

/* The parameters that lie in floats [begin, end). */
static void step_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct step *s = ctx;
	struct bd_optimiser *u = s->u;

	(void)slice;
	for (size_t p = 0; p < s->m->n_param && s->m->param[p].off < end; p++) {
		const struct bd_param *q = &s->m->param[p];
		enum bd_kind kind = bd_slot_info(q->slot)->kind;
		size_t a = q->off, b = q->off + q->rows * q->cols;

		a = a > begin ? a : begin;
		b = b < end ? b : end;
		if (a < b)
			bd_adamw_step(&u->adamw, s->m->data + a, u->grad + a, u->m + a, u->v + a, b - a,
			              s->lr, kind == BD_KIND_TABLE || kind == BD_KIND_LINEAR, s->t, s->scale);
	}
	memset(u->grad + begin, 0, (end - begin) * sizeof(*u->grad));
}

void bd_optimiser_step(struct bd_optimiser *u, struct bd_par *par, struct bd_model *m, double norm, double lr,
                       long t)
{
	double scale = u->clip > 0 && norm > u->clip ? u->clip / norm : 1;
	struct step s = {u, m, lr, (float)scale, t};

	bd_par_for(par, u->n, step_slice, &s);
}

static void zero_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct bd_optimiser *u = ctx;

	(void)slice;
	memset(u->grad + begin, 0, (end - begin) * sizeof(*u->grad));
}

void bd_optimiser_zero(struct bd_optimiser *u, struct bd_par *par)
{
	bd_par_for(par, u->n, zero_slice, u);
}
