/* Causal grouped-query attention of one sequence: p = softmax(scale q k^T), out = p v. Keys of a session lie
 * in its cache, keys of a training sequence in its activations: both are k, v[past + n, G, D]. */
#ifndef BD_OP_ATTENTION_H
#define BD_OP_ATTENTION_H

#include "machine/kern.h"

struct bd_attn {
	size_t n, past; /* queries, and keys before the first query; query i sees keys up to past + i */
	size_t window;  /* so many of them at most, the last ones; 0: all */
	size_t H, G, D; /* query heads, key/value heads, head size */
	float scale;
};

/* Floats of scratch one call needs. */
size_t bd_attention_scratch(const struct bd_attn *a);
/* Head h: out[n,H,D] and lse[n,H] (log-sum-exp of the scaled scores; may be NULL) from q[n,H,D], k,
 * v[past+n,G,D]. The bits of query i depend on its q and on the keys/values it sees only (kern.h orders). */
void bd_attention_forward(const struct bd_kern *kern, const struct bd_attn *a, size_t h, float *out,
                          float *lse, const float *q, const float *k, const float *v, float *scratch);
/* All query heads of key/value head g (training: past = 0): dq[n,H,D], dk, dv[n,G,D] += from dout[n,H,D] and
 * forward's out, lse. */
void bd_attention_backward(const struct bd_kern *kern, const struct bd_attn *a, size_t g, float *dq,
                           float *dk, float *dv, const float *dout, const float *out, const float *lse,
                           const float *q, const float *k, const float *v, float *scratch);

#endif
