/* Gated linear unit: out = act(gate) * up  (arXiv 2002.05202). Elementwise over n values. The activations:
 * silu(g) = g sigmoid(g); GELU with tanh, g (1 + tanh(u)) / 2 = g sigmoid(2u), u = sqrt(2/pi) (g + 0.044715
 * g^3)  (arXiv 1606.08415); relu(g)^2. */
#ifndef BD_OP_GLU_H
#define BD_OP_GLU_H

#include "machine/kern.h"
#include "model/config.h"

/* out may be gate. */
void bd_glu_forward(const struct bd_kern *k, enum bd_act act, float *out, const float *gate, const float *up,
                    size_t n);
/* dgate = dout up act'(gate), dup = dout act(gate): stored, not added; dgate or dup may be dout. */
void bd_glu_backward(const struct bd_kern *k, enum bd_act act, float *dgate, float *dup, const float *dout,
                     const float *gate, const float *up, size_t n);

#endif
