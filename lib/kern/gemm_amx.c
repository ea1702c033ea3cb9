/* Dense float GEMM on the tile unit (AMX), which multiplies bf16 and adds in float. Every operand is split in two
 * bf16, a = ah + al, and a b is ah bh + ah bl + al bh: left out are al bl, 2^-16 |a b|, and what al and bl round
 * away, 2^-17 each. Blocks of op(B), then panels of 32 rows of op(A), are packed in tiles that stay in the
 * second-level cache; 2 x 2 tiles of C are summed at a time. Numbers whose bf16 would overflow, infinities and
 * NaN cannot be split: the library multiplies the panels that hold one. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "../gemm_job.h"

enum {
	TILE = 16,                 /* rows of a tile, and the pairs of bf16 in a row */
	PANEL = 2 * TILE,          /* rows of op(A), columns of op(B) in a panel */
	STEP = 2 * TILE,           /* k of one tile */
	CELLS = TILE * TILE,       /* pairs in a tile */
	K_MAX = 1024,              /* of a block */
	B_MAX = 128 * 1024,        /* elements of a block of op(B): 512 KB packed */
	UNSPLIT = 0x7f7f8000,      /* bits of the smallest positive float that rounds to infinity in bf16 */
	TOP = (int)0xffff0000      /* the half of a float that is its bf16 */
};

/* A packed panel: for each STEP of k the tiles hi[0], hi[1], lo[0], lo[1]. A row of a tile is 16 pairs of bf16;
 * pair r belongs to k = r (low half) and r + 16, for which no element has to change its lane. */
struct pack {
	__m512i largest; /* of the absolute values, as bits */
	__m512i low;     /* the OR of all lo */
};

static _Thread_local struct {
	_Alignas(64) uint32_t a[2 * PANEL * K_MAX / 2], b[B_MAX];
	_Alignas(64) float c[PANEL * PANEL];
} scratch; /* one block of op(B), one panel of op(A), one C that is not stored at once */

static inline __mmask16 first(size_t n)
{
	return n >= TILE ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

static inline __m512i magnitude(__m512 x)
{
	return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}

/* Adds half a unit of the last bf16 place: the upper half of the result is the nearest bf16. */
static inline __m512i nearest(__m512 x)
{
	return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
}

static inline __m512 low_part(__m512 x, __m512i rounded)
{
	return _mm512_sub_ps(
	    x, _mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32(TOP))));
}

/* The upper halves of x and y, x's below. */
static inline __m512i pairs(__m512i x, __m512i y)
{
	return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(x, 16), y);
}

