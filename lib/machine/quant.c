/* Quantisers and number formats, as defined in quant.h; plain loops that a compiler can vectorise. */
#include "machine/quant.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packed formats are copied as they lie in memory: a little-endian machine is needed"
#endif

/* Ternary */

float bd_absmean(const float *w, size_t rows, size_t cols)
{
	double total = 0.0;

	for (size_t r = 0; r < rows; r++, w += cols) {
		double s[8] = {0};
		size_t i = 0;

		for (; i + 8 <= cols; i += 8)
			for (size_t l = 0; l < 8; l++)
				s[l] += (double)fabsf(w[i + l]);
		for (; i < cols; i++)
			s[i % 8] += (double)fabsf(w[i]);
		total += ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
	}
	const float d = rows && cols ? (float)(total / ((double)rows * (double)cols)) : 0.0f;
	return d < BD_QEPS ? BD_QEPS : d;
}

/* C + 1: rint(v) >= 1 exactly if v > 1/2, since half rounds to even; NaN gives 1. */
static inline uint8_t code_of(float v)
{
	return (uint8_t)(1 + (v > 0.5f) - (v < -0.5f));
}

static void pack_block(uint8_t out[32], const float w[128], float inv)
{
	for (int p = 0; p < 32; p++)
		out[p] = (uint8_t)(code_of(w[p] * inv) << 6 | code_of(w[32 + p] * inv) << 4 |
		                   code_of(w[64 + p] * inv) << 2 | code_of(w[96 + p] * inv));
}

void bd_ternary_pack(uint8_t *codes, const float *w, size_t rows, size_t cols, float scale)
{
	const float inv = 1.0f / scale;

	for (size_t r = 0; r < rows; r++, w += cols) {
		size_t i = 0;

		for (; i + 128 <= cols; i += 128, codes += 32)
			pack_block(codes, w + i, inv);
		if (i < cols) {
			float last[128] = {0};

			memcpy(last, w + i, (cols - i) * sizeof(*w));
			pack_block(codes, last, inv);
			codes += 32;
		}
	}
}

static void unpack_block(float w[128], const uint8_t codes[32], float scale)
{
	for (int f = 0; f < 4; f++)
		for (int p = 0; p < 32; p++)
			w[32 * f + p] = (float)((codes[p] >> (6 - 2 * f) & 3) - 1) * scale;
}

void bd_ternary_unpack(float *w, const uint8_t *codes, size_t rows, size_t cols, float scale)
{
	for (size_t r = 0; r < rows; r++, w += cols) {
		size_t i = 0;

		for (; i + 128 <= cols; i += 128, codes += 32)
			unpack_block(w + i, codes, scale);
		if (i < cols) {
			float last[128];

			unpack_block(last, codes, scale);
			memcpy(w + i, last, (cols - i) * sizeof(*w));
			codes += 32;
		}
	}
}

static void count_block(const uint8_t codes[32], uint64_t count[3])
{
	const uint64_t ones = 0x5555555555555555;

	for (int i = 0; i < 4; i++) {
		uint64_t c;

		memcpy(&c, codes + 8 * i, sizeof(c));
		const uint64_t lo = c & ones, hi = c >> 1 & ones;
		count[0] += (uint64_t)__builtin_popcountll(~(lo | hi) & ones);
		count[1] += (uint64_t)__builtin_popcountll(lo & ~hi);
		count[2] += (uint64_t)__builtin_popcountll(hi & ~lo);
	}
}

static inline unsigned code_at(const uint8_t *codes, size_t col)
{
	return (unsigned)codes[col / 128 * 32 + col % 32] >> (6 - 2 * (col % 128 / 32)) & 3u;
}

