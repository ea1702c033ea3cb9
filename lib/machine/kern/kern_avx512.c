/* AVX-512 F, BW, DQ, VL and VNNI. */
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

#define W      16
#define TILE_T 4
#define TILE_N 6

typedef float vf __attribute__((vector_size(64)));
typedef float vf_mem __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));

static inline float sum16(const vf t[1])
{
	const __m256 a =
	    _mm256_add_ps(_mm512_castps512_ps256((__m512)t[0]), _mm512_extractf32x8_ps((__m512)t[0], 1));
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline vf load_f16(const uint16_t *h)
{
	return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)h));
}

static inline vf load_bf16(const uint16_t *h)
{
	const __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)h));

	return (vf)_mm512_slli_epi32(w, 16);
}

#include "machine/kern/float.inc"

static inline vf fused(vf a, vf b, vf c)
{
	return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

enum { SCORE_T = 4, SCORE_K = 4, MIX_T = 4, MIX_V = 4 };

#include "machine/kern/attention.inc"

static inline __mmask16 first_lanes(size_t n)
{
	return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}

static float quant_row(int8_t *q, int32_t *sum, const float *x, size_t k, size_t kpad)
{
	const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
	__m512i max = _mm512_setzero_si512(), total = _mm512_setzero_si512();
	size_t i;

	for (i = 0; i < k; i += 16) {
		const __m512i u = _mm512_castps_si512(_mm512_maskz_loadu_ps(first_lanes(k - i), x + i));

		max = _mm512_max_epu32(max, _mm512_and_si512(u, magnitude));
	}
	const float amax =
	    _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((int)_mm512_reduce_max_epu32(max))));
	const float a = amax < BD_QEPS ? BD_QEPS : amax, scale = 127.0f / a;
	for (i = 0; i < k; i += 16) {
		const __m512 v =
		    _mm512_mul_ps(_mm512_maskz_loadu_ps(first_lanes(k - i), x + i), _mm512_set1_ps(scale));
		const __m512i c = _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v);

		_mm_storeu_si128((__m128i *)(q + i), _mm512_cvtepi32_epi8(c));
		total = _mm512_add_epi32(total, c);
	}
	if (i < kpad)
		memset(q + i, 0, kpad - i);
	*sum = _mm512_reduce_add_epi32(total);
	return a / 127.0f;
}

/* 16 rows x 4 columns a vector: vpdpbusd adds the four products of a row to its int32 lane, the activations
 * being the same 4 bytes for all rows. Two vectors of rows by 12 tokens: 24 accumulators of 32 registers. */
enum { PANEL_ROWS = 32, PANEL_COLS = 2048, FEW = 12 };

#include "machine/kern/ternary.inc"

/* acc += the sums of 4 products c x. As an intrinsic, gcc 12 copies every accumulator before and after. */
static inline __m512i dpbusd(__m512i acc, __m512i c, __m512i x)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(c), "v"(x));
	return acc;
}

/* Four rows of 16 bytes in every 128-bit lane: dword j of the four to z[j]. */
static inline void transpose_4x4(__m512i z[4])
{
	const __m512i a = _mm512_unpacklo_epi32(z[0], z[1]), b = _mm512_unpackhi_epi32(z[0], z[1]);
	const __m512i c = _mm512_unpacklo_epi32(z[2], z[3]), d = _mm512_unpackhi_epi32(z[2], z[3]);

	z[0] = _mm512_unpacklo_epi64(a, c);
	z[1] = _mm512_unpackhi_epi64(a, c);
	z[2] = _mm512_unpacklo_epi64(b, d);
	z[3] = _mm512_unpackhi_epi64(b, d);
}

/* 16 bytes of rows r, 4 + r, 8 + r, 12 + r; rows beyond the last repeat it: they are computed and not stored.
 */