static inline void split(struct pack *p, __m512 x, __m512 y, uint32_t *hi, uint32_t *lo)
{
	const __m512i xh = nearest(x), yh = nearest(y);
	const __m512i low = pairs(nearest(low_part(x, xh)), nearest(low_part(y, yh)));

	p->largest = _mm512_max_epu32(p->largest, _mm512_max_epu32(magnitude(x), magnitude(y)));
	p->low = _mm512_or_si512(p->low, low);
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

/* One tile, zeros beyond n <= 16 lines and K <= 32. along: x[n,K], a row holds consecutive k, and tile row r is
 * line r; else x[K,n], and tile row r is the pair (k = r, r + 16) of every line. */
static inline void split_tile(struct pack *p, const float *x, size_t ld, bool along, size_t n, size_t K,
                              uint32_t *hi, uint32_t *lo)
{
	const size_t K2 = K > TILE ? K - TILE : 0, rows = along ? n : K, rows2 = along ? n : K2;
	const __mmask16 mask = first(along ? K : n), mask2 = first(along ? K2 : n);
	const size_t second = along ? TILE : TILE * ld;

	for (size_t r = 0; r < TILE; r++) {
		const __m512 a = r < rows ? _mm512_maskz_loadu_ps(mask, x + r * ld) : _mm512_setzero_ps();
		const __m512 b = r < rows2 && K2 ? _mm512_maskz_loadu_ps(mask2, x + r * ld + second)
		                                 : _mm512_setzero_ps();

		split(p, a, b, hi + r * TILE, lo + r * TILE);
	}
}

/* Packs n <= 32 lines (rows of op(A), columns of op(B)). turn: what split_tile makes is the transpose. */
static void pack_panel(struct pack *p, const float *x, size_t ld, bool along, bool turn, size_t n, size_t K,
                       uint32_t *to)
{
	_Alignas(64) uint32_t hi[CELLS], lo[CELLS];

	for (size_t k = 0; k < K; k += STEP)
		for (size_t half = 0; half < 2; half++, to += half ? CELLS : 3 * CELLS) {
			const size_t line = half * TILE, left = n > line ? n - line : 0;
			const float *from = left == 0 ? x : along ? x + line * ld + k : x + k * ld + line;

			split_tile(p, from, ld, along, left < TILE ? left : TILE, K - k < STEP ? K - k : STEP,
			           turn ? hi : to, turn ? lo : to + 2 * CELLS);
			if (turn) {
				transpose(to, hi);
				transpose(to + 2 * CELLS, lo);
			}
		}
}

static bool splits(const struct pack *p)
{
	return _mm512_reduce_max_epu32(p->largest) < UNSPLIT;
}

static bool has_low(const struct pack *p)
{
	return _mm512_test_epi32_mask(p->low, p->low) != 0;
}

/* Tiles 4 and 5 are a panel of op(A), 6 and 7 one of op(B), 0 to 3 C. The instructions name them by literals. */
#define LOAD_A(p)                                   \
	do {                                        \
		_tile_loadd(4, p, TILE * 4);         \
		_tile_loadd(5, (p) + CELLS, TILE * 4); \
	} while (0)

#define LOAD_B(p)                                   \
	do {                                        \
		_tile_loadd(6, p, TILE * 4);         \
		_tile_loadd(7, (p) + CELLS, TILE * 4); \
	} while (0)

#define PRODUCTS                         \
	do {                             \
		_tile_dpbf16ps(0, 4, 6); \
		_tile_dpbf16ps(1, 4, 7); \
		_tile_dpbf16ps(2, 5, 6); \
		_tile_dpbf16ps(3, 5, 7); \
	} while (0)

/* C[32,32] (+)= A B of packed panels; a low half that is all zero is left out. */
static void multiply(const uint32_t *a, const uint32_t *b, size_t K, bool a_low, bool b_low, float *C, size_t ldc,
                     bool add)
{
	const size_t stride = ldc * sizeof *C;
	float *lower = C + TILE * ldc;

	__asm__ volatile("" ::: "memory"); /* the tile loads do not tell the compiler what they read */
	if (add) {
		_tile_loadd(0, C, stride);
		_tile_loadd(1, C + TILE, stride);
		_tile_loadd(2, lower, stride);
		_tile_loadd(3, lower + TILE, stride);
	} else {
		_tile_zero(0);
		_tile_zero(1);
		_tile_zero(2);
		_tile_zero(3);
	}
	for (size_t k = 0; k < K; k += STEP, a += 4 * CELLS, b += 4 * CELLS) {
		LOAD_B(b);
		if (a_low) {
			LOAD_A(a + 2 * CELLS);
			PRODUCTS;
		}
		LOAD_A(a);
		PRODUCTS;
		if (b_low) {
			LOAD_B(b + 2 * CELLS);
			PRODUCTS;
		}
	}
	_tile_stored(0, C, stride);
	_tile_stored(1, C + TILE, stride);
	_tile_stored(2, lower, stride);
	_tile_stored(3, lower + TILE, stride);
	__asm__ volatile("" ::: "memory");
}

/* C[M,N] = alpha sum[M,N] + beta C; beta 0 does not read C. */
static void merge(const struct gemm_job *j, const float *sum)
{
	const __m512 alpha = _mm512_set1_ps(j->alpha), beta = _mm512_set1_ps(j->beta);

	for (size_t m = 0; m < j->M; m++)
		for (size_t n = 0; n < j->N; n += TILE) {
			const __mmask16 mask = first(j->N - n);
			float *c = j->C + m * j->ldc + n;
			__m512 v = _mm512_mul_ps(alpha, _mm512_load_ps(sum + m * PANEL + n));

			if (j->beta != 0)
				v = _mm512_fmadd_ps(beta, _mm512_maskz_loadu_ps(mask, c), v);
			_mm512_mask_storeu_ps(c, mask, v);
		}
}

/* One panel of op(A), M <= 32, with all those of a block of op(B). */
static void multiply_row(const struct gemm_job *j, bool a_low, bool b_low)
{
	const size_t K = (j->K + STEP - 1) / STEP * STEP;
	const bool direct = j->M == PANEL && j->alpha == 1 && (j->beta == 0 || j->beta == 1);

	for (size_t n = 0; n < j->N; n += PANEL) {
		const uint32_t *b = scratch.b + n * K;
		const struct gemm_job c = gemm_part(j, 0, j->M, n, j->N - n < PANEL ? j->N - n : PANEL, 0, K);

		if (direct && c.N == PANEL) {
			multiply(scratch.a, b, K, a_low, b_low, c.C, c.ldc, c.beta != 0);
		} else {
			multiply(scratch.a, b, K, a_low, b_low, scratch.c, PANEL, false);
			merge(&c, scratch.c);
		}
	}
}

/* N and K within a block. */
static void multiply_block(const struct gemm_job *j)
{
	/* eight tiles of 16 rows of 64 bytes */
	static const struct {
		uint8_t palette, start, reserved[14];
		uint16_t bytes[16];
		uint8_t rows[16];
	} tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
	const size_t K = (j->K + STEP - 1) / STEP * STEP;
	struct pack b = {_mm512_setzero_si512(), _mm512_setzero_si512()};

	for (size_t n = 0; n < j->N; n += PANEL) {
		const float *x = j->B + (j->tb == BD_T ? n * j->ldb : n);
		pack_panel(&b, x, j->ldb, j->tb == BD_T, j->tb == BD_T, j->N - n < PANEL ? j->N - n : PANEL, j->K,
		           scratch.b + n * K);
	}
	for (size_t m = 0; m < j->M; m += PANEL) {
		const struct gemm_job row = gemm_part(j, m, j->M - m < PANEL ? j->M - m : PANEL, 0, j->N, 0, j->K);
		struct pack a = {_mm512_setzero_si512(), _mm512_setzero_si512()};

		pack_panel(&a, row.A, j->lda, j->ta == BD_N, j->ta == BD_T, row.M, j->K, scratch.a);
		if (splits(&a) && splits(&b)) {
			_tile_loadconfig(&tiles);
			multiply_row(&row, has_low(&a), has_low(&b));
			_tile_release();
		} else {
			bd_gemm_lib(&row);
		}
	}
}

/* The size of the first of the fewest blocks of at most max that cover n, all multiples of 32, of about one size. */
static size_t block_size(size_t n, size_t max)
{
	const size_t blocks = (n + max - 1) / max;

	return ((n + blocks - 1) / blocks + PANEL - 1) / PANEL * PANEL;
}

void bd_gemm_amx(const struct gemm_job *j)
{
	const size_t K = block_size(j->K, K_MAX), N = block_size(j->N, B_MAX / K / PANEL * PANEL);

	for (size_t n = 0; n < j->N; n += N)
		for (size_t k = 0; k < j->K; k += K) {
			struct gemm_job part = gemm_part(j, 0, j->M, n, j->N - n < N ? j->N - n : N, k,
			                                 j->K - k < K ? j->K - k : K);
			if (k > 0)
				part.beta = 1;
			multiply_block(&part);
		}
}

#endif
