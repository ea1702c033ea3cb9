/* AVX2, FMA (in attention only) and F16C. */
#if defined(__x86_64__)

#include "machine/cpu.h"
#include "machine/kern.h"
#include "machine/kern/poly.h"
#include "machine/quant.h"

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define W      8
#define TILE_T 3
#define TILE_N 3

typedef float vf __attribute__((vector_size(32)));
typedef float vf_mem __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));

static inline float sum16(const vf t[2])
{
	const __m256 a = (__m256)(t[0] + t[1]);
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline vf load_f16(const uint16_t *h)
{
	return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)h));
}

static inline vf load_bf16(const uint16_t *h)
{
	const __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)h));

	return (vf)_mm256_slli_epi32(w, 16);
}

#include "machine/kern/float.inc"

static inline vf fused(vf a, vf b, vf c)
{
	return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

enum { SCORE_T = 2, SCORE_K = 2, MIX_T = 4, MIX_V = 2 };

#include "machine/kern/attention.inc"

static inline __m256 load_8(const float *x, size_t n)
{
	return n < 8 ? (__m256)load_part(x, n) : _mm256_loadu_ps(x);
}

static inline int32_t sum_8(__m256i v)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static inline float max_8(__m256i v)
{
	__m128i s = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	s = _mm_max_epu32(s, _mm_shuffle_epi32(s, 0x4e));
	return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epu32(s, _mm_shuffle_epi32(s, 0xb1))));
}

static float quant_row(int8_t *q, int32_t *sum, const float *x, size_t k, size_t kpad)
{
	const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
	__m256i max = _mm256_setzero_si256(), total = _mm256_setzero_si256();
	size_t i;

	for (i = 0; i < k; i += 8)
		max = _mm256_max_epu32(
		    max, _mm256_and_si256(_mm256_castps_si256(load_8(x + i, k - i)), magnitude));
	const float amax = max_8(max), a = amax < BD_QEPS ? BD_QEPS : amax, scale = 127.0f / a;
	for (i = 0; i < k; i += 8) {
		const __m256 v = _mm256_mul_ps(load_8(x + i, k - i), _mm256_set1_ps(scale));
		const __m256i number = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_ORD_Q));
		const __m256i c = _mm256_and_si256(_mm256_cvtps_epi32(v), number);
		const __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));

		_mm_storel_epi64((__m128i *)(q + i), _mm_packs_epi16(h, h));
		total = _mm256_add_epi32(total, c);
	}
	if (i < kpad)
		memset(q + i, 0, kpad - i);
	*sum = sum_8(total);
	return a / 127.0f;
}

/* 8 rows x 4 columns a vector: vpmaddubsw adds pairs of products, |pair| <= 2 * 3 * 128 = 768, into int16.
 * The 32 steps of a block of 128 columns reach 32 * 768 = 24576 < 2^15; then the pairs join in int32. Two
 * vectors of rows by 4 tokens. */
enum { PANEL_ROWS = 16, PANEL_COLS = 1024, FEW = 12 };

#include "machine/kern/ternary.inc"

/* Four rows of 16 bytes in both 128-bit lanes: dword j of the four to z[j]. */
static inline void transpose_4x4(__m256i z[4])
{
	const __m256i a = _mm256_unpacklo_epi32(z[0], z[1]), b = _mm256_unpackhi_epi32(z[0], z[1]);
	const __m256i c = _mm256_unpacklo_epi32(z[2], z[3]), d = _mm256_unpackhi_epi32(z[2], z[3]);

	z[0] = _mm256_unpacklo_epi64(a, c);
	z[1] = _mm256_unpackhi_epi64(a, c);
	z[2] = _mm256_unpacklo_epi64(b, d);
	z[3] = _mm256_unpackhi_epi64(b, d);
}

/* 16 bytes of rows r and 4 + r; rows beyond the last repeat it: they are computed and not stored. */
static inline __m256i load_2_rows(const uint8_t *codes, size_t stride, size_t r, size_t rows)
{
	const size_t r0 = r < rows ? r : rows - 1, r1 = r + 4 < rows ? r + 4 : rows - 1;

	return _mm256_inserti128_si256(
	    _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(codes + r0 * stride))),
	    _mm_loadu_si128((const __m128i *)(codes + r1 * stride)), 1);
}

/* Byte p of a block of 128 columns holds columns p, 32 + p, 64 + p, 96 + p: a dword of the packed row gives
 * four groups of 4 columns, 8 groups apart. */