static inline __m512i load_4_rows(const uint8_t *codes, size_t stride, size_t r, size_t rows)
{
	__m128i v[4];

	EACH(i, 4) {
		const size_t row = r + 4 * i < rows ? r + 4 * i : rows - 1;

		v[i] = _mm_loadu_si128((const __m128i *)(codes + row * stride));
	}
	__m512i z = _mm512_castsi128_si512(v[0]);
	z = _mm512_inserti32x4(z, v[1], 1);
	z = _mm512_inserti32x4(z, v[2], 2);
	return _mm512_inserti32x4(z, v[3], 3);
}

/* Byte p of a block of 128 columns holds columns p, 32 + p, 64 + p, 96 + p: a dword of the packed row gives
 * four groups of 4 columns, 8 groups apart. */
static void unpack(uint8_t *panel, const uint8_t *codes, size_t stride, size_t rows, size_t blocks)
{
	const __m512i three = _mm512_set1_epi8(3);

	for (size_t b = 0; b < 2 * blocks; b++) /* half blocks: 16 bytes of a row */
		for (size_t h = 0; h < 2; h++) {
			uint8_t *to = panel + (b / 2 * 32 + b % 2 * 4) * (4 * PANEL_ROWS) + 64 * h;
			__m512i z[4];

			EACH(r, 4)
				z[r] = load_4_rows(codes + 16 * b, stride, 16 * h + r, rows);
			transpose_4x4(z);
			EACH(j, 4)
				EACH(f, 4) {
					const __m512i c = _mm512_srli_epi32(z[j], (unsigned)(6 - 2 * f));

					_mm512_store_si512(to + (8 * f + j) * (4 * PANEL_ROWS),
					                   _mm512_and_si512(c, three));
				}
		}
}

/* The accumulators are variables of their own, not an array: gcc keeps those in registers. */
#define TOKENS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

static inline __m512i sums_so_far(const struct panel *p, const float *out, int32_t sum, __mmask16 m)
{
	return p->first ? _mm512_set1_epi32(-sum) : _mm512_maskz_loadu_epi32(m, out);
}

static inline void store_sums(const struct panel *p, float *out, __m512i acc, float step, __mmask16 m)
{
	if (p->last)
		acc = _mm512_castps_si512(
		    _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_set1_ps(step * p->scale)));
	_mm512_mask_storeu_epi32(out, m, acc);
}

static inline __attribute__((always_inline)) void tile_n(const struct panel *p, float *out, const int8_t *q,
                                                         const float *step, const int32_t *sum, const int nt)
{
	const __mmask16 m0 = first_lanes(p->rows), m1 = first_lanes(p->rows < 16 ? 0 : p->rows - 16);
	const size_t ldo = p->ldo, kpad = p->kpad;
	const uint8_t *codes = p->codes;

#define BEGIN(t)                                                                                             \
	__m512i a##t, b##t;                                                                                  \
	if (t < nt) {                                                                                        \
		a##t = sums_so_far(p, out + t * ldo, sum[t], m0);                                            \
		b##t = sums_so_far(p, out + t * ldo + 16, sum[t], m1);                                       \
	}
#define STEP(t)                                                                                              \
	if (t < nt) {                                                                                        \
		int32_t four;                                                                                \
		memcpy(&four, q + t * kpad + k, sizeof(four));                                               \
		const __m512i x = _mm512_set1_epi32(four);                                                   \
		a##t = dpbusd(a##t, c0, x);                                                                  \
		b##t = dpbusd(b##t, c1, x);                                                                  \
	}
#define END(t)                                                                                               \
	if (t < nt) {                                                                                        \
		store_sums(p, out + t * ldo, a##t, step[t], m0);                                             \
		store_sums(p, out + t * ldo + 16, b##t, step[t], m1);                                        \
	}
	TOKENS(BEGIN)
	for (size_t k = 0; k < p->cols; k += 4, codes += 4 * PANEL_ROWS) {
		const __m512i c0 = _mm512_load_si512(codes), c1 = _mm512_load_si512(codes + 64);

		TOKENS(STEP)
	}
	TOKENS(END)
#undef BEGIN
#undef STEP
#undef END
}

static void tile(const struct panel *p, float *out, const int8_t *q, const float *step, const int32_t *sum,
                 size_t T)
{
	size_t t = 0;

	for (; t + 12 <= T; t += 12)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 12);
	for (; t + 4 <= T; t += 4)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 4);
	for (; t < T; t++)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 1);
}

