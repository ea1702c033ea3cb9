/* The layers in order, each line one operation of math/. */
#include "net/net_pass.h"

#include "base/guard.h"
#include "base/msg.h"
#include "math/op_glu.h"
#include "math/op_linear.h"
#include "math/op_rmsnorm.h"
#include "math/op_rope.h"
#include "math/op_vec.h"

/* out[T,out] = linear `i` of src[T,in], with its SubLN and quantiser. */
static void linear(const struct pass *p, float *out, enum bd_lin i, const float *src)
{
	const struct bd_linear *w = &p->w->lin[i];

	if (w->gain != NULL) {
		bd_pass_norm(p, p->a->b, p->y->r[i], src, w->gain, p->T, w->in);
		src = p->a->b;
	}
	if (w->codes == NULL) {
		bd_dense_forward(p->dev, &(struct bd_dense){.y = out,
		                                            .x = src,
		                                            .w = w->w,
		                                            .half = w->half,
		                                            .bf16 = w->bf16,
		                                            .bias = w->bias,
		                                            .T = p->T,
		                                            .N = w->out,
		                                            .K = w->in});
		return;
	}
	if (bd_acts_input(&p->net->cfg, i) == i)
		bd_int8_forward(p->dev, &(struct bd_quantise){p->y->in[i], src, p->T, w->in});
	bd_ternary_forward(p->dev, &(struct bd_ternary){.y = out,
	                                                .q = p->y->in[i],
	                                                .codes = w->codes,
	                                                .scale = w->scale,
	                                                .bias = w->bias,
	                                                .T = p->T,
	                                                .N = w->out,
	                                                .K = w->in});
}

/* ---- places ---- */

/* g->cos or g->sin becomes the table at `host`. */
static void renew(struct bd_dev *dev, float **table, const float *host, size_t size)
{
	float *fresh = bd_dev_alloc(dev, size, 1);

	bd_dev_to(dev, fresh, host, size);
	bd_dev_free(dev, *table);
	*table = fresh;
}

static void rope_reach(struct bd_net *net, size_t n)
{
	const struct bd_config *c = &net->cfg;
	struct bd_scope *before;
	size_t D = (size_t)c->head_dim, size;
	float *cos, *sin; /* [n, D/2] */

	if (n <= net->rope_n)
		return;
	before = bd_guard_into(net->dev->scope);
	n = n < 256 ? 256 : n + n / 2;
	size = bd_mul(bd_mul(n, D / 2), sizeof(float));
	cos = bd_alloc(size, 1);
	sin = bd_alloc(size, 1);
	for (int i = 0; i < (c->window > 0 ? 2 : 1); i++) {
		bd_rope_table(cos, sin, i > 0 ? &c->rope_local : &c->rope, D, n);
		renew(net->dev, &net->angles[i].cos, cos, size);
		renew(net->dev, &net->angles[i].sin, sin, size);
	}
	bd_free(cos);
	bd_free(sin);
	net->rope_n = n;
	bd_guard_into(before);
}

static void check_ids(const struct bd_net *net, const struct bd_batch *b)
{
	for (size_t t = 0; t < b->T; t++)
		if (b->ids[t] >= (uint32_t)net->cfg.vocab)
			bd_die(BD_DATA,
			       "%s: token id %u is not below the vocabulary's %d; is the stream of another "
			       "tokenizer?",
			       net->cfg.name, b->ids[t], net->cfg.vocab);
}

/* The position of every token, counted on from what is cached. */
static void place(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, struct bd_kv *const *kv)
{
	for (size_t s = 0; s < b->n_seq; s++) {
		size_t n = b->start[s + 1] - b->start[s], past = kv != NULL          ? kv[s]->n
		                                                 : b->shared != NULL ? b->shared->n
		                                                                     : 0;

		if (kv != NULL && n > kv[s]->cap - past)
			bd_die(BD_DATA, "%s: the context of %zu positions is full; give a larger --context",
			       net->cfg.name, kv[s]->cap);
		a->past[s] = past;
		for (size_t i = 0; i < n; i++)
			a->pos[b->start[s] + i] = (uint32_t)(past + i);
		rope_reach(net, past + n);
	}
}

/* Appends this layer's new keys and values to the caches; without caches, attention reads them where they
 * are. */
static void keep_kv(const struct pass *p, struct bd_kv *const *kv)
{
	struct bd_acts *a = p->a;
	size_t width = p->G * p->D;

	for (size_t s = 0; s < p->b->n_seq; s++) {
		size_t t = p->b->start[s], size = (p->b->start[s + 1] - t) * width * sizeof(float);

		a->key[s] = p->y->k + t * width;
		a->val[s] = p->y->v + t * width;
		if (kv == NULL)
			continue;
		bd_dev_within(p->dev, kv[s]->k[p->l] + a->past[s] * width, a->key[s], size);
		bd_dev_within(p->dev, kv[s]->v[p->l] + a->past[s] * width, a->val[s], size);
		a->key[s] = kv[s]->k[p->l];
		a->val[s] = kv[s]->v[p->l];
	}
}

