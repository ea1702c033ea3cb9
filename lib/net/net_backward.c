/* The layers in reverse order, each line the derivative of one of net_forward.c. */
#include "machine/quant.h"
#include "math/adamw.h"
#include "math/op_glu.h"
#include "math/op_rmsnorm.h"
#include "math/op_rope.h"
#include "net/net_pass.h"

#include <string.h>

static void norm_back_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	size_t n = p->n;

	bd_rmsnorm_backward(p->out + t0 * n, p->a->part + (size_t)slice * n, p->x + t0 * n, p->x2 + t0 * n,
	                    p->r + t0, p->gain, t1 - t0, n, p->overwrite);
}

/* dx[rows,n] (+)=, dgain[n] += from dy, x[rows,n], r[rows]. Partial gain gradients are added in slice order.
 */
static void norm_back(struct pass *p, float *dx, float *dgain, const float *dy, const float *x, float *r,
                      const float *gain, size_t rows, size_t n, int overwrite)
{
	size_t parts = (size_t)p->a->threads;

	memset(p->a->part, 0, parts * n * sizeof(float));
	p->out = dx, p->x = dy, p->x2 = x, p->r = r, p->gain = gain, p->n = n, p->overwrite = overwrite;
	bd_par_for(p->net->par, rows, norm_back_slice, p);
	for (size_t s = 0; dgain != NULL && s < parts; s++)
		for (size_t i = 0; i < n; i++)
			dgain[i] += p->a->part[s * n + i];
}

static void dequant_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	struct bd_int8 q = p->y->in[p->lin];

	(void)slice;
	q.q += t0 * bd_ternary_cols(p->n), q.step += t0, q.sum += t0;
	bd_int8_dequant(p->out + t0 * p->n, &q, t1 - t0, p->n);
}

/* Gradients of one tensor, NULL when the model has none. */
static float *grad_of(const struct bd_model *m, float *grad, enum bd_slot slot, int layer)
{
	const struct bd_param *q = bd_model_param(m, slot, layer);

	return q != NULL ? grad + q->off : NULL;
}

/* dsrc[T,in] (= or +=) from dy[T,out]; src is what the forward got. The straight-through estimator: the
 * quantised input and weight stand in the products, the quantisers pass the gradient on. */
static void linear_back(struct pass *p, float *dsrc, bool more, enum bd_lin i, const float *dy,
                        const float *src, const struct bd_model *m, float *grad, int l)
{
	struct bd_net *net = p->net;
	const struct bd_linear *w = &p->w->lin[i];
	size_t T = p->b->T;
	const float *x = src;

	if (w->codes != NULL) {
		p->lin = i, p->out = p->a->b, p->n = w->in;
		bd_par_for(net->par, T, dequant_slice, p);
		x = p->a->b;
	} else if (w->gain != NULL) {
		bd_pass_norm(p, p->a->b, NULL, src, w->gain, T, w->in);
		x = p->a->b;
	}
	bd_linear_backward(net->par, w->gain != NULL ? p->a->d : dsrc, w->gain != NULL || !more ? 0.0f : 1.0f,
	                   grad_of(m, grad, BD_W + i, l), grad_of(m, grad, BD_BIAS + i, l), dy, x, w->w, T,
	                   w->out, w->in);
	if (w->gain != NULL)
		norm_back(p, dsrc, grad_of(m, grad, BD_SUBLN + i, l), p->a->d, src, p->y->r[i], w->gain, T,
		          w->in, !more);
}

static void attention_back_slice(void *ctx, size_t i0, size_t i1, int slice)
{
	struct pass *p = ctx;
	struct layer *y = p->y;
	struct bd_acts *a = p->a;
	size_t H = (size_t)p->net->cfg.heads, G = (size_t)p->net->cfg.kv_heads,
	       D = (size_t)p->net->cfg.head_dim;

	for (size_t i = i0; i < i1; i++) {
		size_t s = i / G, t = p->b->start[s], tq = t * H * D, tk = t * G * D;
		struct bd_attn at = bd_pass_attn(p, s);
		float *scratch = bd_acts_scratch(a, slice, bd_attention_scratch(&at));

		bd_attention_backward(p->net->kern, &at, i % G, a->dq + tq, a->dk + tk, a->dv + tk, p->x + tq,
		                      y->att + tq, y->lse + t * H, y->q + tq, y->k + tk, y->v + tk, scratch);
	}
}

static void rope_back_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	const struct bd_net *net = p->net;
	size_t H = (size_t)net->cfg.heads, G = (size_t)net->cfg.kv_heads, D = (size_t)net->cfg.head_dim;
	const struct bd_angles *g = &net->angles[p->slides];
	const uint32_t *pos = p->a->pos + t0;

	(void)slice;
	bd_rope_backward(p->a->dq + t0 * H * D, pos, g->cos, g->sin, t1 - t0, H, D);
	bd_rope_backward(p->a->dk + t0 * G * D, pos, g->cos, g->sin, t1 - t0, G, D);
}

static void glu_back_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	size_t F = (size_t)p->net->cfg.ffn, i = t0 * F;

	(void)slice;
	bd_glu_backward(p->net->kern, p->net->cfg.act, p->a->dgate + i, p->a->dup + i, p->x + i,
	                p->y->gate + i, p->y->up + i, (t1 - t0) * F);
}

