/* The transformer, forward and backward, over one arena of activations; the same code trains,
 * evaluates and generates.
 *
 *	x = scale embed(ids)
 *	each layer:  x += post( o( attention( rope(qk-norm(q,k)), v ) ) ),  q,k,v of norm(x)
 *	             x += post( down( act(gate) * up ) ),                   gate,up of norm(x)
 *	h = norm(x);  z = h head^T
 *
 * post is an RMSNorm or nothing. A linear is dense (f32) or ternary x int8; its input may pass through an
 * RMSNorm (SubLN). Families differ by facts in the config, never by name. In a ternary net the logits of a
 * position depend on the model and the position's prefix only: not on the batch, the number of threads,
 * chunking, the cache or the ISA. Ids are checked against the vocabulary (BD_DATA). */
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
	const uint16_t *half; /* dense weights [out,in] as a checkpoint has them, in bf16 or f16; else NULL */
	bool bf16;
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
	float *params;               /* m->data in the device's memory, if made from a model m; else NULL */
	struct bd_table embed, head; /* head.p == embed.p when tied */
	bool first; /* the arithmetic of packed files of version 1, to check their golden prompts */
	const float *final_norm;
	struct bd_block *block; /* [L] */
	struct bd_angles {
		float *cos, *sin; /* [rope_n, D/2], grown on demand by bd_net_forward */
	} angles[2]; /* of layers that see everything, of those that see a window (unset if none does) */
	size_t rope_n;
	float *rows; /* scratch of bd_net_logits: chosen rows of h and of dh, grown on demand */
	size_t rows_n;
	struct bd_owned {
		const void *p;
		bool mapped; /* by bd_dev_map, else bd_dev_alloc */
	} * owned;           /* [n_owned] what bd_net_free gives back */
	size_t n_owned;
	void (*release)(void *), *release_arg; /* e.g. closes the mapped file; called by bd_net_free */
};

/* A net of this config with no weights yet: for readers of packed files, which fill embed, head, final_norm
 * and block[]. dev must outlive it. */
struct bd_net *bd_net_new(const struct bd_config *c, struct bd_dev *dev);
/* Device memory that lasts as long as the net. keep: n bytes, copied from `host`, or zeros if `host` is NULL.
 * map: the device's address for n bytes at `host`, which must outlive the net (bd_dev_map). */
void *bd_net_keep(struct bd_net *net, const void *host, size_t n);
const void *bd_net_map(struct bd_net *net, const void *host, size_t n);
void bd_net_free(struct bd_net *net); /* NULL is fine */

/* To be called after net->params has changed: quantises the linears of a ternary net again. */
void bd_net_refresh(struct bd_net *net);

struct bd_kv;

/* Sequences laid end to end: sequence s is ids[start[s] .. start[s+1]). */
struct bd_batch {
	size_t n_seq, T;
	size_t *start; /* [n_seq + 1] */
	uint32_t *ids; /* [T] */
	const struct bd_kv
	    *shared; /* what all of them begin with, computed before; NULL: nothing. Only without
	                             * caches of their own, in inference. */
};

/* Keys and values of one sequence so far. */
struct bd_kv {
	struct bd_dev *dev;
	size_t n, cap; /* positions filled, room */
	size_t layers;
	float **k, **v; /* [L] of [cap, G, D] */
};
struct bd_kv *bd_kv_new(const struct bd_net *net, size_t cap);
/* The same with more room; kv is freed. */
struct bd_kv *bd_kv_grown(const struct bd_net *net, struct bd_kv *kv, size_t cap);
void bd_kv_free(struct bd_kv *kv);

/* Activations, which grow as needed. train: those of every layer are kept for backward; else all layers share
 * the memory of one. */
struct bd_acts;
struct bd_acts *bd_acts_new(const struct bd_net *net, bool train);
void bd_acts_free(struct bd_acts *a);
/* Bytes of device memory that the activations of T tokens take; allocates nothing. */
size_t bd_acts_bytes(const struct bd_config *c, bool train, size_t T);

/* Runs the batch; returns h[T,C], the hidden states after the final norm (owned by a). kv: NULL, or one cache
 * for each sequence: the positions of sequence s continue from kv[s]->n, and its keys and values are appended
 * (dies BD_DATA when the cache is full). */
const float *bd_net_forward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b,
                            struct bd_kv *const *kv);

/* What attention reads in `layer` of the last forward pass: which = 0: q [T, H*D] and 1: k [T, G*D] after q/k
 * norm and rope, 2: v [T, G*D]. Needs activations made with `train`, or bd_acts_watch before the pass. */
const float *bd_acts_state(const struct bd_acts *a, int layer, int which);
void bd_acts_watch(struct bd_acts *a, int layer); /* keeps this layer's states without train, too; -1: none */

/* Logits z[P,V], in device memory, of P chosen rows (a host array) of h. Inference: kern.h's order. train
 * (dense GEMM): faster, not invariant. */
void bd_net_logits(struct bd_net *net, float *z, const float *h, const size_t *row, size_t P, bool train);
/* Inference, of the n ids alone (a host array, all in the vocabulary): z[P,n]. */
void bd_net_logits_of(struct bd_net *net, float *z, const float *h, const size_t *row, size_t P,
                      const uint32_t *ids, size_t n);
/* The logits z[n,V] of either, where the host can read them (bd_dev_view); dies BD_DATA if one is not
 * finite. */
float *bd_net_view(struct bd_net *net, float *z, float *copy, size_t n, size_t V);
/* Given dz[P,V] of those rows: dh[T,C] += dz head (at the rows), dhead += dz^T h. */
void bd_net_logits_backward(struct bd_net *net, float *dh, float *dhead, const float *dz, const float *h,
                            const size_t *row, size_t P);

/* Extra gradient on the states of one layer (attention-relation distillation). */
struct bd_state_grad {
	int layer;        /* -1: none */
	float *d[3];      /* dq [T,H*D], dk, dv [T,G*D]: added when backward arrives there */
	double other2[3]; /* out: sum of squares of the gradient that arrived there from the other losses */
};
/* The backward pass from dh[T,C], which is destroyed. Adds to grad, which is laid out as m->data and in
 * device memory. Only after a forward pass without kv, with activations made with `train`. */
void bd_net_backward(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, float *dh,
                     const struct bd_model *m, float *grad, struct bd_state_grad *sg);

#endif
