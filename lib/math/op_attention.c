/* Causal attention, one head of one sequence at a time. Forward works on tiles of queries in kern.h's order;
 * backward recomputes the probabilities of a block of queries and is five products through gemm.h. */
#include "math/op_attention.h"

#include <string.h>

#include "machine/gemm.h"

enum {
	TILE = 8,   /* queries of forward that share one pass over the values */
	BLOCK = 64, /* queries of backward whose probabilities are held at once */
	GATHER = 8, /* from so many queries on, it pays to copy a head's strided keys and values together */
};

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The first key that the query at position `at` sees. */
static size_t first_key(const struct bd_heads *a, size_t at)
{
	return a->window > 0 && at + 1 > a->window ? at + 1 - a->window : 0;
}

/* Forward: keys and values [m,D], queries [TILE,D], scores [TILE,m]. Backward: P and dP [BLOCK,m]. */
size_t bd_attention_scratch(const struct bd_heads *a, size_t past, size_t n)
{
	size_t m = past + n - first_key(a, past), tile = min(n, TILE), block = min(n, BLOCK);
	size_t forward = (n >= GATHER ? 2 * m * a->D : 0) + tile * (a->D + m),
	       backward = past > 0 ? 0 : 2 * block * m;

	return forward > backward ? forward : backward;
}

/* ---- forward ---- */

/* One query head of one sequence: n queries behind `past` keys. */
struct head {
	const struct bd_kern *kern;
	const struct bd_heads *a;
	size_t n, past;
	const float *q;     /* [n], rows H*D apart */
	const float *k, *v; /* keys from `from` on, rows kv apart */
	size_t from, kv;
	float *out, *lse; /* rows H*D, H apart */
	float *tile, *s;  /* scratch [TILE,D], [TILE,keys] */
};

/* out[n,D] = the D floats at x, x + stride, ... */
static const float *gather(float *out, const float *x, size_t stride, size_t n, size_t D)
{
	for (size_t i = 0; i < n; i++)
		memcpy(out + i * D, x + i * stride, D * sizeof(*out));
	return out;
}

/* s[T,m] = q[T,D] k[m,D]^T */
static void scores(const struct head *h, const float *q, size_t T, const float *k, size_t m)
{
	size_t D = h->a->D;

	if (h->kv == D) {
		h->kern->head_f32(h->s, m, q, T, k, m, D);
		return;
	}
	for (size_t j = 0; j < m; j++)
		for (size_t t = 0; t < T; t++)
			h->s[t * m + j] = h->kern->dot(q + t * D, k + j * h->kv, D);
}

/* Queries [i, i+T), T <= TILE. */
static void tile_forward(const struct head *h, size_t i, size_t T)
{
	const struct bd_heads *a = h->a;
	size_t D = a->D, HD = a->H * D, end = h->past + i, base = first_key(a, end), m = end + T - base;
	const float *k = h->k + (base - h->from) * h->kv, *v = h->v + (base - h->from) * h->kv;
	const struct bd_kern *kern = h->kern;
	size_t kv = h->kv, lo[TILE]; /* the first key of each query */
	float *tile = h->tile, *s = h->s;

	scores(h, gather(tile, h->q + i * HD, HD, T, D), T, k, m);
	for (size_t t = 0; t < T; t++) {
		size_t n = end + t + 1 - (lo[t] = first_key(a, end + t));
		float *p = s + t * m + (lo[t] - base);

		for (size_t j = 0; j < n; j++)
			p[j] *= a->scale;
		h->lse[(i + t) * a->H] = kern->softmax(p, n);
	}
	/* Values in the outer loop, queries in the inner one: a value is read once per tile, and the chains
	 * of additions overlap. The sums are kept together, because rows of out may share cache sets. */
	memset(tile, 0, T * D * sizeof(*tile));
	for (size_t j = 0; j < m; j++)
		for (size_t t = base + j > end ? base + j - end : 0; t < T; t++)
			if (base + j >= lo[t])
				kern->axpy(tile + t * D, s[t * m + j], v + j * kv, D);
	for (size_t t = 0; t < T; t++)
		memcpy(h->out + (i + t) * HD, tile + t * D, D * sizeof(*tile));
}

/* Query head `i` of sequence s. */
static void head_forward(struct bd_cpu *cpu, const struct bd_attention *o, size_t s, size_t i, int slice)
{
	const struct bd_heads *a = &o->heads;
	size_t t = o->start[s], n = o->start[s + 1] - t, past = o->past[s], D = a->D, GD = a->G * D,
	       g = i / (a->H / a->G), from = first_key(a, past), keys = past + n - from;
	float *scratch = bd_cpu_scratch(cpu, slice, bd_attention_scratch(a, past, n));
	struct head h = {
	    .kern = cpu->kern,
	    .a = a,
	    .n = n,
	    .past = past,
	    .from = from,
	    .kv = GD,
	    .q = o->q + (t * a->H + i) * D,
	    .out = o->out + (t * a->H + i) * D,
	    .lse = o->lse + t * a->H + i,
	    .k = o->key[s] + from * GD + g * D,
	    .v = o->val[s] + from * GD + g * D,
	    .tile = scratch,
	    .s = scratch + min(n, TILE) * D, /* then keys and values, if gathered */
	};

	if (n >= GATHER && GD != D) {
		float *copy = h.s + min(n, TILE) * keys;

		h.k = gather(copy, h.k, GD, keys, D);
		h.v = gather(copy + keys * D, h.v, GD, keys, D);
		h.kv = D;
	}
	for (size_t j = 0; j < n; j += TILE)
		tile_forward(&h, j, min(n - j, TILE));
}

