/* Floats split into two bf16, a = hi + lo, and packed into tiles. lo is exact before it is rounded; |lo| <=
 * 2^-8 |a|, and its rounding error is at most 2^-17 |a|. */
#if defined(__x86_64__)

#include "machine/kern/split_amx.h"

#include <immintrin.h>

enum {
	UNSPLIT = 0x7f7f8000,  /* the bits of the least positive float that rounds to infinity in bf16 */
	TOP = (int)0xffff0000u /* the half of a float that is its bf16 */
};

struct seen {
	__m512i largest; /* of the absolute values, as bits */
	__m512i low;     /* the OR of all lo */
};

static inline __mmask16 first(size_t n)
{
	return (__mmask16)((1u << min(n, TILE)) - 1);
}

static inline __m512i magnitude(__m512 x)
{
	return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}

/* Half a unit of the last bf16 place is added: the upper half of the result is the nearest bf16. */
static inline __m512i nearest(__m512 x)
{
	return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
}

static inline __m512 low_part(__m512 x, __m512i rounded)
{
	return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32(TOP))));
}

/* The upper halves of x and y, x's below. */
static inline __m512i pairs(__m512i x, __m512i y)
{
	return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(x, 16), y);
}

static inline void split(struct seen *s, __m512 x, __m512 y, uint32_t *hi, uint32_t *lo)
{
	const __m512i xh = nearest(x), yh = nearest(y);
	const __m512i low = pairs(nearest(low_part(x, xh)), nearest(low_part(y, yh)));

	s->largest = _mm512_max_epu32(s->largest, _mm512_max_epu32(magnitude(x), magnitude(y)));
	s->low = _mm512_or_si512(s->low, low);
	_mm512_store_si512(hi, pairs(xh, yh));
	_mm512_store_si512(lo, low);
}

/* Lane g: t[4g + i][4j .. 4j+3]. */
static inline __m512i quads(const uint32_t *t, size_t i, size_t j)
{
	const uint32_t *p = t + i * TILE + 4 * j;
	__m512i v = _mm512_castsi128_si512(_mm_load_si128((const __m128i *)p));

	v = _mm512_inserti32x4(v, _mm_load_si128((const __m128i *)(p + 4 * TILE)), 1);
	v = _mm512_inserti32x4(v, _mm_load_si128((const __m128i *)(p + 8 * TILE)), 2);
	return _mm512_inserti32x4(v, _mm_load_si128((const __m128i *)(p + 12 * TILE)), 3);
}

/* to[16,16] = from[16,16]^T */
static void transpose(uint32_t *to, const uint32_t *from)
{
	for (size_t j = 0; j < 4; j++, to += 4 * TILE) {
		const __m512i v0 = quads(from, 0, j), v1 = quads(from, 1, j);
		const __m512i v2 = quads(from, 2, j), v3 = quads(from, 3, j);
		const __m512i a = _mm512_unpacklo_epi32(v0, v1), b = _mm512_unpackhi_epi32(v0, v1);
		const __m512i c = _mm512_unpacklo_epi32(v2, v3), d = _mm512_unpackhi_epi32(v2, v3);

		_mm512_store_si512(to, _mm512_unpacklo_epi64(a, c));
		_mm512_store_si512(to + TILE, _mm512_unpackhi_epi64(a, c));
		_mm512_store_si512(to + 2 * TILE, _mm512_unpacklo_epi64(b, d));
		_mm512_store_si512(to + 3 * TILE, _mm512_unpackhi_epi64(b, d));
	}
}

/* One tile, zeros beyond n <= 16 lines and K <= 32. along: x[n,K], a row holds consecutive k, and tile row r
 * is line r; else x[K,n], and tile row r is the pair (k = r, r + 16) of every line. */
static inline void split_tile(struct seen *s, const float *x, size_t ld, bool along, size_t n, size_t K,
                              uint32_t *hi, uint32_t *lo)
{
	const size_t K2 = K > TILE ? K - TILE : 0, rows = along ? n : K, rows2 = along ? n : K2;
	const __mmask16 mask = first(along ? K : n), mask2 = first(along ? K2 : n);
	const size_t second = along ? TILE : TILE * ld;

	for (size_t r = 0; r < TILE; r++) {
		const __m512 a = r < rows ? _mm512_maskz_loadu_ps(mask, x + r * ld) : _mm512_setzero_ps();
		const __m512 b =
		    r < rows2 && K2 ? _mm512_maskz_loadu_ps(mask2, x + r * ld + second) : _mm512_setzero_ps();

		if (!along) { /* the next STEP: the processor does not see a stream in rows far apart */
			_mm_prefetch((const char *)(x + (r + STEP) * ld), _MM_HINT_T1);
			_mm_prefetch((const char *)(x + (r + STEP) * ld + second), _MM_HINT_T1);
		}
		split(s, a, b, hi + r * TILE, lo + r * TILE);
	}
}

/* One panel, n <= 32. turn: what split_tile makes is the transpose of what is wanted. */
static void pack_panel(struct seen *s, const float *x, size_t ld, bool along, bool turn, size_t n, size_t K,
                       uint32_t *to)
{
	_Alignas(64) uint32_t hi[CELLS], lo[CELLS];

	for (size_t k = 0; k < K; k += STEP, to += 4 * CELLS)
		for (size_t half = 0; half < 2; half++) {
			const size_t line = min(half * TILE, n), left = min(n - line, TILE);
			const float *from = along ? x + line * ld + k : x + k * ld + line;
			uint32_t *t = to + half * CELLS;

			split_tile(s, from, ld, along, left, min(K - k, STEP), turn ? hi : t,
			           turn ? lo : t + 2 * CELLS);
			if (turn) {
				transpose(t, hi);
				transpose(t + 2 * CELLS, lo);
			}
		}
}

/* x is read in the order of its rows. */
struct split bd_split(const float *x, size_t ld, bool along, bool turn, size_t n, size_t K, uint32_t *to)
{
	const size_t depth = whole(K, STEP), chunk = along ? depth : STEP;
	struct seen s = {_mm512_setzero_si512(), _mm512_setzero_si512()};

	for (size_t k = 0; k < K; k += chunk)
		for (size_t l = 0; l < n; l += PANEL)
			pack_panel(&s, along ? x + l * ld : x + k * ld + l, ld, along, turn,
			           min(n - l, PANEL), min(K - k, chunk), to + l * depth + k * PANEL);
	return (struct split){_mm512_reduce_max_epu32(s.largest) < UNSPLIT,
	                      _mm512_test_epi32_mask(s.low, s.low) != 0};
}

#endif