/* One block of two adjacent ones, 32 columns each */
static inline __m512i halves(const void *lo, const void *hi)
{
	return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(lo)), _mm256_loadu_si256(hi), 1);
}

/* Bytes from what is read to what is fetched into the second-level cache: of four rows at a time the
 * processor sees no stream, and memory answers after some 100 ns. */
enum { AHEAD = 12288 };

/* sum_k (C + 1)[n,k] q[k] of four rows. A field is used where it stands, as 1, 4, 16 or 64 times its code:
 * its own accumulator is divided at the end, exactly. |lane| <= 131072 / 64 * 4 * 192 * 128 < 2^31. Two
 * blocks a step; of an odd last one the other half is zero. */
static inline __m128i dot_4_rows(const int8_t *q, const uint8_t *codes, const size_t at[4], size_t blocks)
{
	const __m512i m0 = _mm512_set1_epi8((char)0xc0), m1 = _mm512_set1_epi8(0x30);
	const __m512i m2 = _mm512_set1_epi8(0x0c), m3 = _mm512_set1_epi8(0x03), zero = _mm512_setzero_si512();

#define ROWS(X)  X(0) X(1) X(2) X(3)
#define BEGIN(r) __m512i a##r = zero, b##r = zero, c##r = zero, d##r = zero;
#define STEP(r)                                                                                              \
	{                                                                                                    \
		const __m512i c = _mm512_maskz_loadu_epi64(half, codes + at[r]);                             \
		_mm_prefetch(codes + at[r] + AHEAD, _MM_HINT_T1);                                            \
		a##r = dpbusd(a##r, _mm512_and_si512(c, m0), x0);                                            \
		b##r = dpbusd(b##r, _mm512_and_si512(c, m1), x1);                                            \
		c##r = dpbusd(c##r, _mm512_and_si512(c, m2), x2);                                            \
		d##r = dpbusd(d##r, _mm512_and_si512(c, m3), x3);                                            \
	}
#define END(r)                                                                                               \
	_mm512_add_epi32(_mm512_add_epi32(_mm512_srai_epi32(a##r, 6), _mm512_srai_epi32(b##r, 4)),           \
	                 _mm512_add_epi32(_mm512_srai_epi32(c##r, 2), d##r)),
	ROWS(BEGIN)

	for (size_t i = 0; i < blocks; i += 2, q += 256, codes += 64) {
		const __mmask8 half = i + 1 < blocks ? 0xff : 0x0f;
		const size_t next = i + 1 < blocks ? 128 : 0;
		const __m512i x0 = halves(q, q + next), x1 = halves(q + 32, q + 32 + next);
		const __m512i x2 = halves(q + 64, q + 64 + next), x3 = halves(q + 96, q + 96 + next);

		ROWS(STEP)
	}
	__m512i s[4] = {ROWS(END)};
#undef ROWS
#undef BEGIN
#undef STEP
#undef END
	transpose_4x4(s);
	const __m512i t = _mm512_add_epi32(_mm512_add_epi32(s[0], s[1]), _mm512_add_epi32(s[2], s[3]));
	const __m256i u = _mm256_add_epi32(_mm512_castsi512_si256(t), _mm512_extracti64x4_epi64(t, 1));
	return _mm_add_epi32(_mm256_castsi256_si128(u), _mm256_extracti128_si256(u, 1));
}

static void few(const struct bd_kern_product *product)
{
	const struct bd_kern_product o = *product; /* a copy, which stores to out cannot change */

	for (size_t n = 0; n < o.N; n += 4) {
		size_t at[4];

		for (size_t i = 0; i < 4; i++)
			at[i] = (n + i < o.N ? n + i : o.N - 1) * (o.kpad / 4);
		for (size_t t = 0; t < o.T; t++) {
			const __m128i s =
			    _mm_sub_epi32(dot_4_rows(o.q + t * o.kpad, o.codes, at, o.kpad / 128),
			                  _mm_set1_epi32(o.sum[t]));

			_mm_mask_storeu_ps(o.out + t * o.ldo + n,
			                   (__mmask8)first_lanes(o.N - n < 4 ? o.N - n : 4),
			                   _mm_mul_ps(_mm_cvtepi32_ps(s), _mm_set1_ps(o.step[t] * o.scale)));
		}
	}
}

/* Tables: a vector is a pair of blocks. vpdpbusd wants x unsigned, so it gets x + 128, and begins at -128
 * times the sum of w. */

typedef __m512i vb;

static inline vb load_bytes(const void *p)
{
	return _mm512_loadu_si512(p);
}

static inline vi begin_4(vb w)
{
	const __m512i minus = dpbusd(_mm512_setzero_si512(), _mm512_set1_epi8((char)128), w);

	return (vi)_mm512_sub_epi32(_mm512_setzero_si512(), minus);
}

static inline vi dot_4(vi begin, vb w, vb x)
{
	return (vi)dpbusd((__m512i)begin, _mm512_xor_si512(x, _mm512_set1_epi8((char)128)), w);
}

static inline vf to_floats(vi x)
{
	return (vf)_mm512_cvtepi32_ps((__m512i)x);
}

static inline vb pair_q8_0(const uint8_t *lo, const uint8_t *hi, size_t j)
{
	(void)j;
	return halves(lo, hi);
}

/* 16 bytes to the low and the high nibbles of a half */
static inline vb pair_q4_0(const uint8_t *lo, const uint8_t *hi, size_t j)
{
	const __m512i twice = _mm512_inserti64x4(
	    _mm512_castsi256_si512(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)lo))),
	    _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)hi)), 1);
	const __m512i shift = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
	const __m512i q = _mm512_and_si512(_mm512_srlv_epi64(twice, shift), _mm512_set1_epi8(15));

	(void)j;
	return _mm512_sub_epi8(q, _mm512_set1_epi8(8));
}