/* The relation loss enters at one layer's q, k, v. */
static void add_states(struct pass *p, struct bd_state_grad *sg)
{
	const struct bd_config *c = &p->net->cfg;
	size_t q = (size_t)c->heads * (size_t)c->head_dim, k = (size_t)c->kv_heads * (size_t)c->head_dim;
	float *d[3] = {p->a->dq, p->a->dk, p->a->dv};
	size_t width[3] = {q, k, k};

	for (int i = 0; i < 3; i++) {
		sg->other2[i] = bd_sum_squares(d[i], p->b->T * width[i]);
		if (sg->d[i] != NULL)
			bd_pass_add(p, d[i], d[i], sg->d[i], width[i]);
	}
}

/* The normed input of a group of linears, recomputed where their backward reads it: dense products and SubLN
 * do, int8 does not. */
static const float *normed(struct pass *p, enum bd_lin lin, const float *x, const float *gain)
{
	const struct bd_linear *w = &p->w->lin[lin];

	if (w->codes == NULL || w->gain != NULL)
		bd_pass_norm(p, p->a->c, NULL, x, gain, p->b->T, (size_t)p->net->cfg.hidden);
	return p->a->c;
}

/* The gradient that reaches a branch's last linear: that of the residual stream, dx[T,C], through the post
 * norm if there is one. */
static const float *branch_back(struct pass *p, const float *dx, enum bd_slot slot, const float *post,
                                const float *y, float *r, const struct bd_model *m, float *grad, int l)
{
	if (post == NULL)
		return dx;
	norm_back(p, p->a->c, grad_of(m, grad, slot, l), dx, y, r, post, p->b->T, (size_t)p->net->cfg.hidden,
	          true);
	return p->a->c;
}

/* dx[T,C]: in, the gradient at the layer's output; out, at xm. */
static void ffn_back(struct pass *p, float *dx, const struct bd_model *m, float *grad, int l)
{
	struct bd_acts *a = p->a;
	struct layer *y = p->y;
	size_t T = p->b->T, C = (size_t)p->net->cfg.hidden;
	const float *dy = branch_back(p, dx, BD_FFN_POST, p->w->ffn_post, y->fo, y->rfo, m, grad, l);

	linear_back(p, a->a, false, BD_LIN_DOWN, dy, y->act, m, grad, l);
	p->x = a->a;
	bd_par_for(p->net->par, T, glu_back_slice, p);
	const float *in = normed(p, BD_LIN_GATE, y->xm, p->w->ffn_norm);
	linear_back(p, a->a, false, BD_LIN_GATE, a->dgate, in, m, grad, l);
	linear_back(p, a->a, true, BD_LIN_UP, a->dup, in, m, grad, l);
	norm_back(p, dx, grad_of(m, grad, BD_FFN_NORM, l), a->a, y->xm, y->rm, p->w->ffn_norm, T, C, false);
}

/* dx[T,C]: in, the gradient at xm; out, at the layer's input x. */
static void attention_back(struct pass *p, float *dx, const struct bd_model *m, float *grad, int l,
                           struct bd_state_grad *sg)
{
	struct bd_acts *a = p->a;
	struct layer *y = p->y;
	const struct bd_config *c = &p->net->cfg;
	size_t T = p->b->T, C = (size_t)c->hidden, H = (size_t)c->heads, G = (size_t)c->kv_heads,
	       D = (size_t)c->head_dim;
	const float *dy = branch_back(p, dx, BD_ATTN_POST, p->w->attn_post, y->ao, y->rao, m, grad, l);

	linear_back(p, a->a, false, BD_LIN_O, dy, y->att, m, grad, l);
	memset(a->dq, 0, T * H * D * sizeof(float));
	memset(a->dk, 0, T * G * D * sizeof(float));
	memset(a->dv, 0, T * G * D * sizeof(float));
	p->x = a->a;
	bd_par_for(p->net->par, p->b->n_seq * G, attention_back_slice, p);
	if (sg != NULL && sg->layer == l)
		add_states(p, sg);
	bd_par_for(p->net->par, T, rope_back_slice, p);
	if (c->qk_norm) {
		norm_back(p, a->dq, grad_of(m, grad, BD_Q_NORM, l), a->dq, y->qp, y->rq, p->w->q_norm, T * H,
		          D, true);
		norm_back(p, a->dk, grad_of(m, grad, BD_K_NORM, l), a->dk, y->kp, y->rk, p->w->k_norm, T * G,
		          D, true);
	}
	const float *in = normed(p, BD_LIN_Q, y->x, p->w->attn_norm);
	linear_back(p, a->a, false, BD_LIN_Q, a->dq, in, m, grad, l);
	linear_back(p, a->a, true, BD_LIN_K, a->dk, in, m, grad, l);
	linear_back(p, a->a, true, BD_LIN_V, a->dv, in, m, grad, l);
	norm_back(p, dx, grad_of(m, grad, BD_ATTN_NORM, l), a->a, y->x, y->rx, p->w->attn_norm, T, C, false);
}

void bd_net_backward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, float *dh,
                     const struct bd_model *m, float *grad, struct bd_state_grad *sg)
{
	size_t C = (size_t)net->cfg.hidden;
	struct pass top = {.net = net, .a = a, .b = b};

	norm_back(&top, dh, grad_of(m, grad, BD_FINAL_NORM, -1), dh, a->xf, a->rf, net->final_norm, b->T, C,
	          true);
	for (int l = net->cfg.layers - 1; l >= 0; l--) {
		struct pass p = bd_pass_layer(net, a, b, l);

		ffn_back(&p, dh, m, grad, l);
		attention_back(&p, dh, m, grad, l, sg);
	}
	bd_embed_backward(grad_of(m, grad, BD_EMBED, -1), dh, net->cfg.embed_scale, b->ids, b->T, C);
}
