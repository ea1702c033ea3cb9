/* The reference table: plain loops that say what every other table must compute, bit by bit. */
#include "machine/kern.h"
#include "machine/kern/poly.h"
#include "machine/quant.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 64 };

static uint32_t bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static float float_of(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof(x));
	return x;
}

/* Int8 */

static float quant_row(int8_t *q, int32_t *sum, const float *x, size_t k, size_t kpad)
{
	uint32_t max = 0; /* of |x| as bits: ordered as the numbers are, NaN above infinity */

	for (size_t i = 0; i < k; i++) {
		const uint32_t u = bits_of(x[i]) & 0x7fffffff;

		max = u > max ? u : max;
	}
	const float amax = float_of(max), a = amax < BD_QEPS ? BD_QEPS : amax, scale = 127.0f / a;

	*sum = 0;
	for (size_t i = 0; i < k; i++) {
		/* |v| <= 127 (1 + 2^-22): no clipping. A NaN is not equal to itself. */
		const float v = rintf(x[i] * scale);

		q[i] = (int8_t)(v == v ? v : 0.0f);
		*sum += q[i];
	}
	memset(q + k, 0, kpad - k);
	return a / 127.0f;
}

static int32_t ternary_dot(const uint8_t *codes, const int8_t *q, size_t kpad)
{
	int32_t acc = 0; /* |acc| <= 131072 * 2 * 128 */

	for (size_t b = 0; b < kpad / 128; b++, codes += 32, q += 128)
		for (int p = 0; p < 32; p++)
			for (int f = 0; f < 4; f++)
				acc += ((codes[p] >> (6 - 2 * f) & 3) - 1) * q[32 * f + p];
	return acc;
}

static void ternary(const struct bd_kern_product *o)
{
	/* o->sum is for tables that multiply by C + 1 */
	for (size_t t = 0; t < o->T; t++)
		for (size_t n = 0; n < o->N; n++) {
			const int32_t acc =
			    ternary_dot(o->codes + n * (o->kpad / 4), o->q + t * o->kpad, o->kpad);

			o->out[t * o->ldo + n] = (float)acc * (o->step[t] * o->scale);
		}
}

/* Sums of 64 lanes */

static float halves_sum(float s[16])
{
	for (int half = 8; half >= 1; half /= 2)
		for (int l = 0; l < half; l++)
			s[l] = s[l] + s[half + l];
	return s[0];
}

static float lanes_sum(float s[LANES])
{
	for (int l = 0; l < 16; l++)
		s[l] = (s[l] + s[16 + l]) + (s[32 + l] + s[48 + l]);
	return halves_sum(s);
}

static float dot(const float *x, const float *y, size_t n)
{
	float s[LANES] = {0};

	for (size_t i = 0; i < n; i++)
		s[i % LANES] += x[i] * y[i];
	return lanes_sum(s);
}

static float dot_f16(const float *x, const uint16_t *w, size_t n)
{
	float s[LANES] = {0};

	for (size_t i = 0; i < n; i++)
		s[i % LANES] += x[i] * bd_f16_to_f32(w[i]);
	return lanes_sum(s);
}

static float dot_bf16(const float *x, const uint16_t *w, size_t n)
{
	float s[LANES] = {0};

	for (size_t i = 0; i < n; i++)
		s[i % LANES] += x[i] * bd_bf16_to_f32(w[i]);
	return lanes_sum(s);
}

static void wide_f16(float *out, const uint16_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = bd_f16_to_f32(w[i]);
}

static void wide_bf16(float *out, const uint16_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = bd_bf16_to_f32(w[i]);
}

static void head_f32(float *out, size_t ldo, const float *x, size_t T, const float *w, size_t N, size_t k)
{
	for (size_t t = 0; t < T; t++)
		for (size_t n = 0; n < N; n++)
			out[t * ldo + n] = dot(x + t * k, w + n * k, k);
}

/* Tables of quantised rows */

/* Block b of a row: 32 integers, their scale d, and s of either half. */
typedef void load_block(int w[32], float *d, int s[2], const uint8_t *row, size_t b);

static float half_at(const uint8_t *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));
	return bd_f16_to_f32(h);
}

static void load_q8_0(int w[32], float *d, int s[2], const uint8_t *row, size_t b)
{
	const uint8_t *p = row + b * BD_Q8_0_BYTES;

	*d = half_at(p);
	s[0] = s[1] = 1;
	for (int i = 0; i < 32; i++)
		w[i] = (int8_t)p[2 + i];
}

static void load_q4_0(int w[32], float *d, int s[2], const uint8_t *row, size_t b)
{
	const uint8_t *p = row + b * BD_Q4_0_BYTES;

	*d = half_at(p);
	s[0] = s[1] = 1;
	for (int i = 0; i < 16; i++) {
		w[i] = (p[2 + i] & 15) - 8;
		w[16 + i] = (p[2 + i] >> 4) - 8;
	}
}

