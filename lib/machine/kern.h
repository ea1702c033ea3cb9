/* The loops that decide speed, one table per instruction set. `ref` is the specification: every other table
 * gives the same bits.
 *
 * Integer sums are exact. The order of every float sum is fixed: 64 lanes, lane l adds x[i] * y[i] (a
 * multiplication, then an addition: no fused operation) for i = l, l + 64, ... in increasing i; then ((lanes
 * 0-15 + 16-31) + (32-47 + 48-63)) and the 16 by halves 8, 4, 2, 1. A tail shorter than 64 goes to its lanes
 * the same way. So a result depends neither on ISA, threads nor batch. */
#ifndef BD_KERN_H
#define BD_KERN_H

#include <stddef.h>
#include <stdint.h>

/* out[t*ldo + n] = (float)(sum_k C[n,k] q[t,k]) * (step[t] * scale), for t < T, n < N. |sum| < 2^24 for
 * kpad <= 131072. */
struct bd_kern_product {
	float *out;
	size_t ldo;
	const int8_t *q;    /* [T,kpad] */
	const float *step;  /* [T] */
	const int32_t *sum; /* [T] of q */
	size_t T;
	const uint8_t *codes; /* [N, kpad/4] packed as in quant.h */
	size_t N, kpad;
	float scale;
};

/* out[t*ldo + n] = table row n times token t, for t < T, n < N, k a multiple of the type's block. The
 * activations are int8 in blocks of 32 with a step each (quant_row of the block). Lane 8 (b mod 2) + j, j <
 * 8, adds for the blocks b = 0, 1, ... of 32 columns, by a fused multiply-add,
 *	(float)(s sum_i w[32b + 4j + i] q[32b + 4j + i], i < 4) (d * step[b])
 * where w is the stored integer (q8_0: q; q4_0: q - 8; q6_k: q - 32), d the block's scale and s that of the
 * 16 columns in q6_k, else 1; then the 16 lanes by halves 8, 4, 2, 1. The integers are below 2^24. */
struct bd_kern_table {
	float *out;
	size_t ldo;
	const int8_t *q;   /* [T,kpad], kpad = k rounded up to 64; zeros from k on */
	const float *step; /* [T,kpad/4] that of the block for each of its 8 lanes; zeros from k on */
	size_t T;
	const uint8_t *w; /* [N] rows as they are stored */
	size_t N, k;
};

struct bd_kern {
	const char *name; /* "ref", "avx2", "avx512vnni" */
	unsigned need;    /* BD_CPU_* bits */

	/* Int8 activation quantiser of one token: q[kpad] from x[k] (quant.h), q[k..kpad) = 0. Returns the
	 * step a / 127; *sum = sum of q. kpad is a multiple of 32. */
	float (*quant_row)(int8_t *q, int32_t *sum, const float *x, size_t k, size_t kpad);

	void (*ternary)(const struct bd_kern_product *o);

	float (*dot)(const float *x, const float *y, size_t n);
	/* w converted exactly, then as dot */
	float (*dot_f16)(const float *x, const uint16_t *w, size_t n);
	float (*dot_bf16)(const float *x, const uint16_t *w, size_t n);
	void (*wide_f16)(float *out, const uint16_t *w, size_t n); /* converted exactly */
	void (*wide_bf16)(float *out, const uint16_t *w, size_t n);
	void (*table_q8_0)(const struct bd_kern_table *o);
	void (*table_q6_k)(const struct bd_kern_table *o);
	void (*table_q4_0)(const struct bd_kern_table *o);
	/* out[t*ldo + n] = dot(x[t,:], w[n,:]) for t < T, n < N with rows of k floats:
	 * the same bits as dot. */
	void (*head_f32)(float *out, size_t ldo, const float *x, size_t T, const float *w, size_t N,
	                 size_t k);
	void (*axpy)(float *y, float a, const float *x, size_t n); /* y += a * x */

	/* out = gain * (x * r), r = 1 / sqrtf(dot(x, x) / n + eps); gain NULL: ones.
	 * Returns r. out may be x. */
	float (*rmsnorm)(float *out, const float *x, const float *gain, float eps, size_t n);
	/* In place: x = exp(x - *max), *max the largest x. Returns the sum in lane order. exp is this
	 * module's own polynomial, the same bits everywhere. */
	float (*exps)(float *x, size_t n, float *max);
	/* The same, divided by the sum; returns max + logf(sum). */
	float (*softmax)(float *x, size_t n);
	/* s[t*lds + j] = q[t] k[j] for t < T, j < m, rows of q D floats apart, of k ldk. A fused multiply-add
	 * for each product: lane l of 16 adds those of d = l, l + 16, ..., zeros from D to a multiple of 16;
	 * then by halves. */
	void (*scores)(float *s, size_t lds, const float *q, size_t T, const float *k, size_t ldk, size_t m,
	               size_t D);
	/* out[t,d] += p[t*ldp + j] v[j*ldv + d], fused, for j = 0, 1, ... m - 1 */
	void (*mix)(float *out, const float *p, size_t ldp, size_t T, const float *v, size_t ldv, size_t m,
	            size_t D);
	/* out = gate * sigmoid(gate) * up, with the same exp. */
	void (*silu_mul)(float *out, const float *gate, const float *up, size_t n);
	/* y = exp(x) elementwise, the same polynomial; 0 below -87.3. */
	void (*vexp)(float *y, const float *x, size_t n);
};

/* The best table that this machine can run, or the one named by $BD_KERN (an unknown or impossible name dies
 * BD_USAGE). */
const struct bd_kern *bd_kern(void);
/* All tables that this machine can run, best first, ref last, NULL-terminated. */
const struct bd_kern *const *bd_kern_all(void);

extern const struct bd_kern bd_kern_ref;

#endif
