/* Inside of net: one operation over the tokens of a batch, as its slices see it, and what
 * both directions do. */
#ifndef BD_NET_PASS_H
#define BD_NET_PASS_H

#include "math/op_attention.h"
#include "net/net_acts.h"

struct pass {
	struct bd_net *net;
	struct bd_acts *a;
	const struct bd_batch *b;
	struct layer *y;
	const struct bd_block *w;
	bool slides; /* this layer */
	enum bd_lin lin;
	/* operands of the small operations */
	float *out;
	const float *x, *x2, *gain;
	float *r;
	size_t n;
	int overwrite;
};

/* A pass over layer l. */
struct pass bd_pass_layer(struct bd_net *net, struct bd_acts *a, const struct bd_batch *b, int l);
/* Attention of sequence s in this layer. */
struct bd_attn bd_pass_attn(const struct pass *p, size_t s);
/* out[rows,n], r[rows] (NULL: not wanted) = norm(x[rows,n]). */
void bd_pass_norm(struct pass *p, float *out, float *r, const float *x, const float *gain, size_t rows,
                  size_t n);
/* out[T,n] = x + x2. */
void bd_pass_add(struct pass *p, float *out, const float *x, const float *x2, size_t n);

#endif
