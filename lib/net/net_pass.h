/* Internal to net: what a pass over one layer, forward or backward, has at hand. Operands are passed from
 * line to line as arguments. */
#ifndef BD_NET_PASS_H
#define BD_NET_PASS_H

#include "net/net_acts.h"
#include "math/op_attention.h"

struct pass {
	struct bd_net *net;
	struct bd_dev *dev;
	struct bd_acts *a;
	const struct bd_batch *b;
	int l;                    /* the layer */
	const struct bd_block *w; /* its weights */
	struct layer *y;          /* its activations */
	bool slides;              /* it sees only a window */
	size_t T, C, F, H, G, D;  /* as in model.h */
};

struct pass bd_pass_layer(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, int l);
struct bd_heads bd_pass_heads(const struct pass *p);
/* y[rows,n], r[rows] (NULL: not wanted) = norm(x[rows,n]). */
void bd_pass_norm(const struct pass *p, float *y, float *r, const float *x, const float *gain, size_t rows,
                  size_t n);

#endif
