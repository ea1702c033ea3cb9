/* Number formats of tables: F32, F16, BF16, Q8_0 (quant.h), Q4_0 and Q6_K.
 *
 *	Q4_0   32 columns in 18 bytes: f16 d, u8 qs[16]; w = d (q - 8), q[j] in the low half of qs[j],
 *	       q[16 + j] in the high one
 *	Q6_K   256 in 210: u8 ql[128], u8 qh[64], i8 s[16], f16 d; w = d s[j / 16] (q - 32). In half h,
 *	       q[128h + 32k + l] has its low four bits in ql[64h + 32(k mod 2) + l], in its low half for
 *	       k < 2, and its high two in bits 2k of qh[32h + l]
 *
 * Q4_0 takes d = m / -8 for the value m of largest magnitude. Q6_K chooses the step for each 16 values that
 * has the least error weighted by w^2, among 19 steps around the one that maps the largest value to -32 (the
 * method of ggml's reference). A block with a NaN or an infinity gets d = NaN, so that the damage shows. */
#include "format/gguf_type.h"

#include "machine/quant.h"

#include <math.h>
#include <string.h>

/* ---- one value after the other, and Q8_0 ---- */

void bd_f32_store(void *out, const float *x, size_t n)
{
	memcpy(out, x, n * sizeof(*x));
}

void bd_f32_load(float *x, const void *in, size_t n)
{
	memcpy(x, in, n * sizeof(*x));
}

void bd_f16_store(void *out, const float *x, size_t n)
{
	bd_f16_row(out, x, n);
}

void bd_f16_load(float *x, const void *in, size_t n)
{
	bd_f32_row(x, in, n);
}

void bd_bf16_store(void *out, const float *x, size_t n)
{
	uint16_t *half = out;

	for (size_t i = 0; i < n; i++)
		half[i] = bd_f32_to_bf16(x[i]);
}

void bd_bf16_load(float *x, const void *in, size_t n)
{
	const uint16_t *half = in;

	for (size_t i = 0; i < n; i++)
		x[i] = bd_bf16_to_f32(half[i]);
}

void bd_q8_0_store(void *out, const float *x, size_t n)
{
	bd_q8_0_pack(out, x, n);
}

void bd_q8_0_load(float *x, const void *in, size_t n)
{
	bd_q8_0_unpack(x, in, n);
}

/* ---- what the others share ---- */

/* Half to even, for |v| < 2^22: the sum's last bit is worth 1. A compiler makes vectors of this. */
static inline float nearest(float v)
{
	return (v + 12582912.0f) - 12582912.0f;
}

/* NaN, of products beyond the range of float, becomes low: no integer is undefined. */
static inline float clamp(float v, float low, float high)
{
	return v > high ? high : v > low ? v : low;
}

static bool finite_row(const float *x, int n)
{
	float zero = 0;

	for (int i = 0; i < n; i++)
		zero += 0 * x[i];
	return zero == 0;
}

/* The value of largest magnitude, with its sign. */
static float peak(const float *x, int n)
{
	float m = 0;

	for (int i = 0; i < n; i++)
		m = fabsf(x[i]) > fabsf(m) ? x[i] : m;
	return m;
}

static void put_half(uint8_t *out, float d)
{
	uint16_t half = bd_f32_to_f16(d);

	memcpy(out, &half, sizeof(half));
}

static float get_half(const uint8_t *in)
{
	uint16_t half;

	memcpy(&half, in, sizeof(half));
	return bd_f16_to_f32(half);
}

/* ---- Q4_0 ---- */

enum { Q4_BLOCK = 32, Q4_BYTES = 18 };

static void store_q4_0(uint8_t *out, const float *x)
{
	const bool good = finite_row(x, Q4_BLOCK);
	const float d = peak(x, Q4_BLOCK) / -8, inv = good && d != 0 ? 1 / d : 0;
	uint8_t q[Q4_BLOCK];

	for (int i = 0; i < Q4_BLOCK; i++)
		q[i] = good ? (uint8_t)clamp(x[i] * inv + 8.5f, 0, 15) : 8;
	put_half(out, good ? d : NAN);
	for (int j = 0; j < 16; j++)
		out[2 + j] = (uint8_t)(q[j] | q[16 + j] << 4);
}

static void load_q4_0(float *x, const uint8_t *in)
{
	const float d = get_half(in);

	for (int j = 0; j < 16; j++) {
		x[j] = (float)((in[2 + j] & 15) - 8) * d;
		x[16 + j] = (float)((in[2 + j] >> 4) - 8) * d;
	}
}

void bd_q4_0_store(void *out, const float *x, size_t n)
{
	for (size_t i = 0; i < n / Q4_BLOCK; i++)
		store_q4_0((uint8_t *)out + i * Q4_BYTES, x + i * Q4_BLOCK);
}

