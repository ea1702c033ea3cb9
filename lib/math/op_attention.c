/* Causal attention, one head at a time. Forward works on tiles of queries in kern.h's order; backward
 * recomputes the probabilities of a block of queries and is five products through gemm.h. */
#include "math/op_attention.h"

#include "machine/gemm.h"

#include <string.h>

enum {
	TILE = 8,   /* queries of forward that share one pass over the values */
	BLOCK = 64, /* queries of backward whose probabilities are held at once */
	GATHER = 8, /* from this many queries on, copying a head's strided keys and values together pays */
};

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The first key that query i sees, its position past + i. */
static size_t first_key(const struct bd_attn *a, size_t i)
{
	size_t seen = a->past + i + 1;

	return a->window && seen > a->window ? seen - a->window : 0;
}

/* Forward: keys and values [m,D], queries [TILE,D], scores [TILE,m]. Backward: P and dP [BLOCK,m]. */
size_t bd_attention_scratch(const struct bd_attn *a)
{
	size_t m = a->past + a->n - first_key(a, 0), tile = min(a->n, TILE), block = min(a->n, BLOCK);
	size_t forward = (a->n >= GATHER ? 2 * m * a->D : 0) + tile * (a->D + m),
	       backward = a->past ? 0 : 2 * block * m;

	return forward > backward ? forward : backward;
}

/* out[n,D] = the D floats at x, x + stride, ... */
static const float *gather(float *out, const float *x, size_t stride, size_t n, size_t D)
{
	for (size_t i = 0; i < n; i++)
		memcpy(out + i * D, x + i * stride, D * sizeof(*out));
	return out;
}

/* s[T,m] = q[T,D] k[m,D]^T */
static void scores(const struct bd_kern *kern, float *s, const float *q, size_t T, const float *k,
                   size_t k_stride, size_t m, size_t D)
{
	if (k_stride == D) {
		kern->head_f32(s, m, q, T, k, m, D);
		return;
	}
	for (size_t j = 0; j < m; j++)
		for (size_t t = 0; t < T; t++)
			s[t * m + j] = kern->dot(q + t * D, k + j * k_stride, D);
}

/* Queries [i, i+T), T <= TILE, whose keys and values begin with key `from`: k, v rows kv apart; q, out
 * [.,H*D] of this head. */
static void tile_forward(const struct bd_kern *kern, const struct bd_attn *a, size_t i, size_t T, size_t from,
                         float *out, float *lse, const float *q, const float *k, const float *v, size_t kv,
                         float *tile, float *s)
{
	size_t D = a->D, HD = a->H * D, end = a->past + i, base = first_key(a, i), m = end + T - base;

	k += (base - from) * kv, v += (base - from) * kv;
	scores(kern, s, gather(tile, q + i * HD, HD, T, D), T, k, kv, m, D);
	for (size_t t = 0; t < T; t++) {
		size_t lo = first_key(a, i + t), n = end + t + 1 - lo;
		float *p = s + t * m + (lo - base);

		for (size_t j = 0; j < n; j++)
			p[j] *= a->scale;
		float l = kern->softmax(p, n);
		if (lse != NULL)
			lse[(i + t) * a->H] = l;
	}
	/* Values outside, queries inside: a value is read once per tile, and the chains of additions overlap.
	 * The sums lie together, because rows of out may share their cache sets. */
	memset(tile, 0, T * D * sizeof(*tile));
	for (size_t j = 0; j < m; j++)
		for (size_t t = base + j > end ? base + j - end : 0; t < T; t++)
			if (base + j >= first_key(a, i + t))
				kern->axpy(tile + t * D, s[t * m + j], v + j * kv, D);
	for (size_t t = 0; t < T; t++)
		memcpy(out + (i + t) * HD, tile + t * D, D * sizeof(*out));
}

