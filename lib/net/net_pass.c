/* What forward and backward share: a layer, its attention, norms and sums, over the threads. */
#include "net/net_pass.h"

#include "math/op_rmsnorm.h"

static void norm_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	size_t n = p->n;

	(void)slice;
	bd_rmsnorm_forward(p->net->kern, p->out + t0 * n, p->r != NULL ? p->r + t0 : NULL, p->x + t0 * n,
	                   p->gain, p->net->cfg.eps, t1 - t0, n);
}

void bd_pass_norm(struct pass *p, float *out, float *r, const float *x, const float *gain, size_t rows,
                  size_t n)
{
	p->out = out, p->r = r, p->x = x, p->gain = gain, p->n = n;
	bd_par_for(p->net->par, rows, norm_slice, p);
}

static void add_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;

	(void)slice;
	for (size_t i = t0 * p->n; i < t1 * p->n; i++)
		p->out[i] = p->x[i] + p->x2[i];
}

void bd_pass_add(struct pass *p, float *out, const float *x, const float *x2, size_t n)
{
	p->out = out, p->x = x, p->x2 = x2, p->n = n;
	bd_par_for(p->net->par, p->b->T, add_slice, p);
}

struct bd_attn bd_pass_attn(const struct pass *p, size_t s)
{
	const struct bd_config *c = &p->net->cfg;

	return (struct bd_attn){
	    .n = p->b->start[s + 1] - p->b->start[s],
	    .past = p->a->past[s],
	    .H = (size_t)c->heads,
	    .G = (size_t)c->kv_heads,
	    .D = (size_t)c->head_dim,
	    .window = p->slides ? (size_t)c->window : 0,
	    .scale = c->attn_scale,
	};
}

struct pass bd_pass_layer(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, int l)
{
	bool slides = net->cfg.window > 0 && net->cfg.sliding[l];

	return (struct pass){
	    .net = net, .a = a, .b = b, .y = &a->layer[l], .w = &net->block[l], .slides = slides};
}