static inline vb pair_q6_k(const uint8_t *block, size_t i, size_t j)
{
	const __m512i low =
	    _mm512_srl_epi64(_mm512_loadu_si512(block + i / 2 * 64), _mm_cvtsi32_si128((int)(i % 2 * 4)));
	const __m512i high =
	    _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(block + 128 + i / 2 * 32)));
	/* bits 4i, 4i+1 of the first half and the next two of the second to bits 4, 5 */
	const __m512i shift = _mm512_add_epi64(_mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0),
	                                       _mm512_set1_epi64((long long)(i % 2 * 4)));
	const __m512i two = _mm512_and_si512(_mm512_srlv_epi64(high, shift), _mm512_set1_epi8(3));
	const __m512i q =
	    _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi8(15)), _mm512_slli_epi64(two, 4));

	(void)j;
	return _mm512_sub_epi8(q, _mm512_set1_epi8(32));
}

static inline vf pair_halves(const uint8_t *lo, const uint8_t *hi, size_t j)
{
	uint16_t a, b;

	(void)j;
	memcpy(&a, lo, sizeof(a));
	memcpy(&b, hi, sizeof(b));
	return (vf)_mm512_cvtph_ps(_mm256_set_m128i(_mm_set1_epi16((short)b), _mm_set1_epi16((short)a)));
}

static inline vi four_scales(const int8_t *s, size_t j)
{
	const __m128i spread = _mm_set_epi8(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
	int32_t four;

	(void)j;
	memcpy(&four, s, sizeof(four));
	return (vi)_mm512_cvtepi8_epi32(_mm_shuffle_epi8(_mm_cvtsi32_si128(four), spread));
}

enum { TABLE_T = 8 };

#include "machine/kern/quantised.inc"

extern const struct bd_kern bd_kern_avx512vnni;
const struct bd_kern bd_kern_avx512vnni = {
    .name = "avx512vnni",
    .need = BD_CPU_AVX512,
#include "machine/kern/table.inc"
};

#endif
