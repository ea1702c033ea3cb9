/* The layers in order, each line one operation of math/op_*; here they meet memory and threads. */
#include "base/msg.h"
#include "machine/quant.h"
#include "math/op_glu.h"
#include "math/op_rope.h"
#include "net/net_pass.h"

#include <string.h>

static void int8_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	struct bd_int8 q = p->y->in[p->lin];

	(void)slice;
	q.q += t0 * bd_ternary_cols(p->n), q.step += t0, q.sum += t0;
	bd_int8_forward(p->net->kern, &q, p->x + t0 * p->n, t1 - t0, p->n);
}

/* out[T,out] = linear `i` of src[T,in], with its SubLN and quantiser. */
static void linear(struct pass *p, float *out, enum bd_lin i, const float *src)
{
	struct bd_net *net = p->net;
	const struct bd_linear *w = &p->w->lin[i];
	size_t T = p->b->T;

	if (w->gain != NULL) {
		bd_pass_norm(p, p->a->b, p->y->r[i], src, w->gain, T, w->in);
		src = p->a->b;
	}
	if (w->codes == NULL) {
		bd_linear_forward(net->par, out, src, w->w, w->bias, T, w->out, w->in);
		return;
	}
	if (bd_acts_input(p->w, i) == i) {
		p->lin = i, p->x = src, p->n = w->in;
		bd_par_for(net->par, T, int8_slice, p);
	}
	bd_ternary_forward(net->par, net->kern, out, &p->y->in[i], w->codes, w->scale, w->bias, T, w->out,
	                   w->in);
}

static void attention_slice(void *ctx, size_t i0, size_t i1, int slice)
{
	struct pass *p = ctx;
	struct layer *y = p->y;
	size_t H = (size_t)p->net->cfg.heads, D = (size_t)p->net->cfg.head_dim;

	for (size_t i = i0; i < i1; i++) {
		size_t s = i / H, t = p->b->start[s];
		struct bd_attn at = bd_pass_attn(p, s);
		float *scratch = bd_acts_scratch(p->a, slice, bd_attention_scratch(&at));

		bd_attention_forward(p->net->kern, &at, i % H, y->att + t * H * D, y->lse + t * H,
		                     y->q + t * H * D, p->a->key[s], p->a->val[s], scratch);
	}
}

static void rope_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	struct layer *y = p->y;
	const struct bd_net *net = p->net;
	size_t H = (size_t)net->cfg.heads, G = (size_t)net->cfg.kv_heads, D = (size_t)net->cfg.head_dim;
	const struct bd_angles *g = &net->angles[p->slides];
	const uint32_t *pos = p->a->pos + t0;

	(void)slice;
	bd_rope_forward(y->q + t0 * H * D, pos, g->cos, g->sin, t1 - t0, H, D);
	bd_rope_forward(y->k + t0 * G * D, pos, g->cos, g->sin, t1 - t0, G, D);
}

static void glu_slice(void *ctx, size_t t0, size_t t1, int slice)
{
	struct pass *p = ctx;
	size_t F = (size_t)p->net->cfg.ffn, i = t0 * F;

	(void)slice;
	bd_glu_forward(p->net->kern, p->net->cfg.act, p->y->act + i, p->y->gate + i, p->y->up + i,
	               (t1 - t0) * F);
}

static void rope_reach(struct bd_net *net, size_t n)
{
	if (n <= net->rope_n)
		return;
	const struct bd_config *c = &net->cfg;
	size_t D = (size_t)c->head_dim;
	n = n < 256 ? 256 : n + n / 2;
	for (int i = 0; i < (c->window > 0 ? 2 : 1); i++) {
		struct bd_angles *g = &net->angles[i];

		bd_free(g->cos);
		bd_free(g->sin);
		g->cos = bd_alloc(bd_mul(n, D / 2), sizeof(float));
		g->sin = bd_alloc(bd_mul(n, D / 2), sizeof(float));
		bd_rope_table(g->cos, g->sin, i ? &c->rope_local : &c->rope, D, n);
	}
	net->rope_n = n;
}

/* Positions, and where each sequence's keys and values begin. */
static void place(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, struct bd_kv *const *kv)
{
	for (size_t s = 0; s < b->n_seq; s++) {
		size_t n = b->start[s + 1] - b->start[s], past = kv != NULL ? kv[s]->n : 0;

		if (kv != NULL && n > kv[s]->cap - past)
			bd_die(BD_DATA, "%s: the context of %zu positions is full; give a larger --context",
			       net->cfg.name, kv[s]->cap);
		a->past[s] = past;
		for (size_t i = 0; i < n; i++)
			a->pos[b->start[s] + i] = (uint32_t)(past + i);
		rope_reach(net, past + n);
	}
	for (size_t t = 0; t < b->T; t++)
		if (b->ids[t] >= (uint32_t)net->cfg.vocab)
			bd_die(BD_DATA,
			       "%s: token id %u is not below the vocabulary's %d; is the stream of another "
			       "tokenizer?",
			       net->cfg.name, b->ids[t], net->cfg.vocab);
}

