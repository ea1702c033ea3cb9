/* Gated linear unit: out = act(gate) * up (arXiv 2002.05202), elementwise. The activations: silu(g) = g
 * sigmoid(g); GELU with tanh, g (1 + tanh(u)) / 2 = g sigmoid(2u), u = sqrt(2/pi) (g + 0.044715 g^3) (arXiv
 * 1606.08415); relu(g)^2. */
#ifndef BD_OP_GLU_H
#define BD_OP_GLU_H

#include "model/config.h"
#include "machine/dev.h"

struct bd_glu {
	enum bd_act act;
	float *out;             /* [T,F], may be gate */
	const float *gate, *up; /* [T,F] */
	size_t T, F;
};
void bd_glu_forward(struct bd_dev *dev, const struct bd_glu *o);

/* dgate = dout up act'(gate), dup = dout act(gate): stored, not added. */
struct bd_glu_grad {
	enum bd_act act;
	float *dgate, *dup; /* [T,F], one of them may be dout */
	const float *dout, *gate, *up;
	size_t T, F;
};
void bd_glu_backward(struct bd_dev *dev, const struct bd_glu_grad *o);

extern const struct bd_op bd_op_glu_forward, bd_op_glu_backward;

#endif
