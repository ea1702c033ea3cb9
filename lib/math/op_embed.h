/* The token table: rows looked up on the way in, and (head) multiplied by on the way out. */
#ifndef BD_OP_EMBED_H
#define BD_OP_EMBED_H

#include <stdint.h>

#include "machine/dev.h"
#include "format/gguf.h"

struct bd_table {
	enum bd_ggml_type type; /* one of gguf_table.h */
	size_t rows, cols;      /* V, C */
	const void *p;
};

/* out[T,C] = scale table[ids[t]]. ids are checked by the caller. */
struct bd_embed {
	float *out;
	struct bd_table table;
	float scale;
	const uint32_t *ids; /* host, [T] */
	size_t T;
};
void bd_embed_forward(struct bd_dev *dev, const struct bd_embed *o);

/* dtable[V,C] += scale dout[t] at row ids[t]. */
struct bd_embed_grad {
	float *dtable;
	const float *dout; /* [T,C] */
	float scale;
	const uint32_t *ids; /* host, [T] */
	size_t T, C;
};
void bd_embed_backward(struct bd_dev *dev, const struct bd_embed_grad *o);

/* The head of inference: z[P,V] = h[P,C] table^T in kern.h's order, so a row of z depends on its row of h
 * only. Quantised rows (Q8_0, Q6_K, Q4_0) are multiplied as integers with h in int8 (kern.h, bd_kern_table),
 * or, if `first` says so, as floats: the arithmetic of packed files of version 1. */
struct bd_lm_head {
	float *z; /* [P,V], or [P,n] of some rows of the table: pick[n], in host memory; NULL: all */
	const float *h;
	struct bd_table table;
	const uint32_t *pick;
	size_t n, P;
	bool first;
};
void bd_lm_head_forward(struct bd_dev *dev, const struct bd_lm_head *o);

extern const struct bd_op bd_op_embed_forward, bd_op_embed_backward, bd_op_lm_head_forward;

#endif
