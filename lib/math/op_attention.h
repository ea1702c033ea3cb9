/* Causal grouped-query attention of sequences: p = softmax(scale q k^T), out = p v. Keys of a session lie in
 * its cache, keys of a training sequence in its activations. */
#ifndef BD_OP_ATTENTION_H
#define BD_OP_ATTENTION_H

#include <stdint.h>

#include "machine/dev.h"

struct bd_heads {
	size_t H, G, D; /* query heads, key/value heads, head size */
	size_t window;  /* a query sees at most this many keys, the last ones; 0: all */
	float scale;
};

/* Sequence s: its queries are tokens start[s] .. start[s+1] of q, out, lse; its keys and values are key[s],
 * val[s] [past[s] + n,G,D], of which query i sees those up to past[s] + i. The bits of a query's result
 * depend only on it and on the keys and values that it sees: its scores are of q * scale; the keys come in
 * blocks that begin at multiples of 256, each with its own maximum m, total of e = exp(s - m), and sum of e v
 * (kern.h: scores, exps, mix); with what was seen before, M, they are joined as x exp(M - max) + y exp(m -
 * max), max = max(M, m), and the sum is divided by the total at last. */
struct bd_attention {
	struct bd_heads heads;
	size_t n_seq;
	const size_t *start, *past;           /* host, [n_seq + 1], [n_seq] */
	const float *const *key, *const *val; /* host, [n_seq] of device addresses */
	const float *q;                       /* [T,H,D] */
	float *out, *lse;                     /* [T,H,D]; [T,H], log-sum-exp of the scaled scores */
	/* Keys and values [shared,G,D] of the first positions, the same for all sequences; those of a
	 * sequence follow. past counts them. */
	const float *shared_key, *shared_val;
	size_t shared;
	bool first; /* as packed files of version 1 have it: one block, dot, softmax, axpy */
};
void bd_attention_forward(struct bd_dev *dev, const struct bd_attention *o);

/* dq, dk, dv += from dout and forward's out, lse; the keys of a sequence are its tokens (past 0). */
struct bd_attention_grad {
	struct bd_heads heads;
	size_t n_seq;
	const size_t *start;                       /* host, [n_seq + 1] */
	float *dq, *dk, *dv;                       /* [T,H,D], [T,G,D], [T,G,D] */
	const float *dout, *out, *lse, *q, *k, *v; /* [T,H,D], lse [T,H], k and v [T,G,D] */
};
void bd_attention_backward(struct bd_dev *dev, const struct bd_attention_grad *o);

/* Floats of scratch that a thread of the CPU needs for a sequence of n queries behind `past` keys. */
size_t bd_attention_scratch(const struct bd_heads *heads, size_t past, size_t n);

extern const struct bd_op bd_op_attention_forward, bd_op_attention_backward;

#endif
