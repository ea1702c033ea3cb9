/* Rotary position embedding, half-split ("NEOX") layout: pairs (x_i, x_{i+D/2}) turn by pos * inv_freq_i
 * (arXiv 2104.09864). */
#ifndef BD_OP_ROPE_H
#define BD_OP_ROPE_H

#include "model/config.h"

#include <stddef.h>
#include <stdint.h>

/* cos/sin[n, D/2] for positions 0..n-1, with r's scaling; computed in double. */
void bd_rope_table(float *cos, float *sin, const struct bd_rope *r, size_t D, size_t n);
/* x[T, heads, D] in place; row t is at position pos[t]. */
void bd_rope_forward(float *x, const uint32_t *pos, const float *cos, const float *sin, size_t T,
                     size_t heads, size_t D);
/* dx in place: the transpose of forward. */
void bd_rope_backward(float *dx, const uint32_t *pos, const float *cos, const float *sin, size_t T,
                      size_t heads, size_t D);

#endif