void bd_q4_0_load(float *x, const void *in, size_t n)
{
	for (size_t i = 0; i < n / Q4_BLOCK; i++)
		load_q4_0(x + i * Q4_BLOCK, (const uint8_t *)in + i * Q4_BYTES);
}

/* ---- Q6_K ---- */

enum { Q6_BLOCK = 256, Q6_BYTES = 210, SUB = 16 };

/* With q = rint(inv x) and weights w = x^2: *xq = sum w x q, *qq = sum w q^2, in four lanes. The best step
 * for these q is xq / qq, and reduces the error by xq^2 / qq. */
static void fit(const float *x, float inv, float *xq, float *qq)
{
	float a[4] = {0}, b[4] = {0};

	for (int i = 0; i < SUB; i += 4)
		for (int l = 0; l < 4; l++) {
			const float v = x[i + l], q = clamp(nearest(inv * v), -32, 31), wq = v * v * q;

			a[l] += wq * v;
			b[l] += wq * q;
		}
	*xq = (a[0] + a[2]) + (a[1] + a[3]);
	*qq = (b[0] + b[2]) + (b[1] + b[3]);
}

/* The best step for x[16]. */
static float step_of(const float *x)
{
	const float m = peak(x, SUB);
	float best = 0, step = 0, xq, qq;

	if (fabsf(m) < 1e-15f)
		return 0;
	for (int i = -9; i <= 9; i++) {
		fit(x, -(32 + 0.1f * (float)i) / m, &xq, &qq);
		if (qq > 0 && xq * xq > best * qq) {
			step = xq / qq;
			best = step * xq;
		}
	}
	return step;
}

/* Six bits of every q, as stored in ql and qh. */
static void put_six(uint8_t *ql, uint8_t *qh, const uint8_t *q)
{
	for (int h = 0; h < 2; h++, q += 128, ql += 64, qh += 32)
		for (int l = 0; l < 32; l++) {
			ql[l] = (uint8_t)((q[l] & 15) | (q[64 + l] & 15) << 4);
			ql[32 + l] = (uint8_t)((q[32 + l] & 15) | (q[96 + l] & 15) << 4);
			qh[l] = (uint8_t)(q[l] >> 4 | q[32 + l] >> 4 << 2 | q[64 + l] >> 4 << 4 |
			                  q[96 + l] >> 4 << 6);
		}
}

static void get_six(uint8_t *q, const uint8_t *ql, const uint8_t *qh)
{
	for (int h = 0; h < 2; h++, q += 128, ql += 64, qh += 32)
		for (int l = 0; l < 32; l++) {
			q[l] = (uint8_t)((ql[l] & 15) | (qh[l] & 3) << 4);
			q[32 + l] = (uint8_t)((ql[32 + l] & 15) | (qh[l] >> 2 & 3) << 4);
			q[64 + l] = (uint8_t)(ql[l] >> 4 | (qh[l] >> 4 & 3) << 4);
			q[96 + l] = (uint8_t)(ql[32 + l] >> 4 | qh[l] >> 6 << 4);
		}
}

static void store_q6_k(uint8_t *out, const float *x)
{
	const bool good = finite_row(x, Q6_BLOCK);
	float step[SUB] = {0}, m, d;
	uint8_t q[Q6_BLOCK], *s = out + 192;

	for (int j = 0; good && j < 16; j++)
		step[j] = step_of(x + SUB * j);
	m = peak(step, 16);
	put_half(out + 208, good ? m / -128 : NAN);
	d = get_half(out + 208);
	for (int j = 0; j < 16; j++) {
		const float own = good && m != 0 ? clamp(nearest(-128 / m * step[j]), -128, 127) : 0;
		const float inv = own != 0 && d != 0 ? 1 / (d * own) : 0;

		s[j] = (uint8_t)(int8_t)own;
		for (int i = 0; i < SUB; i++)
			q[SUB * j + i] =
			    good ? (uint8_t)(clamp(nearest(x[SUB * j + i] * inv), -32, 31) + 32) : 32;
	}
	put_six(out, out + 128, q);
}

static void load_q6_k(float *x, const uint8_t *in)
{
	const float d = get_half(in + 208);
	uint8_t q[Q6_BLOCK];

	get_six(q, in, in + 128);
	for (int i = 0; i < Q6_BLOCK; i++)
		x[i] = d * (float)(int8_t)in[192 + i / SUB] * (float)(q[i] - 32);
}

void bd_q6_k_store(void *out, const float *x, size_t n)
{
	for (size_t i = 0; i < n / Q6_BLOCK; i++)
		store_q6_k((uint8_t *)out + i * Q6_BYTES, x + i * Q6_BLOCK);
}

void bd_q6_k_load(float *x, const void *in, size_t n)
{
	for (size_t i = 0; i < n / Q6_BLOCK; i++)
		load_q6_k(x + i * Q6_BLOCK, (const uint8_t *)in + i * Q6_BYTES);
}