static void unpack(uint8_t *panel, const uint8_t *codes, size_t stride, size_t rows, size_t blocks)
{
	const __m256i three = _mm256_set1_epi8(3);

	for (size_t b = 0; b < 2 * blocks; b++) /* half blocks: 16 bytes of a row */
		for (size_t h = 0; h < 2; h++) {
			uint8_t *to = panel + (b / 2 * 32 + b % 2 * 4) * (4 * PANEL_ROWS) + 32 * h;
			__m256i z[4];

			EACH(r, 4)
				z[r] = load_2_rows(codes + 16 * b, stride, 8 * h + r, rows);
			transpose_4x4(z);
			EACH(j, 4)
				EACH(f, 4)
					_mm256_store_si256(
					    (__m256i *)(to + (8 * f + j) * (4 * PANEL_ROWS)),
					    _mm256_and_si256(_mm256_srli_epi32(z[j], (int)(6 - 2 * f)),
					                     three));
		}
}

/* out[16] of one token: the first p->rows */
static inline void store_rows(const struct panel *p, float *out, const __m256i acc[2], float factor)
{
	__m256i v[2];

	for (int h = 0; h < 2; h++)
		v[h] = p->last ? _mm256_castps_si256(
		                     _mm256_mul_ps(_mm256_cvtepi32_ps(acc[h]), _mm256_set1_ps(factor)))
		               : acc[h];
	if (p->rows == PANEL_ROWS)
		memcpy(out, v, sizeof(v));
	else
		memcpy(out, v, p->rows * sizeof(*out));
}

/* acc[4][2] += one block: codes[32][16][4], q[4,128]. The sums are variables of their own, not an array: gcc
 * keeps those in registers. */
static inline __attribute__((always_inline)) void tile_block(__m256i acc[4][2], const uint8_t *codes,
                                                             const int8_t *q, size_t kpad, const int nt)
{
	const __m256i one = _mm256_set1_epi16(1), zero = _mm256_setzero_si256();

#define TOKENS(X) X(0) X(1) X(2) X(3)
#define BEGIN(t)  __m256i a##t = zero, b##t = zero;
#define STEP(t)                                                                                              \
	if (t < nt) {                                                                                        \
		int32_t four;                                                                                \
		memcpy(&four, q + t * kpad + k, sizeof(four));                                               \
		const __m256i x = _mm256_set1_epi32(four);                                                   \
		a##t = _mm256_add_epi16(a##t, _mm256_maddubs_epi16(c0, x));                                  \
		b##t = _mm256_add_epi16(b##t, _mm256_maddubs_epi16(c1, x));                                  \
	}
#define END(t)                                                                                               \
	if (t < nt) {                                                                                        \
		acc[t][0] = _mm256_add_epi32(acc[t][0], _mm256_madd_epi16(a##t, one));                       \
		acc[t][1] = _mm256_add_epi32(acc[t][1], _mm256_madd_epi16(b##t, one));                       \
	}
	TOKENS(BEGIN)

	for (size_t k = 0; k < 128; k += 4, codes += 4 * PANEL_ROWS) {
		const __m256i c0 = _mm256_load_si256((const __m256i *)codes);
		const __m256i c1 = _mm256_load_si256((const __m256i *)(codes + 32));

		TOKENS(STEP)
	}
	TOKENS(END)
#undef TOKENS
#undef BEGIN
#undef STEP
#undef END
}

static inline __attribute__((always_inline)) void tile_n(const struct panel *p, float *out, const int8_t *q,
                                                         const float *step, const int32_t *sum, const int nt)
{
	__m256i acc[4][2];

	for (int t = 0; t < nt; t++) {
		acc[t][0] = acc[t][1] = _mm256_set1_epi32(-sum[t]);
		if (!p->first)
			memcpy(acc[t], out + (size_t)t * p->ldo, p->rows * sizeof(*out));
	}
	for (size_t k = 0; k < p->cols; k += 128)
		tile_block(acc, p->codes + k * PANEL_ROWS, q + k, p->kpad, nt);
	for (int t = 0; t < nt; t++)
		store_rows(p, out + (size_t)t * p->ldo, acc[t], step[t] * p->scale);
}

static void tile(const struct panel *p, float *out, const int8_t *q, const float *step, const int32_t *sum,
                 size_t T)
{
	size_t t = 0;

	for (; t + 4 <= T; t += 4)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 4);
	for (; t < T; t++)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 1);
}

static inline __m256i field(__m256i c, char mask, const int8_t *q)
{
	return _mm256_maddubs_epi16(_mm256_and_si256(c, _mm256_set1_epi8(mask)),
	                            _mm256_loadu_si256((const __m256i *)q));
}

/* sum_k (C + 1)[n,k] q[k] of four rows. Of a nibble the upper field counts four times as it stands, so the
 * lower one is multiplied by 4 and the sum divided at the end, exactly. |int16| <= 2 * 4 * 768, |lane| <=
 * 131072 / 8 * 4 * 3 * 128. */
static inline __m128i dot_4_rows(const int8_t *q, const uint8_t *const row[4], size_t blocks)
{
	const __m256i one = _mm256_set1_epi16(1), four = _mm256_set1_epi16(4);
	__m256i acc[4];

	EACH(r, 4)
		acc[r] = _mm256_setzero_si256();
	for (size_t b = 0; b < blocks; b++, q += 128)
		EACH(r, 4) {
			const __m256i lo = _mm256_loadu_si256((const __m256i *)(row[r] + 32 * b));
			const __m256i hi = _mm256_srli_epi16(lo, 4);
			const __m256i a = _mm256_add_epi16(field(lo, 0x03, q + 96), field(hi, 0x03, q + 32));
			const __m256i s = _mm256_add_epi16(field(lo, 0x0c, q + 64), field(hi, 0x0c, q));

			acc[r] = _mm256_add_epi32(acc[r], _mm256_madd_epi16(a, four));
			acc[r] = _mm256_add_epi32(acc[r], _mm256_madd_epi16(s, one));
		}
	const __m256i s =
	    _mm256_hadd_epi32(_mm256_hadd_epi32(acc[0], acc[1]), _mm256_hadd_epi32(acc[2], acc[3]));
	return _mm_srai_epi32(_mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)), 2);
}