static void forward_heads(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_attention *o = operands;

	for (size_t i = begin; i < end; i++)
		head_forward(cpu, o, i / o->heads.H, i % o->heads.H, slice);
}

static void forward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_attention *o = operands;

	bd_cpu_for(cpu, o->n_seq * o->heads.H, forward_heads, o);
}

/* ---- backward ---- */

/* Queries [i, i+T) of head h of the sequence that begins with token t0:
 *	p = exp(scale q k^T - lse),  ds = scale p (dout v^T - sum(dout out)),
 *	dv += p^T dout,  dq += ds k,  dk += ds^T q.
 * All matrices are strided views into [n,heads,D]; keys from i+T on and before the window
 * of i are not seen. */
static void block_backward(struct bd_cpu *cpu, const struct bd_attention_grad *o, size_t t0, size_t h,
                           size_t i, size_t T, float *scratch)
{
	const struct bd_heads *a = &o->heads;
	size_t D = a->D, HD = a->H * D, GD = a->G * D, from = first_key(a, i), m = i + T - from;
	size_t q = (t0 + i) * HD + h * D;                    /* of the block in q, out, their gradients */
	size_t k = (t0 + from) * GD + h / (a->H / a->G) * D; /* in k, v, their gradients */
	const float *lse = o->lse + (t0 + i) * a->H + h, *dout = o->dout + q, *out = o->out + q;
	float *p = scratch, *ds = scratch + T * m;

	bd_gemm(NULL,
	        &(struct bd_product){BD_N, BD_T, T, m, D, a->scale, o->q + q, HD, o->k + k, GD, 0, p, m});
	bd_gemm(NULL, &(struct bd_product){BD_N, BD_T, T, m, D, 1, dout, HD, o->v + k, GD, 0, ds, m});
	for (size_t t = 0; t < T; t++) {
		size_t lo = first_key(a, i + t) - from, seen = i + t + 1 - from;
		float *pt = p + t * m, *dt = ds + t * m, l = lse[t * a->H];
		float delta = cpu->kern->dot(dout + t * HD, out + t * HD, D);

		for (size_t j = lo; j < seen; j++)
			pt[j] -= l;
		cpu->kern->vexp(pt + lo, pt + lo, seen - lo);
		for (size_t j = lo; j < seen; j++)
			dt[j] = a->scale * pt[j] * (dt[j] - delta);
		memset(pt, 0, lo * sizeof(*pt));
		memset(dt, 0, lo * sizeof(*dt));
		memset(pt + seen, 0, (m - seen) * sizeof(*pt));
		memset(dt + seen, 0, (m - seen) * sizeof(*dt));
	}
	bd_gemm(NULL, &(struct bd_product){BD_T, BD_N, m, D, T, 1, p, m, dout, HD, 1, o->dv + k, GD});
	bd_gemm(NULL, &(struct bd_product){BD_N, BD_N, T, D, m, 1, ds, m, o->k + k, GD, 1, o->dq + q, HD});
	bd_gemm(NULL, &(struct bd_product){BD_T, BD_N, m, D, T, 1, ds, m, o->q + q, HD, 1, o->dk + k, GD});
}

/* Item s G + g: the query heads of key/value head g of sequence s, which add to the same dk and dv. */
static void backward_groups(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_attention_grad *o = operands;
	const struct bd_heads *a = &o->heads;
	size_t group = a->H / a->G;

	for (size_t item = begin; item < end; item++) {
		size_t g = item % a->G, t = o->start[item / a->G], n = o->start[item / a->G + 1] - t;
		float *scratch = bd_cpu_scratch(cpu, slice, bd_attention_scratch(a, 0, n));

		for (size_t h = g * group; h < (g + 1) * group; h++)
			for (size_t i = 0; i < n; i += BLOCK)
				block_backward(cpu, o, t, h, i, min(n - i, BLOCK), scratch);
	}
}

static void backward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_attention_grad *o = operands;

	bd_cpu_for(cpu, o->n_seq * o->heads.G, backward_groups, o);
}

const struct bd_op bd_op_attention_forward = {"attention_forward", forward},
                   bd_op_attention_backward = {"attention_backward", backward};

void bd_attention_forward(struct bd_dev *dev, const struct bd_attention *o)
{
	bd_dev_run(dev, &bd_op_attention_forward, o);
}

void bd_attention_backward(struct bd_dev *dev, const struct bd_attention_grad *o)
{
	bd_dev_run(dev, &bd_op_attention_backward, o);
}