void bd_attention_forward(const struct bd_kern *kern, const struct bd_attn *a, size_t h, float *out,
                          float *lse, const float *q, const float *k, const float *v, float *scratch)
{
	size_t D = a->D, g = h / (a->H / a->G), kv = a->G * D, from = first_key(a, 0),
	       keys = a->past + a->n - from;
	float *tile = scratch, *s = tile + min(a->n, TILE) * D; /* then keys and values, if gathered */

	k += from * kv + g * D, v += from * kv + g * D;
	if (a->n >= GATHER && kv != D) {
		float *copy = s + min(a->n, TILE) * keys;

		k = gather(copy, k, kv, keys, D);
		v = gather(copy + keys * D, v, kv, keys, D);
		kv = D;
	}
	for (size_t i = 0; i < a->n; i += TILE)
		tile_forward(kern, a, i, min(a->n - i, TILE), from, out + h * D, lse != NULL ? lse + h : NULL,
		             q + h * D, k, v, kv, tile, s);
}

/* Queries [i, i+T) of head h:
 *	p = exp(scale q k^T - lse),  ds = scale p (dout v^T - sum(dout out)),
 *	dv += p^T dout,  dq += ds k,  dk += ds^T q.
 * All matrices are strided views into [n,heads,D]; keys from i+T on and before the window of i are not seen.
*/
static void block_backward(const struct bd_kern *kern, const struct bd_attn *a, size_t h, size_t i, size_t T,
                           float *dq, float *dk, float *dv, const float *dout, const float *out,
                           const float *lse, const float *q, const float *k, const float *v, float *scratch)
{
	size_t D = a->D, HD = a->H * D, GD = a->G * D, from = first_key(a, i), m = i + T - from;
	float *p = scratch, *ds = scratch + T * m;
	size_t o = i * HD + h * D; /* of the block in q, out and their gradients */

	k += from * GD, v += from * GD, dk += from * GD, dv += from * GD;
	bd_gemm(NULL, BD_N, BD_T, T, m, D, a->scale, q + o, HD, k, GD, 0, p, m);
	bd_gemm(NULL, BD_N, BD_T, T, m, D, 1, dout + o, HD, v, GD, 0, ds, m);
	for (size_t t = 0; t < T; t++) {
		size_t lo = first_key(a, i + t) - from, seen = i + t + 1 - from;
		float *pt = p + t * m, *dt = ds + t * m, l = lse[(i + t) * a->H + h];
		float delta = kern->dot(dout + o + t * HD, out + o + t * HD, D);

		for (size_t j = lo; j < seen; j++)
			pt[j] -= l;
		kern->vexp(pt + lo, pt + lo, seen - lo);
		for (size_t j = lo; j < seen; j++)
			dt[j] = a->scale * pt[j] * (dt[j] - delta);
		memset(pt, 0, lo * sizeof(*pt));
		memset(dt, 0, lo * sizeof(*dt));
		memset(pt + seen, 0, (m - seen) * sizeof(*pt));
		memset(dt + seen, 0, (m - seen) * sizeof(*dt));
	}
	bd_gemm(NULL, BD_T, BD_N, m, D, T, 1, p, m, dout + o, HD, 1, dv, GD);
	bd_gemm(NULL, BD_N, BD_N, T, D, m, 1, ds, m, k, GD, 1, dq + o, HD);
	bd_gemm(NULL, BD_T, BD_N, m, D, T, 1, ds, m, q + o, HD, 1, dk, GD);
}

void bd_attention_backward(const struct bd_kern *kern, const struct bd_attn *a, size_t g, float *dq,
                           float *dk, float *dv, const float *dout, const float *out, const float *lse,
                           const float *q, const float *k, const float *v, float *scratch)
{
	size_t group = a->H / a->G, kv = g * a->D;

	for (size_t h = g * group; h < (g + 1) * group; h++)
		for (size_t i = 0; i < a->n; i += BLOCK)
			block_backward(kern, a, h, i, min(a->n - i, BLOCK), dq, dk + kv, dv + kv, dout, out,
			               lse, q, k + kv, v + kv, scratch);
}
