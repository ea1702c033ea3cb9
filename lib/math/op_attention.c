/* Causal attention. Forward sees the keys in blocks, whose probabilities are never all held; backward
 * recomputes those of a block of queries and is five products through gemm.h. */
#include "math/op_attention.h"

#include <math.h>
#include <string.h>

#include "machine/gemm.h"
#include "machine/kern/poly.h"

enum {
	ROWS = 16,  /* queries of forward that share one pass over the keys */
	KEYS = 256, /* a block of keys begins at a multiple of this */
	PIECE = 64, /* keys that all rows see while they are in the first-level cache */
	TILE = 4,   /* rows that share one reading of the values */
	BLOCK = 64, /* queries of backward whose probabilities are held at once */
	GATHER = 8, /* from so many queries on, it pays to copy a head's strided keys and values together */
};

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* The first key that the query at position `at` sees. */
static size_t first_key(const struct bd_heads *a, size_t at)
{
	return a->window > 0 && at + 1 > a->window ? at + 1 - a->window : 0;
}

/* Forward: keys and values [m,D], queries and sums [ROWS,D], probabilities [ROWS,KEYS]. Backward: P and dP
 * [BLOCK,m]. */
size_t bd_attention_scratch(const struct bd_heads *a, size_t past, size_t n)
{
	size_t m = past + n - first_key(a, past), block = min(n, BLOCK),
	       forward = 2 * m * a->D + ROWS * (3 * a->D + KEYS), backward = past > 0 ? 0 : 2 * block * m;

	return max(forward, backward);
}

/* ---- forward ---- */

/* Some queries of one sequence and of heads that share keys, and what they have seen so far: the sum of exp(s
 * - max) and of exp(s - max) v. */
struct rows {
	const struct bd_kern *kern;
	size_t D, T;               /* T <= ROWS */
	size_t lo[ROWS], hi[ROWS]; /* the keys that each sees */
	float max[ROWS], total[ROWS];
	float *q, *sum; /* [T,D]; the queries are scaled */
	float *part;    /* [T,D] sum of one block */
	float *p;       /* [T,KEYS] its scores, then probabilities */
};

/* Keys and values [m,D] from position `from` on, rows `stride` apart. */
struct keys {
	const float *k, *v;
	size_t from, m, stride;
};

/* part[t0 .. t0+n] += p v for the keys lo .. hi of the block. */
static void mix(const struct rows *r, size_t t0, size_t n, const struct keys *b, size_t lo, size_t hi)
{
	if (lo < hi)
		r->kern->mix(r->part + t0 * r->D, r->p + t0 * KEYS + lo, KEYS, n, b->v + lo * b->stride,
		             b->stride, hi - lo, r->D);
}

/* The same for the rows t0 .. t0+n and what each of them sees: lo[t] .. hi[t], increasing in t. */
static void mix_rows(const struct rows *r, size_t t0, size_t n, const struct keys *b, const size_t *lo,
                     const size_t *hi)
{
	size_t from = 0, to = b->m; /* what all see */

	for (size_t t = t0; t < t0 + n; t++) {
		from = max(from, lo[t]);
		to = min(to, hi[t]);
	}
	to = max(from, to);
	for (size_t t = t0; t < t0 + n; t++)
		mix(r, t, 1, b, lo[t], min(from, hi[t]));
	mix(r, t0, n, b, from, to);
	for (size_t t = t0; t < t0 + n; t++)
		mix(r, t, 1, b, max(lo[t], to), hi[t]);
}

/* Row t: what it has seen, and a block with this maximum and total, together. */
static void join(struct rows *r, size_t t, float block_max, float block_total)
{
	float *sum = r->sum + t * r->D, *part = r->part + t * r->D, both = fmaxf(r->max[t], block_max),
	      f[2] = {r->max[t] - both, block_max - both};

	r->kern->vexp(f, f, 2);
	r->total[t] = r->total[t] * f[0] + block_total * f[1];
	for (size_t d = 0; d < r->D; d++)
		sum[d] = sum[d] * f[0] + part[d] * f[1];
	r->max[t] = both;
}

/* The keys of one block. */
static void see(struct rows *r, const struct keys *b)
{
	size_t lo[ROWS], hi[ROWS];
	float most[ROWS], total[ROWS];

	for (size_t j = 0; j < b->m; j += PIECE)
		r->kern->scores(r->p + j, KEYS, r->q, r->T, b->k + j * b->stride, b->stride,
		                min(PIECE, b->m - j), r->D);
	for (size_t t = 0; t < r->T; t++) {
		lo[t] = min(max(r->lo[t], b->from) - b->from, b->m);
		hi[t] = max(lo[t], min(max(r->hi[t], b->from) - b->from, b->m));
		total[t] =
		    lo[t] < hi[t] ? r->kern->exps(r->p + t * KEYS + lo[t], hi[t] - lo[t], &most[t]) : 0;
	}
	memset(r->part, 0, r->T * r->D * sizeof(*r->part));
	for (size_t t = 0; t < r->T; t += TILE)
		mix_rows(r, t, min(TILE, r->T - t), b, lo, hi);
	for (size_t t = 0; t < r->T; t++)
		if (lo[t] < hi[t])
			join(r, t, most[t], total[t]);
}

