/* The optimiser over the block of parameters. */
#include "train/optimiser.h"

#include "base/mem.h"

static struct bd_optim_range range_of(const struct bd_param *p)
{
	enum bd_kind kind = bd_slot_info(p->slot)->kind;

	return (struct bd_optim_range){p->off, p->rows * p->cols,
	                               kind == BD_KIND_TABLE || kind == BD_KIND_LINEAR};
}

/* Written once here, so that the threads of the first step do not wait for each other's page faults. */
static float *zeros(struct bd_dev *dev, size_t n)
{
	float *p = bd_dev_alloc(dev, n, sizeof(*p));

	bd_dev_fill(dev, p, 0, n * sizeof(*p));
	return p;
}

struct bd_optimiser bd_optimiser_new(const struct bd_model *m, struct bd_dev *dev, const struct bd_optim *o,
                                     double clip)
{
	struct bd_optimiser u = {.dev = dev, .optim = *o, .clip = clip, .n = m->n, .n_range = m->n_param};

	u.grad = zeros(dev, m->n);
	u.m = zeros(dev, m->n);
	u.v = zeros(dev, m->n);
	u.range = bd_alloc(u.n_range, sizeof(*u.range));
	for (size_t i = 0; i < u.n_range; i++)
		u.range[i] = range_of(&m->param[i]);
	return u;
}

void bd_optimiser_free(struct bd_optimiser *u)
{
	if (u->dev != NULL) {
		bd_dev_free(u->dev, u->grad);
		bd_dev_free(u->dev, u->m);
		bd_dev_free(u->dev, u->v);
	}
	bd_free(u->range);
	*u = (struct bd_optimiser){0};
}

double bd_optimiser_norm(const struct bd_optimiser *u)
{
	double norm;

	bd_grad_norm(u->dev, &(struct bd_grad_norm){&norm, u->grad, u->n});
	bd_dev_wait(u->dev);
	return norm;
}

void bd_optimiser_step(struct bd_optimiser *u, float *params, double norm, double lr, long t)
{
	double scale = u->clip > 0 && norm > u->clip ? u->clip / norm : 1;

	bd_optim_step(u->dev, &(struct bd_optim_step){
	                          .optim = u->optim,
	                          .w = params,
	                          .g = u->grad,
	                          .m = u->m,
	                          .v = u->v,
	                          .n = u->n,
	                          .range = u->range,
	                          .n_range = u->n_range,
	                          .lr = lr,
	                          .t = t,
	                          .scale = (float)scale,
	                      });
}

void bd_optimiser_zero(struct bd_optimiser *u)
{
	bd_dev_fill(u->dev, u->grad, 0, u->n * sizeof(*u->grad));
}