static void few(const struct bd_kern_product *product)
{
	const struct bd_kern_product o = *product; /* a copy, which stores to out cannot change */

	for (size_t n = 0; n < o.N; n += 4) {
		const uint8_t *row[4];

		for (size_t i = 0; i < 4; i++)
			row[i] = o.codes + (n + i < o.N ? n + i : o.N - 1) * (o.kpad / 4);
		for (size_t t = 0; t < o.T; t++) {
			const __m128i s = _mm_sub_epi32(dot_4_rows(o.q + t * o.kpad, row, o.kpad / 128),
			                                _mm_set1_epi32(o.sum[t]));
			const __m128 v = _mm_mul_ps(_mm_cvtepi32_ps(s), _mm_set1_ps(o.step[t] * o.scale));

			memcpy(o.out + t * o.ldo + n, &v, (o.N - n < 4 ? o.N - n : 4) * sizeof(*o.out));
		}
	}
}

/* Tables: a vector is a block. vpmaddubsw wants one factor unsigned: |w|, and x with the sign of w; a pair of
 * products is at most 2 * 128 * 127 < 2^15. */

typedef __m256i vb;

static inline vb load_bytes(const void *p)
{
	return _mm256_loadu_si256(p);
}

static inline vi begin_4(vb w)
{
	(void)w;
	return (vi){0};
}

static inline vi dot_4(vi begin, vb w, vb x)
{
	const __m256i two = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));

	(void)begin;
	return (vi)_mm256_madd_epi16(two, _mm256_set1_epi16(1));
}

static inline vf to_floats(vi x)
{
	return (vf)_mm256_cvtepi32_ps((__m256i)x);
}

static inline vb pair_q8_0(const uint8_t *lo, const uint8_t *hi, size_t j)
{
	return load_bytes(j == 0 ? lo : hi);
}

static inline vb pair_q4_0(const uint8_t *lo, const uint8_t *hi, size_t j)
{
	const __m128i b = _mm_loadu_si128((const __m128i *)(j == 0 ? lo : hi));
	const __m256i q = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(b, 4), b), _mm256_set1_epi8(15));

	return _mm256_sub_epi8(q, _mm256_set1_epi8(8));
}

static inline vb pair_q6_k(const uint8_t *block, size_t i, size_t j)
{
	const __m256i ql = load_bytes(block + i / 2 * 64 + 32 * j), qh = load_bytes(block + 128 + i / 2 * 32);
	const __m256i low =
	    _mm256_and_si256(_mm256_srl_epi16(ql, _mm_cvtsi32_si128((int)(i % 2 * 4))), _mm256_set1_epi8(15));
	const __m256i two = _mm256_and_si256(
	    _mm256_srl_epi16(qh, _mm_cvtsi32_si128((int)(i % 2 * 4 + 2 * j))), _mm256_set1_epi8(3));

	return _mm256_sub_epi8(_mm256_or_si256(low, _mm256_slli_epi16(two, 4)), _mm256_set1_epi8(32));
}

static inline vf pair_halves(const uint8_t *lo, const uint8_t *hi, size_t j)
{
	uint16_t h;

	memcpy(&h, j == 0 ? lo : hi, sizeof(h));
	return (vf)_mm256_cvtph_ps(_mm_set1_epi16((short)h));
}

static inline vi four_scales(const int8_t *s, size_t j)
{
	const int a = s[2 * j], b = s[2 * j + 1];

	return (vi){a, a, a, a, b, b, b, b};
}

enum { TABLE_T = 4 };

#include "machine/kern/quantised.inc"

extern const struct bd_kern bd_kern_avx2;
const struct bd_kern bd_kern_avx2 = {
    .name = "avx2",
    .need = BD_CPU_AVX2,
#include "machine/kern/table.inc"
};

#endif