static void load_q6_k(int w[32], float *d, int s[2], const uint8_t *row, size_t b)
{
	const uint8_t *p = row + b / 8 * BD_Q6_K_BYTES;
	const size_t h = b % 8 / 4, k = b % 4; /* half of 128 columns, block in it */
	const uint8_t *ql = p + 64 * h + 32 * (k % 2), *qh = p + 128 + 32 * h;

	*d = half_at(p + 208);
	for (int i = 0; i < 2; i++)
		s[i] = (int8_t)p[192 + 2 * (b % 8) + (size_t)i];
	for (int i = 0; i < 32; i++)
		w[i] = ((ql[i] >> (k < 2 ? 0 : 4) & 15) | (qh[i] >> 2 * k & 3) << 4) - 32;
}

static float table_dot(const int8_t *q, const float *step, const uint8_t *row, size_t k, load_block *load)
{
	float lane[16] = {0}, d;
	int w[32], s[2];

	for (size_t b = 0; b < k / 32; b++, q += 32) {
		load(w, &d, s, row, b);
		for (size_t j = 0; j < 8; j++) {
			int sum = 0;

			for (size_t i = 4 * j; i < 4 * j + 4; i++)
				sum += w[i] * q[i];
			float *l = &lane[8 * (b % 2) + j];

			*l = fmaf((float)(s[j / 4] * sum), d * step[8 * b + j], *l);
		}
	}
	return halves_sum(lane);
}

static void table(const struct bd_kern_table *o, load_block *load, size_t stride)
{
	const size_t kpad = bd_table_cols(o->k);

	for (size_t t = 0; t < o->T; t++)
		for (size_t n = 0; n < o->N; n++)
			o->out[t * o->ldo + n] = table_dot(o->q + t * kpad, o->step + t * (kpad / 4),
			                                   o->w + n * stride, o->k, load);
}

static void table_q8_0(const struct bd_kern_table *o)
{
	table(o, load_q8_0, o->k / 32 * BD_Q8_0_BYTES);
}

static void table_q4_0(const struct bd_kern_table *o)
{
	table(o, load_q4_0, o->k / 32 * BD_Q4_0_BYTES);
}

static void table_q6_k(const struct bd_kern_table *o)
{
	table(o, load_q6_k, o->k / BD_Q6_K_BLOCK * BD_Q6_K_BYTES);
}

/* Elementwise and rows */

static void axpy(float *y, float a, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += a * x[i];
}

static float rmsnorm(float *out, const float *x, const float *gain, float eps, size_t n)
{
	const float r = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);

	for (size_t i = 0; i < n; i++)
		out[i] = gain != NULL ? gain[i] * (x[i] * r) : x[i] * r;
	return r;
}

static float exp1(float x)
{
	const float t = x * LOG2_E + EXP_ROUND, n = t - EXP_ROUND;
	const float r = (x - n * LN2_HI) - n * LN2_LO;
	float p = E7;

	p = p * r + E6;
	p = p * r + E5;
	p = p * r + E4;
	p = p * r + E3;
	p = p * r + E2;
	p = (p * (r * r) + r) + 1.0f;
	if (x < EXP_MIN)
		return 0.0f;
	if (x > EXP_MAX)
		return INFINITY;
	return x == x ? float_of(bits_of(p) + (bits_of(t) << 23)) : x; /* p 2^n */
}

static void vexp(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = exp1(x[i]);
}

static float exps(float *x, size_t n, float *max)
{
	float s[LANES] = {0};

	*max = -INFINITY;
	for (size_t i = 0; i < n; i++)
		*max = x[i] > *max ? x[i] : *max;
	for (size_t i = 0; i < n; i++) {
		x[i] = exp1(x[i] - *max);
		s[i % LANES] += x[i];
	}
	return lanes_sum(s);
}

static float softmax(float *x, size_t n)
{
	float max;
	const float sum = exps(x, n, &max);

	for (size_t i = 0; i < n; i++)
		x[i] = x[i] / sum;
	return max + kern_log(sum);
}

/* Attention */

static void scores(float *s, size_t lds, const float *q, size_t T, const float *k, size_t ldk, size_t m,
                   size_t D)
{
	for (size_t t = 0; t < T; t++)
		for (size_t j = 0; j < m; j++) {
			float lane[16] = {0};

			for (size_t d = 0; d < (D + 15) / 16 * 16; d++)
				lane[d % 16] = d < D ? fmaf(q[t * D + d], k[j * ldk + d], lane[d % 16])
				                     : fmaf(0, 0, lane[d % 16]);
			s[t * lds + j] = halves_sum(lane);
		}
}

static void mix(float *out, const float *p, size_t ldp, size_t T, const float *v, size_t ldv, size_t m,
                size_t D)
{
	for (size_t t = 0; t < T; t++)
		for (size_t j = 0; j < m; j++)
			for (size_t d = 0; d < D; d++)
				out[t * D + d] = fmaf(p[t * ldp + j], v[j * ldv + d], out[t * D + d]);
}

static void silu_mul(float *out, const float *gate, const float *up, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = gate[i] / (1.0f + exp1(-gate[i])) * up[i];
}

const struct bd_kern bd_kern_ref = {
    .name = "ref",
    .need = 0,
#include "machine/kern/table.inc"
};
