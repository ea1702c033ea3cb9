/* The net: its weights from a model, its caches of keys and values, its head. The layers are in net_forward.c
 * and net_backward.c. */
#include "net/net.h"

#include "base/mem.h"
#include "machine/quant.h"
#include "math/op_linear.h"

#include <string.h>

/* ---- the net ---- */

struct bd_net *bd_net_new(const struct bd_config *c, struct bd_par *par)
{
	struct bd_net *net = bd_zalloc(1, sizeof(*net));

	net->cfg = bd_config_copy(c);
	net->par = par;
	net->kern = bd_kern();
	net->block = bd_net_own(net, bd_zalloc((size_t)c->layers, sizeof(*net->block)));
	for (int l = 0; l < c->layers; l++)
		for (enum bd_lin i = 0; i < BD_LINS; i++) {
			net->block[l].lin[i].in = bd_lin_in(c, i);
			net->block[l].lin[i].out = bd_lin_out(c, i);
		}
	return net;
}

void *bd_net_own(struct bd_net *net, void *p)
{
	net->owned = bd_resize(net->owned, net->n_owned, net->n_owned + 1, sizeof(*net->owned));
	return net->owned[net->n_owned++] = p;
}

void bd_net_free(struct bd_net *net)
{
	if (net == NULL)
		return;
	for (size_t i = 0; i < net->n_owned; i++)
		bd_free(net->owned[i]);
	bd_free(net->owned);
	for (int i = 0; i < 2; i++) {
		bd_free(net->angles[i].cos);
		bd_free(net->angles[i].sin);
	}
	bd_free(net->rows);
	if (net->release != NULL)
		net->release(net->release_arg);
	bd_config_free(&net->cfg);
	bd_free(net);
}

struct bd_net *bd_net_from_model(const struct bd_model *m, struct bd_par *par, bool train)
{
	const struct bd_config *c = &m->cfg;
	struct bd_net *net = bd_net_new(c, par);
	size_t C = (size_t)c->hidden, V = (size_t)c->vocab;

	net->embed = (struct bd_table){BD_GGML_F32, V, C, bd_model_data(m, BD_EMBED, -1)};
	net->head =
	    c->tied ? net->embed : (struct bd_table){BD_GGML_F32, V, C, bd_model_data(m, BD_HEAD, -1)};
	net->final_norm = bd_model_data(m, BD_FINAL_NORM, -1);
	for (int l = 0; l < c->layers; l++) {
		struct bd_block *b = &net->block[l];

		b->attn_norm = bd_model_data(m, BD_ATTN_NORM, l);
		b->ffn_norm = bd_model_data(m, BD_FFN_NORM, l);
		b->attn_post = bd_model_data(m, BD_ATTN_POST, l);
		b->ffn_post = bd_model_data(m, BD_FFN_POST, l);
		b->q_norm = bd_model_data(m, BD_Q_NORM, l);
		b->k_norm = bd_model_data(m, BD_K_NORM, l);
		for (enum bd_lin i = 0; i < BD_LINS; i++) {
			struct bd_linear *w = &b->lin[i];

			w->gain = bd_model_data(m, BD_SUBLN + i, l);
			w->bias = bd_model_data(m, BD_BIAS + i, l);
			if (!c->ternary)
				w->w = bd_model_data(m, BD_W + i, l);
			else
				w->codes = bd_net_own(net, bd_alloc(w->out, bd_ternary_stride(w->in)));
			if (c->ternary && train)
				w->w = bd_net_own(net, bd_alloc(bd_mul(w->out, w->in), sizeof(float)));
		}
	}
	bd_net_refresh(net, m);
	return net;
}

struct refresh {
	struct bd_net *net;
	const struct bd_model *m;
};

static void refresh_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct refresh *r = ctx;

	(void)slice;
	for (size_t i = begin; i < end; i++) {
		int l = (int)(i / BD_LINS);
		enum bd_lin lin = (enum bd_lin)(i % BD_LINS);
		struct bd_linear *w = &r->net->block[l].lin[lin];
		const float *master = bd_model_data(r->m, BD_W + lin, l);

		w->scale = bd_absmean(master, w->out, w->in);
		bd_ternary_pack((uint8_t *)w->codes, master, w->out, w->in, w->scale);
		if (w->w != NULL)
			bd_ternary_unpack((float *)w->w, w->codes, w->out, w->in, w->scale);
	}
}

void bd_net_refresh(struct bd_net *net, const struct bd_model *m)
{
	if (net->cfg.ternary)
		bd_par_for(net->par, (size_t)net->cfg.layers * BD_LINS, refresh_slice,
		           &(struct refresh){net, m});
}

/* ---- keys and values ---- */

struct bd_kv *bd_kv_new(const struct bd_net *net, size_t cap)
{
	const struct bd_config *c = &net->cfg;
	size_t L = (size_t)c->layers, width = (size_t)c->kv_heads * (size_t)c->head_dim;
	struct bd_kv *kv = bd_zalloc(1, sizeof(*kv));

	kv->cap = cap;
	kv->layers = L;
	kv->k = bd_zalloc(L, sizeof(*kv->k));
	kv->v = bd_zalloc(L, sizeof(*kv->v));
	for (size_t l = 0; l < L; l++) {
		kv->k[l] = bd_alloc(bd_mul(cap, width), sizeof(float));
		kv->v[l] = bd_alloc(bd_mul(cap, width), sizeof(float));
	}
	return kv;
}

void bd_kv_free(struct bd_kv *kv)
{
	if (kv == NULL)
		return;
	for (size_t l = 0; l < kv->layers; l++) {
		bd_free(kv->k[l]);
		bd_free(kv->v[l]);
	}
	bd_free(kv->k);
	bd_free(kv->v);
	bd_free(kv);
}

/* ---- head ---- */

/* Scratch for n rows of width C, twice. */
static float *rows_reach(struct bd_net *net, size_t n)
{
	size_t need = bd_mul(2 * n, (size_t)net->cfg.hidden);

	if (need > net->rows_n) {
		bd_free(net->rows);
		net->rows = bd_alloc(need, sizeof(float));
		net->rows_n = need;
	}
	return net->rows;
}

static float *gather(struct bd_net *net, const float *h, const size_t *row, size_t P)
{
	size_t C = (size_t)net->cfg.hidden;
	float *g = rows_reach(net, P);

	for (size_t j = 0; j < P; j++)
		memcpy(g + j * C, h + row[j] * C, C * sizeof(float));
	return g;
}

void bd_net_logits(struct bd_net *net, float *z, const float *h, const size_t *row, size_t P, bool train)
{
	float *g = gather(net, h, row, P);

	if (train || !net->cfg.ternary)
		bd_linear_forward(net->par, z, g, net->head.p, NULL, P, net->head.rows, net->head.cols);
	else
		bd_head_forward(net->par, net->kern, z, g, &net->head, P);
}

void bd_net_logits_backward(struct bd_net *net, float *dh, float *dhead, const float *dz, const float *h,
                            const size_t *row, size_t P)
{
	size_t C = (size_t)net->cfg.hidden;
	float *g = gather(net, h, row, P), *dg = g + P * C;

	bd_linear_backward(net->par, dg, 0.0f, dhead, NULL, dz, g, net->head.p, P, net->head.rows, C);
	for (size_t j = 0; j < P; j++)
		for (size_t i = 0; i < C; i++)
			dh[row[j] * C + i] += dg[j * C + i];
}
