/* The layers in reverse order, each line the derivative of one of net_forward.c. */
#include "net/net_pass.h"

#include "math/op_glu.h"
#include "math/op_linear.h"
#include "math/op_rmsnorm.h"
#include "math/op_rope.h"
#include "math/op_vec.h"

/* A pass over one layer and where its gradients go. */
struct back {
	struct pass p;
	const struct bd_model *m;
	float *grad;
};

/* The gradient of one tensor of the layer, NULL when the model has none. */
static float *grad_of(const struct back *k, enum bd_slot slot)
{
	const struct bd_param *q = bd_model_param(k->m, slot, k->p.l);

	return q != NULL ? k->grad + q->off : NULL;
}

/* dsrc[T,in] (= or +=) from dy[T,out]; src is what the forward got. The straight-through estimator: the
 * products use the quantised input and weight, the quantisers pass the gradient through unchanged. */
static void linear_back(const struct back *k, float *dsrc, bool more, enum bd_lin i, const float *dy,
                        const float *src)
{
	const struct pass *p = &k->p;
	const struct bd_linear *w = &p->w->lin[i];
	const float *x = src;

	if (w->codes != NULL) {
		bd_int8_dequant(p->dev, &(struct bd_dequantise){p->a->b, p->y->in[i], p->T, w->in});
		x = p->a->b;
	} else if (w->gain != NULL) {
		bd_pass_norm(p, p->a->b, NULL, src, w->gain, p->T, w->in);
		x = p->a->b;
	}
	bd_dense_backward(p->dev, &(struct bd_dense_grad){
	                              .dx = w->gain != NULL ? p->a->d : dsrc,
	                              .beta = w->gain != NULL || !more ? 0 : 1,
	                              .dw = grad_of(k, BD_W + i),
	                              .dbias = grad_of(k, BD_BIAS + i),
	                              .dy = dy,
	                              .x = x,
	                              .w = w->w,
	                              .T = p->T,
	                              .N = w->out,
	                              .K = w->in,
	                          });
	if (w->gain != NULL)
		bd_rmsnorm_backward(p->dev,
		                    &(struct bd_rmsnorm_grad){dsrc, grad_of(k, BD_SUBLN + i), p->a->d, src,
		                                              p->y->r[i], w->gain, p->T, w->in, !more});
}

/* The relation loss enters at one layer's q, k, v. */
static void add_states(const struct pass *p, struct bd_state_grad *sg)
{
	float *d[3] = {p->a->dq, p->a->dk, p->a->dv};
	size_t n[3] = {p->H * p->D, p->G * p->D, p->G * p->D};

	for (int i = 0; i < 3; i++) {
		bd_vec_square_sum(p->dev, &(struct bd_vec_squares){&sg->other2[i], d[i], p->T * n[i]});
		if (sg->d[i] != NULL)
			bd_vec_add(p->dev, &(struct bd_vec_sum){d[i], d[i], sg->d[i], p->T, n[i]});
	}
}

/* The normed input of a group of linears, recomputed if their backward reads it: that of dense products and
 * of SubLN does, that of int8 does not. */
static const float *normed(const struct pass *p, enum bd_lin lin, const float *x, const float *gain)
{
	const struct bd_linear *w = &p->w->lin[lin];

	if (w->codes == NULL || w->gain != NULL)
		bd_pass_norm(p, p->a->c, NULL, x, gain, p->T, p->C);
	return p->a->c;
}

/* The gradient that reaches a branch's last linear: that of the residual stream, dx[T,C], taken back through
 * the norm that follows the linear, if there is one (input y, gain `post`). */
static const float *branch_back(const struct back *k, const float *dx, enum bd_slot slot, const float *post,
                                const float *y, const float *r)
{
	const struct pass *p = &k->p;

	if (post == NULL)
		return dx;
	bd_rmsnorm_backward(
	    p->dev, &(struct bd_rmsnorm_grad){p->a->c, grad_of(k, slot), dx, y, r, post, p->T, p->C, true});
	return p->a->c;
}

/* dx[T,C]: in, the gradient at the layer's output; out, at xm. */
static void ffn_back(const struct back *k, float *dx)
{
	const struct pass *p = &k->p;
	struct bd_acts *a = p->a;
	const struct layer *y = p->y;
	const float *dy = branch_back(k, dx, BD_FFN_POST, p->w->ffn_post, y->fo, y->rfo), *in;

	linear_back(k, a->a, false, BD_LIN_DOWN, dy, y->act);
	bd_glu_backward(p->dev, &(struct bd_glu_grad){p->net->cfg.act, a->dgate, a->dup, a->a, y->gate, y->up,
	                                              p->T, p->F});
	in = normed(p, BD_LIN_GATE, y->xm, p->w->ffn_norm);
	linear_back(k, a->a, false, BD_LIN_GATE, a->dgate, in);
	linear_back(k, a->a, true, BD_LIN_UP, a->dup, in);
	bd_rmsnorm_backward(p->dev, &(struct bd_rmsnorm_grad){dx, grad_of(k, BD_FFN_NORM), a->a, y->xm, y->rm,
	                                                      p->w->ffn_norm, p->T, p->C, false});
}

