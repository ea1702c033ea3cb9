/* The net: its memory, its caches of keys and values, its head. The layers are in net_forward.c
 * and net_backward.c. */
#include <string.h>

#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/finite.h"
#include "net/net.h"
#include "math/op_linear.h"
#include "math/op_vec.h"
#include "machine/quant.h"

/* ---- the net ---- */

struct bd_net *bd_net_new(const struct bd_config *c, struct bd_dev *dev)
{
	struct bd_net *net = bd_zalloc(1, sizeof(*net));

	net->cfg = bd_config_copy(c);
	net->dev = dev;
	net->block = bd_zalloc((size_t)c->layers, sizeof(*net->block));
	for (int l = 0; l < c->layers; l++)
		for (enum bd_lin i = 0; i < BD_LINS; i++) {
			net->block[l].lin[i].in = bd_lin_in(c, i);
			net->block[l].lin[i].out = bd_lin_out(c, i);
		}
	return net;
}

static void own(struct bd_net *net, const void *p, bool mapped)
{
	net->owned = bd_resize(net->owned, net->n_owned, net->n_owned + 1, sizeof(*net->owned));
	net->owned[net->n_owned++] = (struct bd_owned){p, mapped};
}

void *bd_net_keep(struct bd_net *net, const void *host, size_t n)
{
	void *p = bd_dev_alloc(net->dev, n, 1);

	if (host != NULL)
		bd_dev_to(net->dev, p, host, n);
	own(net, p, false);
	return p;
}

const void *bd_net_map(struct bd_net *net, const void *host, size_t n)
{
	const void *p = bd_dev_map(net->dev, host, n);

	own(net, p, true);
	return p;
}

static void release(struct bd_net *net)
{
	for (size_t i = 0; i < net->n_owned; i++)
		if (net->owned[i].mapped)
			bd_dev_unmap(net->dev, net->owned[i].p);
		else
			bd_dev_free(net->dev, net->owned[i].p);
	bd_free(net->owned);
}

void bd_net_free(struct bd_net *net)
{
	if (net == NULL)
		return;
	release(net);
	for (int i = 0; i < 2; i++) {
		bd_dev_free(net->dev, net->angles[i].cos);
		bd_dev_free(net->dev, net->angles[i].sin);
	}
	bd_dev_free(net->dev, net->rows);
	if (net->release != NULL)
		net->release(net->release_arg);
	bd_free(net->block);
	bd_config_free(&net->cfg);
	bd_free(net);
}

void bd_net_refresh(struct bd_net *net)
{
	size_t n = (size_t)net->cfg.layers * BD_LINS;
	struct bd_ternarised *item;

	if (!net->cfg.ternary)
		return;
	item = bd_alloc(n, sizeof(*item));
	for (size_t i = 0; i < n; i++) {
		struct bd_linear *w = &net->block[i / BD_LINS].lin[i % BD_LINS];

		item[i] = (struct bd_ternarised){.codes = (uint8_t *)(uintptr_t)w->codes,
		                                 .what = (float *)(uintptr_t)w->w,
		                                 .scale = &w->scale,
		                                 .w = w->master,
		                                 .N = w->out,
		                                 .K = w->in};
	}
	bd_ternarise(net->dev, &(struct bd_ternarise){item, n});
	bd_dev_wait(net->dev);
	bd_free(item);
}

/* ---- keys and values ---- */

struct bd_kv *bd_kv_new(const struct bd_net *net, size_t cap)
{
	const struct bd_config *c = &net->cfg;
	size_t L = (size_t)c->layers, width = (size_t)c->kv_heads * (size_t)c->head_dim;
	struct bd_kv *kv = bd_zalloc(1, sizeof(*kv));

	kv->dev = net->dev;
	kv->cap = cap;
	kv->layers = L;
	kv->k = bd_zalloc(L, sizeof(*kv->k));
	kv->v = bd_zalloc(L, sizeof(*kv->v));
	for (size_t l = 0; l < L; l++) {
		kv->k[l] = bd_dev_alloc(kv->dev, bd_mul(cap, width), sizeof(float));
		kv->v[l] = bd_dev_alloc(kv->dev, bd_mul(cap, width), sizeof(float));
	}
	return kv;
}

