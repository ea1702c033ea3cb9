/* Rotary position embedding, half-split ("NEOX") layout: pairs (x_i, x_{i+D/2}) turn by pos * inv_freq_i
 * (arXiv 2104.09864). */
#ifndef BD_OP_ROPE_H
#define BD_OP_ROPE_H

#include <stdint.h>

#include "model/config.h"
#include "machine/dev.h"

/* Host arrays cos/sin[n, D/2] for positions 0..n-1, with r's scaling; computed in double. */
void bd_rope_table(float *cos, float *sin, const struct bd_rope *r, size_t D, size_t n);

/* Queries and keys turn in place; token t is at position pos[t]. */
struct bd_rope_turn {
	float *q, *k;           /* [T,H,D], [T,G,D] */
	const float *cos, *sin; /* [positions, D/2] */
	const uint32_t *pos;    /* host, [T] */
	size_t T, H, G, D;
};
void bd_rope_forward(struct bd_dev *dev, const struct bd_rope_turn *o);
/* On gradients: the transpose of forward. */
void bd_rope_backward(struct bd_dev *dev, const struct bd_rope_turn *o);

extern const struct bd_op bd_op_rope_forward, bd_op_rope_backward;

#endif