/* All keys that the rows see, block by block. */
static void see_all(struct rows *r, const struct keys *all)
{
	size_t from = r->lo[0], to = r->hi[r->T - 1];

	memset(r->sum, 0, r->T * r->D * sizeof(*r->sum));
	for (size_t t = 0; t < r->T; t++) {
		r->max[t] = -INFINITY;
		r->total[t] = 0;
	}
	for (size_t j = from, end; j < to; j = end) {
		size_t at = (j - all->from) * all->stride;

		end = min(to, j / KEYS * KEYS + KEYS);
		see(r, &(struct keys){all->k + at, all->v + at, j, end - j, all->stride});
	}
}

/* The query heads h .. h+heads of sequence s, which share their keys. */
struct shared {
	const struct bd_attention *o;
	size_t s, h, heads;
};

/* Rows [i, i+T) of n * heads: row r is head r % heads of query r / heads. */
static void rows_forward(struct rows *r, const struct shared *x, const struct keys *all, size_t i)
{
	const struct bd_attention *o = x->o;
	const struct bd_heads *a = &o->heads;
	size_t D = a->D;

	for (size_t t = 0; t < r->T; t++) {
		size_t n = (i + t) / x->heads, h = x->h + (i + t) % x->heads, at = o->past[x->s] + n;
		const float *q = o->q + ((o->start[x->s] + n) * a->H + h) * D;

		r->lo[t] = first_key(a, at);
		r->hi[t] = at + 1;
		for (size_t d = 0; d < D; d++)
			r->q[t * D + d] = q[d] * a->scale;
	}
	see_all(r, all);
	for (size_t t = 0; t < r->T; t++) {
		size_t head = (o->start[x->s] + (i + t) / x->heads) * a->H + x->h + (i + t) % x->heads;

		o->lse[head] = r->max[t] + kern_log(r->total[t]);
		for (size_t d = 0; d < D; d++)
			o->out[head * D + d] = r->sum[t * D + d] / r->total[t];
	}
}

/* out[m,D] = the rows of one head at positions from .. from+m: of the shared ones, then of the sequence's. */
static const float *gather(float *out, const struct bd_attention *o, const float *shared, const float *own,
                           size_t g, size_t from, size_t m)
{
	size_t D = o->heads.D, GD = o->heads.G * D;

	for (size_t i = 0, j = from; i < m; i++, j++)
		memcpy(out + i * D, (j < o->shared ? shared + j * GD : own + (j - o->shared) * GD) + g * D,
		       D * sizeof(*out));
	return out;
}

static void heads_forward(struct bd_cpu *cpu, const struct shared *x, int slice)
{
	const struct bd_attention *o = x->o;
	const struct bd_heads *a = &o->heads;
	const float *key = o->key[x->s], *val = o->val[x->s];
	size_t past = o->past[x->s], n = o->start[x->s + 1] - o->start[x->s], D = a->D, GD = a->G * D,
	       from = first_key(a, past), g = x->h / (a->H / a->G), at = from * GD + g * D;
	struct keys all = {.from = from, .m = past + n - from, .stride = GD};
	float *room = bd_cpu_scratch(cpu, slice, bd_attention_scratch(a, past, n));
	struct rows r = {.kern = cpu->kern, .D = D, .q = room};

	r.sum = r.q + ROWS * D;
	r.part = r.sum + ROWS * D;
	r.p = r.part + ROWS * D;
	if (o->shared > 0 || (n >= GATHER && GD != D)) {
		room = r.p + ROWS * KEYS;
		all.k = gather(room, o, o->shared_key, key, g, from, all.m);
		all.v = gather(room + all.m * D, o, o->shared_val, val, g, from, all.m);
		all.stride = D;
	} else {
		all.k = key + at;
		all.v = val + at;
	}
	for (size_t i = 0; i < n * x->heads; i += ROWS) {
		r.T = min(ROWS, n * x->heads - i);
		rows_forward(&r, x, &all, i);
	}
}

/* A sequence of few queries reads its keys once for all heads that share them; many queries are work enough
 * for a head of its own. Item s H + h. */
static void forward_heads(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_attention *o = operands;
	size_t H = o->heads.H, group = H / o->heads.G;

	for (size_t i = begin; i < end; i++) {
		size_t s = i / H, h = i % H, heads = o->start[s + 1] - o->start[s] < GATHER ? group : 1;

		if (h % heads == 0)
			heads_forward(cpu, &(struct shared){o, s, h, heads}, slice);
	}
}

/* bd_attention.first: one maximum over all keys, no fused operation. */
static void first_heads(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_attention *o = operands;
	const struct bd_heads *a = &o->heads;
	const struct bd_kern *kern = cpu->kern;
	size_t H = a->H, D = a->D, GD = a->G * D;

	for (size_t i = begin; i < end; i++) {
		size_t s = i / H, h = i % H, g = h / (H / a->G) * D;

		for (size_t t = o->start[s]; t < o->start[s + 1]; t++) {
			size_t at = o->past[s] + t - o->start[s], lo = first_key(a, at), m = at + 1 - lo;
			const float *k = o->key[s] + lo * GD + g, *v = o->val[s] + lo * GD + g;
			float *out = o->out + (t * H + h) * D, *p = bd_cpu_scratch(cpu, slice, m);

			for (size_t j = 0; j < m; j++)
				p[j] = kern->dot(o->q + (t * H + h) * D, k + j * GD, D) * a->scale;
			o->lse[t * H + h] = kern->softmax(p, m);
			memset(out, 0, D * sizeof(*out));
			for (size_t j = 0; j < m; j++)
				kern->axpy(out, p[j], v + j * GD, D);
		}
	}
}

static void forward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_attention *o = operands;

	bd_cpu_for(cpu, o->n_seq * o->heads.H, o->first ? first_heads : forward_heads, o);
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