/* This layer's new keys and values go to the caches, or attention reads them where they are. */
static void keep_kv(struct pass *p, int l, struct bd_kv *const *kv)
{
	struct bd_acts *a = p->a;
	size_t width = (size_t)p->net->cfg.kv_heads * (size_t)p->net->cfg.head_dim;

	for (size_t s = 0; s < p->b->n_seq; s++) {
		size_t t = p->b->start[s], n = p->b->start[s + 1] - t;

		a->key[s] = p->y->k + t * width;
		a->val[s] = p->y->v + t * width;
		if (kv == NULL)
			continue;
		memcpy(kv[s]->k[l] + a->past[s] * width, a->key[s], n * width * sizeof(float));
		memcpy(kv[s]->v[l] + a->past[s] * width, a->val[s], n * width * sizeof(float));
		a->key[s] = kv[s]->k[l];
		a->val[s] = kv[s]->v[l];
	}
}

static void watch(struct pass *p)
{
	const struct bd_config *c = &p->net->cfg;
	size_t T = p->b->T, q = (size_t)c->heads * (size_t)c->head_dim,
	       k = (size_t)c->kv_heads * (size_t)c->head_dim;

	memcpy(p->a->state[0], p->y->q, T * q * sizeof(float));
	memcpy(p->a->state[1], p->y->k, T * k * sizeof(float));
	memcpy(p->a->state[2], p->y->v, T * k * sizeof(float));
}

/* out = x + post(linear `i` of src); y[T,C] keeps what enters the norm, if there is one. */
static void add_branch(struct pass *p, float *out, const float *x, enum bd_lin i, const float *src,
                       const float *post, float *y, float *r)
{
	struct bd_acts *a = p->a;
	size_t T = p->b->T, C = (size_t)p->net->cfg.hidden;

	linear(p, post != NULL ? y : a->a, i, src);
	if (post != NULL)
		bd_pass_norm(p, a->a, r, y, post, T, C);
	bd_pass_add(p, out, x, a->a, C);
}

/* xm = x + post(o(attention(...))). */
static void attention_block(struct pass *p, int l, struct bd_kv *const *kv)
{
	struct bd_acts *a = p->a;
	struct layer *y = p->y;
	const struct bd_config *c = &p->net->cfg;
	size_t T = p->b->T, C = (size_t)c->hidden, H = (size_t)c->heads, G = (size_t)c->kv_heads,
	       D = (size_t)c->head_dim;

	bd_pass_norm(p, a->a, y->rx, y->x, p->w->attn_norm, T, C);
	linear(p, y->qp, BD_LIN_Q, a->a);
	linear(p, y->kp, BD_LIN_K, a->a);
	linear(p, y->v, BD_LIN_V, a->a);
	if (c->qk_norm) {
		bd_pass_norm(p, y->q, y->rq, y->qp, p->w->q_norm, T * H, D);
		bd_pass_norm(p, y->k, y->rk, y->kp, p->w->k_norm, T * G, D);
	}
	bd_par_for(p->net->par, T, rope_slice, p);
	keep_kv(p, l, kv);
	if (!a->train && l == a->watch)
		watch(p);
	bd_par_for(p->net->par, p->b->n_seq * H, attention_slice, p);
	add_branch(p, y->xm, y->x, BD_LIN_O, y->att, p->w->attn_post, y->ao, y->rao);
}

/* out = xm + post(down(act(gate) * up)). */
static void ffn_block(struct pass *p, float *out)
{
	struct bd_acts *a = p->a;
	struct layer *y = p->y;
	size_t T = p->b->T, C = (size_t)p->net->cfg.hidden;

	bd_pass_norm(p, a->a, y->rm, y->xm, p->w->ffn_norm, T, C);
	linear(p, y->gate, BD_LIN_GATE, a->a);
	linear(p, y->up, BD_LIN_UP, a->a);
	bd_par_for(p->net->par, T, glu_slice, p);
	add_branch(p, out, y->xm, BD_LIN_DOWN, y->act, p->w->ffn_post, y->fo, y->rfo);
}

const float *bd_net_forward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b,
                            struct bd_kv *const *kv)
{
	int L = net->cfg.layers;

	bd_acts_reserve(a, net, b->T, b->n_seq);
	place(net, a, b, kv);
	bd_embed_forward(a->layer[0].x, &net->embed, net->cfg.embed_scale, b->ids, b->T);
	for (int l = 0; l < L; l++) {
		struct pass p = bd_pass_layer(net, a, b, l);

		attention_block(&p, l, kv);
		ffn_block(&p, l + 1 < L ? a->layer[l + 1].x : a->xf);
	}
	struct pass p = {.net = net, .a = a, .b = b};
	bd_pass_norm(&p, a->h, a->rf, a->xf, net->final_norm, b->T, (size_t)net->cfg.hidden);
	for (size_t s = 0; kv != NULL && s < b->n_seq; s++)
		kv[s]->n += b->start[s + 1] - b->start[s];
	return a->h;
}
