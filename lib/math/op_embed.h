/* The token table: rows looked up on the way in, and (head) multiplied by on the way out. */
#ifndef BD_OP_EMBED_H
#define BD_OP_EMBED_H

#include "format/gguf.h"
#include "machine/kern.h"
#include "machine/par.h"

#include <stdint.h>

#define BD_TABLE_COLS 16384
struct bd_table {
	/* one of gguf_table.h; rows wider than BD_TABLE_COLS only in F32, F16 and Q8_0 */
	enum bd_ggml_type type;
	size_t rows, cols; /* V, C */
	const void *p;
};

/* out[T,C] = scale table[ids[t]]. ids are checked by the caller. */
void bd_embed_forward(float *out, const struct bd_table *e, float scale, const uint32_t *ids, size_t T);
/* dtable[V,C] += scale dout[t] at row ids[t]. */
void bd_embed_backward(float *dtable, const float *dout, float scale, const uint32_t *ids, size_t T,
                       size_t C);
/* Inference head: z[P,V] = h[P,C] table^T in kern.h's order, so a row of z depends on its row of h only.
 * Split over par by V. */
void bd_head_forward(struct bd_par *par, const struct bd_kern *k, float *z, const float *h,
                     const struct bd_table *e, size_t P);

#endif