/* dq, dk, dv of what attention reads, from the gradient of its output. */
static void scores_back(const struct pass *p, const float *dout)
{
	struct bd_acts *a = p->a;
	const struct layer *y = p->y;
	size_t q = p->T * p->H * p->D * sizeof(float), k = p->T * p->G * p->D * sizeof(float);

	bd_dev_fill(p->dev, a->dq, 0, q);
	bd_dev_fill(p->dev, a->dk, 0, k);
	bd_dev_fill(p->dev, a->dv, 0, k);
	bd_attention_backward(p->dev, &(struct bd_attention_grad){
	                                  .heads = bd_pass_heads(p),
	                                  .n_seq = p->b->n_seq,
	                                  .start = p->b->start,
	                                  .dq = a->dq,
	                                  .dk = a->dk,
	                                  .dv = a->dv,
	                                  .dout = dout,
	                                  .out = y->att,
	                                  .lse = y->lse,
	                                  .q = y->q,
	                                  .k = y->k,
	                                  .v = y->v,
	                              });
}

static void heads_back(const struct back *k)
{
	const struct pass *p = &k->p;
	struct bd_acts *a = p->a;
	const struct layer *y = p->y;

	bd_rmsnorm_backward(p->dev, &(struct bd_rmsnorm_grad){a->dq, grad_of(k, BD_Q_NORM), a->dq, y->qp,
	                                                      y->rq, p->w->q_norm, p->T * p->H, p->D, true});
	bd_rmsnorm_backward(p->dev, &(struct bd_rmsnorm_grad){a->dk, grad_of(k, BD_K_NORM), a->dk, y->kp,
	                                                      y->rk, p->w->k_norm, p->T * p->G, p->D, true});
}

/* dx[T,C]: in, the gradient at xm; out, at the layer's input x. */
static void attention_back(const struct back *k, float *dx, struct bd_state_grad *sg)
{
	const struct pass *p = &k->p;
	struct bd_acts *a = p->a;
	const struct layer *y = p->y;
	const struct bd_angles *g = &p->net->angles[p->slides];
	const float *dy = branch_back(k, dx, BD_ATTN_POST, p->w->attn_post, y->ao, y->rao), *in;

	linear_back(k, a->a, false, BD_LIN_O, dy, y->att);
	scores_back(p, a->a);
	if (sg != NULL && sg->layer == p->l)
		add_states(p, sg);
	bd_rope_backward(
	    p->dev, &(struct bd_rope_turn){a->dq, a->dk, g->cos, g->sin, a->pos, p->T, p->H, p->G, p->D});
	if (p->net->cfg.qk_norm)
		heads_back(k);
	in = normed(p, BD_LIN_Q, y->x, p->w->attn_norm);
	linear_back(k, a->a, false, BD_LIN_Q, a->dq, in);
	linear_back(k, a->a, true, BD_LIN_K, a->dk, in);
	linear_back(k, a->a, true, BD_LIN_V, a->dv, in);
	bd_rmsnorm_backward(p->dev, &(struct bd_rmsnorm_grad){dx, grad_of(k, BD_ATTN_NORM), a->a, y->x, y->rx,
	                                                      p->w->attn_norm, p->T, p->C, false});
}

void bd_net_backward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, float *dh,
                     const struct bd_model *m, float *grad, struct bd_state_grad *sg)
{
	size_t C = (size_t)net->cfg.hidden;
	float *dgain = grad + bd_model_param(m, BD_FINAL_NORM, -1)->off,
	      *dembed = grad + bd_model_param(m, BD_EMBED, -1)->off;

	bd_rmsnorm_backward(
	    net->dev, &(struct bd_rmsnorm_grad){dh, dgain, dh, a->xf, a->rf, net->final_norm, b->T, C, true});
	for (int l = net->cfg.layers - 1; l >= 0; l--) {
		struct back k = {bd_pass_layer(net, a, b, l), m, grad};

		ffn_back(&k, dh);
		attention_back(&k, dh, sg);
	}
	bd_embed_backward(net->dev,
	                  &(struct bd_embed_grad){dembed, dh, net->cfg.embed_scale, b->ids, b->T, C});
}
