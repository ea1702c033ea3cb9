/* Gated linear unit, SwiGLU: out = silu(gate) * up  (arXiv 2002.05202). Elementwise over n values. */
#ifndef BD_OP_GLU_H
#define BD_OP_GLU_H

#include "kern.h"

void bd_glu_forward(const struct bd_kern *k, float *out, const float *gate, const float *up, size_t n);
/* dgate = dout up silu'(gate), dup = dout silu(gate): stored, not added; dgate or dup may be dout. */
void bd_glu_backward(const struct bd_kern *k, float *dgate, float *dup, const float *dout, const float *gate,
                     const float *up, size_t n);

#endif
