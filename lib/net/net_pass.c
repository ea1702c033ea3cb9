/* What forward and backward share: a layer, its attention's shape, its norms. */
#include "net/net_pass.h"

#include "math/op_rmsnorm.h"

struct pass bd_pass_layer(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, int l)
{
	const struct bd_config *c = &net->cfg;

	return (struct pass){
	    .net = net,
	    .dev = net->dev,
	    .a = a,
	    .b = b,
	    .l = l,
	    .w = &net->block[l],
	    .y = &a->layer[l],
	    .slides = c->window > 0 && c->sliding[l],
	    .T = b->T,
	    .C = (size_t)c->hidden,
	    .F = (size_t)c->ffn,
	    .H = (size_t)c->heads,
	    .G = (size_t)c->kv_heads,
	    .D = (size_t)c->head_dim,
	};
}

struct bd_heads bd_pass_heads(const struct pass *p)
{
	const struct bd_config *c = &p->net->cfg;

	return (struct bd_heads){p->H, p->G, p->D, p->slides ? (size_t)c->window : 0, c->attn_scale};
}

void bd_pass_norm(const struct pass *p, float *y, float *r, const float *x, const float *gain, size_t rows,
                  size_t n)
{
	bd_rmsnorm_forward(p->dev, &(struct bd_rmsnorm){y, r, x, gain, p->net->cfg.eps, rows, n});
}