struct bd_kv *bd_kv_grown(const struct bd_net *net, struct bd_kv *kv, size_t cap)
{
	size_t width = (size_t)net->cfg.kv_heads * (size_t)net->cfg.head_dim;
	struct bd_kv *to = bd_kv_new(net, cap);

	to->n = kv->n;
	for (size_t l = 0; l < kv->layers; l++) {
		bd_dev_within(kv->dev, to->k[l], kv->k[l], kv->n * width * sizeof(float));
		bd_dev_within(kv->dev, to->v[l], kv->v[l], kv->n * width * sizeof(float));
	}
	bd_kv_free(kv);
	return to;
}

void bd_kv_free(struct bd_kv *kv)
{
	if (kv == NULL)
		return;
	for (size_t l = 0; l < kv->layers; l++) {
		bd_dev_free(kv->dev, kv->k[l]);
		bd_dev_free(kv->dev, kv->v[l]);
	}
	bd_free(kv->k);
	bd_free(kv->v);
	bd_free(kv);
}

/* ---- head ---- */

/* P rows of h, followed by room for their gradient. */
static float *gather(struct bd_net *net, const float *h, const size_t *row, size_t P)
{
	struct bd_scope *before = bd_guard_into(net->dev->scope);
	size_t C = (size_t)net->cfg.hidden;

	net->rows = bd_dev_reach(net->dev, net->rows, &net->rows_n, bd_mul(2 * P, C), sizeof(float));
	bd_guard_into(before);
	bd_vec_gather(net->dev, &(struct bd_vec_rows){net->rows, (float *)(uintptr_t)h, row, P, C});
	return net->rows;
}

void bd_net_logits(struct bd_net *net, float *z, const float *h, const size_t *row, size_t P, bool train)
{
	const struct bd_table *e = &net->head;
	float *g = gather(net, h, row, P);

	if (train || !net->cfg.ternary)
		bd_dense_forward(net->dev, &(struct bd_dense){.y = z,
		                                              .x = g,
		                                              .w = e->type == BD_GGML_F32 ? e->p : NULL,
		                                              .half = e->p,
		                                              .bf16 = e->type == BD_GGML_BF16,
		                                              .T = P,
		                                              .N = e->rows,
		                                              .K = e->cols});
	else
		bd_lm_head_forward(
		    net->dev, &(struct bd_lm_head){.z = z, .h = g, .table = *e, .P = P, .first = net->first});
}

void bd_net_logits_of(struct bd_net *net, float *z, const float *h, const size_t *row, size_t P,
                      const uint32_t *ids, size_t n)
{
	float *g = gather(net, h, row, P);

	bd_lm_head_forward(net->dev, &(struct bd_lm_head){z, g, net->head, ids, n, P, net->first});
}

float *bd_net_view(struct bd_net *net, float *z, float *copy, size_t n, size_t V)
{
	float *seen = bd_dev_view(net->dev, z, copy, n * V * sizeof(*z));

	if (bd_bad_row(net->dev->par, BD_GGML_F32, seen, n, V) < n)
		bd_die(BD_DATA,
		       "%s: computes logits that are NaN or infinite; start from an earlier checkpoint",
		       net->cfg.name);
	return seen;
}

void bd_net_logits_backward(struct bd_net *net, float *dh, float *dhead, const float *dz, const float *h,
                            const size_t *row, size_t P)
{
	const struct bd_table *e = &net->head;
	size_t C = e->cols;
	float *g = gather(net, h, row, P), *dg = g + P * C;

	bd_dense_backward(
	    net->dev,
	    &(struct bd_dense_grad){
	        .dx = dg, .beta = 0, .dw = dhead, .dy = dz, .x = g, .w = e->p, .T = P, .N = e->rows, .K = C});
	bd_vec_scatter(net->dev, &(struct bd_vec_rows){dg, dh, row, P, C});
}