void bd_ternary_count(const uint8_t *codes, size_t rows, size_t cols, uint64_t count[3])
{
	const size_t whole = cols / 128 * 128;

	memset(count, 0, 3 * sizeof(*count));
	for (size_t r = 0; r < rows; r++, codes += bd_ternary_stride(cols)) {
		for (size_t i = 0; i < whole; i += 128)
			count_block(codes + i / 4, count);
		for (size_t i = whole; i < cols; i++)
			if (code_at(codes, i) < 3)
				count[code_at(codes, i)]++;
	}
}

/* Half and bfloat16 */

static inline uint32_t bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static inline float float_of(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof(x));
	return x;
}

uint16_t bd_f32_to_f16(float x)
{
	const uint32_t sign = bits_of(x) >> 16 & 0x8000u;
	uint32_t u = bits_of(x) & 0x7fffffffu;

	if (u > 0x7f800000u) /* NaN: quiet, the upper bits of its payload */
		u = 0x7e00u | (u >> 13 & 0x3ffu);
	else if (u >= 0x47800000u) /* 2^16 and more */
		u = 0x7c00u;
	else if (u <
	         0x38800000u) /* below 2^-14: the sum rounds to a multiple of 2^-24, the unit of denormals */
		u = bits_of(float_of(u) + 0.5f) - bits_of(0.5f);
	else /* rounded at bit 13; the exponent's offset 127 becomes 15 */
		u = (u + 0xfffu + (u >> 13 & 1u) - (112u << 23)) >> 13;
	return (uint16_t)(sign | u);
}

float bd_f16_to_f32(uint16_t h)
{
	const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h & 0x7c00, mantissa = h & 0x3ff;

	if (exponent == 0) /* denormal or zero */
		return float_of(sign | bits_of((float)mantissa * 0x1p-24f));
	if (exponent == 0x7c00)
		return float_of(sign | 0x7f800000u | (mantissa ? 0x400000u : 0u) | mantissa << 13);
	return float_of(sign | (((exponent | mantissa) << 13) + (112u << 23)));
}

uint16_t bd_f32_to_bf16(float x)
{
	const uint32_t u = bits_of(x);

	if (x != x)
		return (uint16_t)(u >> 16 | 0x40u); /* quiet */
	return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

float bd_bf16_to_f32(uint16_t h)
{
	return float_of((uint32_t)h << 16);
}

void bd_f16_row(uint16_t *out, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = bd_f32_to_f16(x[i]);
}

void bd_f32_row(float *out, const uint16_t *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = bd_f16_to_f32(h[i]);
}

/* Q8_0 */

static int8_t q8_of(float v)
{
	return (int8_t)(fabsf(v) < 127.5f ? roundf(v)
	                                  : 0.0f); /* false for NaN; |v| <= 127 (1 + 2^-22) if finite */
}

void bd_q8_0_pack(uint8_t *out, const float *x, size_t n)
{
	for (size_t b = 0; b < n / BD_Q8_0_BLOCK; b++, x += BD_Q8_0_BLOCK, out += BD_Q8_0_BYTES) {
		float max = 0.0f;

		for (int i = 0; i < BD_Q8_0_BLOCK; i++)
			max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
		const float d = max / 127.0f, inv = d != 0.0f ? 1.0f / d : 0.0f;
		const uint16_t half = bd_f32_to_f16(d);
		memcpy(out, &half, sizeof(half));
		for (int i = 0; i < BD_Q8_0_BLOCK; i++)
			out[2 + i] = (uint8_t)q8_of(x[i] * inv);
	}
}

void bd_q8_0_unpack(float *out, const uint8_t *in, size_t n)
{
	for (size_t b = 0; b < n / BD_Q8_0_BLOCK; b++, out += BD_Q8_0_BLOCK, in += BD_Q8_0_BYTES) {
		uint16_t half;

		memcpy(&half, in, sizeof(half));
		const float d = bd_f16_to_f32(half);
		for (int i = 0; i < BD_Q8_0_BLOCK; i++)
			out[i] = (float)(int8_t)in[2 + i] * d;
	}
}