static void watch(const struct pass *p)
{
	size_t q = p->T * p->H * p->D * sizeof(float), k = p->T * p->G * p->D * sizeof(float);

	bd_dev_within(p->dev, p->a->state[0], p->y->q, q);
	bd_dev_within(p->dev, p->a->state[1], p->y->k, k);
	bd_dev_within(p->dev, p->a->state[2], p->y->v, k);
}

/* ---- layers ---- */

/* What a block adds to the residual stream comes from a linear, followed in some families by a norm. */
struct branch {
	enum bd_lin lin;
	const float *src;  /* [T,in] */
	const float *post; /* gain of the norm, or NULL */
	float *y, *r;      /* [T,C] what enters the norm, [T] */
};

/* out[T,C] = x + post(linear of src). */
static void add_branch(const struct pass *p, float *out, const float *x, const struct branch *j)
{
	float *sum = p->a->a;

	linear(p, j->post != NULL ? j->y : sum, j->lin, j->src);
	if (j->post != NULL)
		bd_pass_norm(p, sum, j->r, j->y, j->post, p->T, p->C);
	bd_vec_add(p->dev, &(struct bd_vec_sum){out, x, sum, p->T, p->C});
}

static void attention(const struct pass *p)
{
	const struct layer *y = p->y;
	const struct bd_kv *shared = p->b->shared;

	bd_attention_forward(p->dev, &(struct bd_attention){
	                                 .heads = bd_pass_heads(p),
	                                 .n_seq = p->b->n_seq,
	                                 .start = p->b->start,
	                                 .past = p->a->past,
	                                 .key = p->a->key,
	                                 .val = p->a->val,
	                                 .q = y->q,
	                                 .out = y->att,
	                                 .lse = y->lse,
	                                 .first = p->net->first,
	                                 .shared = shared != NULL ? shared->n : 0,
	                                 .shared_key = shared != NULL ? shared->k[p->l] : NULL,
	                                 .shared_val = shared != NULL ? shared->v[p->l] : NULL,
	                             });
}

/* xm = x + post(o(attention(...))). */
static void attention_block(const struct pass *p, struct bd_kv *const *kv)
{
	struct bd_acts *a = p->a;
	struct layer *y = p->y;
	const struct bd_angles *g = &p->net->angles[p->slides];

	bd_pass_norm(p, a->a, y->rx, y->x, p->w->attn_norm, p->T, p->C);
	linear(p, y->qp, BD_LIN_Q, a->a);
	linear(p, y->kp, BD_LIN_K, a->a);
	linear(p, y->v, BD_LIN_V, a->a);
	if (p->net->cfg.qk_norm) {
		bd_pass_norm(p, y->q, y->rq, y->qp, p->w->q_norm, p->T * p->H, p->D);
		bd_pass_norm(p, y->k, y->rk, y->kp, p->w->k_norm, p->T * p->G, p->D);
	}
	bd_rope_forward(p->dev,
	                &(struct bd_rope_turn){y->q, y->k, g->cos, g->sin, a->pos, p->T, p->H, p->G, p->D});
	keep_kv(p, kv);
	if (!a->train && p->l == a->watch)
		watch(p);
	attention(p);
	add_branch(p, y->xm, y->x, &(struct branch){BD_LIN_O, y->att, p->w->attn_post, y->ao, y->rao});
}

/* out = xm + post(down(act(gate) * up)). */
static void ffn_block(const struct pass *p, float *out)
{
	struct bd_acts *a = p->a;
	struct layer *y = p->y;

	bd_pass_norm(p, a->a, y->rm, y->xm, p->w->ffn_norm, p->T, p->C);
	linear(p, y->gate, BD_LIN_GATE, a->a);
	linear(p, y->up, BD_LIN_UP, a->a);
	bd_glu_forward(p->dev, &(struct bd_glu){p->net->cfg.act, y->act, y->gate, y->up, p->T, p->F});
	add_branch(p, out, y->xm, &(struct branch){BD_LIN_DOWN, y->act, p->w->ffn_post, y->fo, y->rfo});
}

const float *bd_net_forward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b,
                            struct bd_kv *const *kv)
{
	const struct bd_config *c = &net->cfg;
	size_t C = (size_t)c->hidden;

	check_ids(net, b);
	bd_acts_reserve(a, net, b->T, b->n_seq);
	place(net, a, b, kv);
	bd_embed_forward(net->dev,
	                 &(struct bd_embed){a->layer[0].x, net->embed, c->embed_scale, b->ids, b->T});
	for (int l = 0; l < c->layers; l++) {
		struct pass p = bd_pass_layer(net, a, b, l);

		attention_block(&p, kv);
		ffn_block(&p, l + 1 < c->layers ? a->layer[l + 1].x : a->xf);
	}
	bd_rmsnorm_forward(net->dev,
	                   &(struct bd_rmsnorm){a->h, a->rf, a->xf, net->final_norm, c->eps, b->T, C});
	for (size_t s = 0; kv != NULL && s < b->n_seq; s++)
		kv[s]->n += b->start[s + 1] - b->start[s];
	return a->h;
}
