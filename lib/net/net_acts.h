/* Internal to net: the activations of a batch, all in one arena. Letters as in model.h; T tokens. */
#ifndef BD_NET_ACTS_H
#define BD_NET_ACTS_H

#include "base/mem.h"
#include "net/net.h"
#include "math/op_linear.h"

/* What a layer keeps for its backward pass. T tokens; widths as in model.h. */
struct layer {
	float *x, *xm;          /* [T,C] residual stream before attention, before ffn */
	float *rx, *rm;         /* [T] 1/rms of their norms */
	float *qp, *kp;         /* [T,HD], [T,GD] before q/k norm; q, k when there is none */
	float *rq, *rk;         /* [T,H], [T,G] */
	float *q, *k, *v;       /* after norm and rope */
	float *att, *lse;       /* [T,HD], [T,H] */
	float *gate, *up, *act; /* [T,F] */
	float *ao, *fo;    /* [T,C] outputs of o and down before their post norms (NULL: there are none) */
	float *rao, *rfo;  /* [T] 1/rms of those norms */
	float *r[BD_LINS]; /* [T] 1/rms of the SubLN of each linear */
	struct bd_int8 in[BD_LINS]; /* quantised input; K, V share Q's and up shares gate's when they have no
	                               norm of their own */
};

struct bd_acts {
	struct bd_dev *dev;
	bool train;
	int watch;
	size_t cap, seqs; /* tokens, sequences there is room for */
	struct bd_arena arena;
	struct layer *layer;               /* [L]; without train all alike */
	float *xf, *rf, *h;                /* [T,C], [T], [T,C] after the last layer, its 1/rms, and normed */
	float *a, *b, *c, *d;              /* scratch [T, widest]; c [T,C]; b, d: NULL where not needed */
	float *dq, *dk, *dv, *dgate, *dup; /* gradients of one layer (train) */
	float *state[3];                   /* of the watched layer */
	/* host memory */
	uint32_t *pos;            /* [T] */
	const float **key, **val; /* [n_seq] where attention finds keys and values */
	size_t *past;             /* [n_seq] keys of earlier batches */
	int layers;
};

/* The linear whose quantised input `i` uses: itself, or the first of its group. */
enum bd_lin bd_acts_input(const struct bd_config *c, enum bd_lin i);
/* Makes room for T tokens in `seqs` sequences; growing loses the contents. */
void bd_acts_reserve(struct bd_acts *a, const struct bd_net *net, size_t T, size_t seqs);

#endif
