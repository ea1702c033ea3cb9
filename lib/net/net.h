/* The transformer, forward and backward, over one arena of activations; the same code trains,
 * evaluates and generates.
 *
 *	x = scale embed(ids)
 *	each layer:  x += post( o( attention( rope(qk-norm(q,k)), v ) ) ),  q,k,v of norm(x)
 *	             x += post( down( act(gate) * up ) ),                   gate,up of norm(x)
 *	h = norm(x);  z = h head^T
 *
 * post is an RMSNorm or nothing. A linear is dense (f32) or ternary x int8; in front of it there may be an
 * RMSNorm (SubLN). What differs between families are facts of the config, never names. In a ternary net the
 * logits of a position depend on the model and its prefix only: not on the batch, threads, chunking, cache or
 * ISA. Ids are checked against the vocabulary (BD_DATA). */
#ifndef BD_NET_H
#define BD_NET_H

#include <stdbool.h>

#include "machine/dev.h"
#include "model/model.h"
#include "math/op_embed.h"

struct bd_linear {
	size_t in, out;
	const float
	    *w; /* dense weights [out,in], or the What of a ternary layer that is being trained; else NULL */
	const float *master;  /* [out,in] what a ternary layer of a model is quantised from, else w or NULL */
	const uint8_t *codes; /* ternary codes [out, stride(in)] (quant.h), NULL: dense */
	float scale;
	const float *gain; /* RMSNorm on the input [in], or NULL */
	const float *bias; /* [out], or NULL */
};

struct bd_block {
	const float *attn_norm, *ffn_norm; /* [C] */
	const float *attn_post, *ffn_post; /* [C] or NULL */
	const float *q_norm, *k_norm;      /* [D] or NULL */
	struct bd_linear lin[BD_LINS];
};

struct bd_net {
	struct bd_config cfg;        /* owned */
	struct bd_dev *dev;          /* borrowed; every tensor below is in its memory */
	float *params;               /* of a net of a model: its m->data as the device sees it; else NULL */
	struct bd_table embed, head; /* head.p == embed.p when tied */
	const float *final_norm;
	struct bd_block *block; /* [L] */
	struct bd_angles {
		float *cos, *sin; /* [rope_n, D/2], grown on demand by bd_net_forward */
	} angles[2]; /* of layers that see everything, of those that slide (unset when none does) */
	size_t rope_n;
	float *rows; /* scratch of bd_net_logits: chosen rows of h and of dh, grown on demand */
	size_t rows_n;
	struct bd_owned {
		const void *p;
		bool mapped; /* by bd_dev_map, else bd_dev_alloc */
	} * owned;           /* [n_owned] what is given back with the net */
	size_t n_owned;
	void (*release)(void *), *release_arg; /* e.g. closes the mapped file; called by bd_net_free */
};

/* A net of this config with no weights yet: for readers of packed files, which fill embed, head, final_norm
 * and block[]. dev must outlive it. */
struct bd_net *bd_net_new(const struct bd_config *c, struct bd_dev *dev);
/* Memory that lasts as long as the net: n bytes of the device, holding what stands at `host` (copied), or
 * zeros if NULL; or what the device makes of n bytes at `host`, which outlive the net (bd_dev_map). */
void *bd_net_keep(struct bd_net *net, const void *host, size_t n);
const void *bd_net_map(struct bd_net *net, const void *host, size_t n);
void bd_net_free(struct bd_net *net); /* NULL is fine */

/* After net->params changed: quantises them again (ternary nets). */
void bd_net_refresh(struct bd_net *net);

/* Sequences lying one after another: sequence s is ids[start[s] .. start[s+1]). */
struct bd_batch {
	size_t n_seq, T;
	size_t *start; /* [n_seq + 1] */
	uint32_t *ids; /* [T] */
};

/* Keys and values of one sequence seen so far. */
struct bd_kv {
	struct bd_dev *dev;
	size_t n, cap; /* positions filled, room */
	size_t layers;
	float **k, **v; /* [L] of [cap, G, D] */
};
struct bd_kv *bd_kv_new(const struct bd_net *net, size_t cap);
/* The same with more room. */
struct bd_kv *bd_kv_grown(const struct bd_net *net, struct bd_kv *kv, size_t cap);
void bd_kv_free(struct bd_kv *kv);

/* Activations. train: every layer's are kept for backward; else one layer's memory serves
 * all. Grows as needed. */
struct bd_acts;
struct bd_acts *bd_acts_new(const struct bd_net *net, bool train);
void bd_acts_free(struct bd_acts *a);
/* Bytes of the device that the activations of T tokens take: laid out, not allocated. */
size_t bd_acts_bytes(const struct bd_config *c, bool train, size_t T);

/* Runs the batch; returns h[T,C], the hidden states after the final norm (owned by a). kv: NULL, or one cache
 * for each sequence, whose positions go on from kv[s]->n and which is extended (dies BD_DATA when full). */
const float *bd_net_forward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b,
                            struct bd_kv *const *kv);

/* What enters attention in `layer` of the last forward: which = 0 q [T, H*D] and 1 k [T, G*D] after q/k norm
 * and rope, 2 v [T, G*D]. Needs train acts, or bd_acts_watch before the forward. */
const float *bd_acts_state(const struct bd_acts *a, int layer, int which);
void bd_acts_watch(struct bd_acts *a, int layer); /* keep this layer's states also without train; -1: none */

/* Logits of P chosen rows (host array) of h: z[P,V], the device's. Inference: kern.h's order. train (dense
 * GEMM): faster, not invariant. */
void bd_net_logits(struct bd_net *net, float *z, const float *h, const size_t *row, size_t P, bool train);
/* Given dz[P,V] of those rows: dh[T,C] += dz head (at the rows), dhead += dz^T h. */
void bd_net_logits_backward(struct bd_net *net, float *dh, float *dhead, const float *dz, const float *h,
                            const size_t *row, size_t P);

/* Extra gradient on the states of one layer (attention-relation distillation). */
struct bd_state_grad {
	int layer;        /* -1: none */
	float *d[3];      /* dq [T,H*D], dk, dv [T,G*D]: added when backward arrives there */
	double other2[3]; /* out: sum of squares of the gradient that arrived there from the other losses */
};
/* Backward from dh[T,C] (destroyed). grad: the same layout as m->data, in the device's memory, added to. Only
 * after a forward of train acts without kv. */
void bd_net_backward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, float *dh,
                     const struct bd_model *m, float *grad, struct bd_state_grad *sg);

#endif
