/* Dense float GEMM on the tile unit (AMX), which multiplies bf16 and adds in float. Every operand is split
 * into two bf16, a = ah + al, and a b is ah bh + ah bl + al bh. Left out are al bl, 2^-16 |a b|, and what al
 * and bl round away, 2^-17 each. Blocks of op(B), then groups of rows of op(A), are packed into tiles that
 * stay in the second-level cache; 2 x 2 tiles of C are summed at a time. Numbers whose bf16 would overflow,
 * infinities and NaN cannot be split: the library multiplies the groups that contain one. */
#if defined(__x86_64__)

#include "machine/gemm_job.h"
#include "machine/kern/split_amx.h"

#include <immintrin.h>

/* Rows of op(A) packed at a time (512 bytes in a row where it is stored transposed), k of a block, numbers of
 * a block of op(B) (768 KB packed). */
enum { GROUP = 4 * PANEL, K_MAX = 512, B_MAX = 192 * 1024 };

/* One group of op(A), one block of op(B), and a C that does not go straight to its place; hi and lo of two
 * numbers take two cells. */
static _Thread_local struct {
	_Alignas(64) uint32_t a[GROUP * K_MAX], b[B_MAX];
	_Alignas(64) float c[PANEL * PANEL];
} scratch;

/* Tiles 0 to 3 are of C, 4 and 5 of op(A), 6 and 7 of op(B). Instructions name them, so these are macros. */
#define LOAD_A(p)                                                                                            \
	do {                                                                                                 \
		_tile_loadd(4, p, TILE * 4);                                                                 \
		_tile_loadd(5, (p) + CELLS, TILE * 4);                                                       \
	} while (0)

#define LOAD_B(p)                                                                                            \
	do {                                                                                                 \
		_tile_loadd(6, p, TILE * 4);                                                                 \
		_tile_loadd(7, (p) + CELLS, TILE * 4);                                                       \
	} while (0)

#define PRODUCTS                                                                                             \
	do {                                                                                                 \
		_tile_dpbf16ps(0, 4, 6);                                                                     \
		_tile_dpbf16ps(1, 4, 7);                                                                     \
		_tile_dpbf16ps(2, 5, 6);                                                                     \
		_tile_dpbf16ps(3, 5, 7);                                                                     \
	} while (0)

/* C[32,32] (+)= A B of packed panels; a low half that is all zero is left out. */
static void multiply(const uint32_t *a, const uint32_t *b, size_t K, bool a_low, bool b_low, float *C,
                     size_t ldc, bool add)
{
	const size_t stride = ldc * sizeof(*C);
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
static void merge(const struct bd_product *j, const float *sum)
{
	const __m512 alpha = _mm512_set1_ps(j->alpha), beta = _mm512_set1_ps(j->beta);

	for (size_t m = 0; m < j->M; m++)
		for (size_t n = 0; n < j->N; n += TILE) {
			const __mmask16 mask = (__mmask16)((1u << min(j->N - n, TILE)) - 1);
			float *c = j->C + m * j->ldc + n;
			__m512 v = _mm512_mul_ps(alpha, _mm512_load_ps(sum + m * PANEL + n));

			if (j->beta != 0)
				v = _mm512_fmadd_ps(beta, _mm512_maskz_loadu_ps(mask, c), v);
			_mm512_mask_storeu_ps(c, mask, v);
		}
}

/* One panel a of op(A), M <= 32, with all those of a block of op(B). */
static void multiply_row(const struct bd_product *j, const uint32_t *a, bool a_low, bool b_low)
{
	const size_t K = whole(j->K, STEP);
	const bool whole_rows = j->M == PANEL && j->alpha == 1 && (j->beta == 0 || j->beta == 1);

	for (size_t n = 0; n < j->N; n += PANEL) {
		const uint32_t *b = scratch.b + n * K;
		const struct bd_product c = gemm_part(j, 0, j->M, n, min(j->N - n, PANEL), 0, j->K);

		for (size_t m = 0; j->beta != 0 && m < j->M; m++) { /* C for the next n */
			_mm_prefetch((const char *)(c.C + m * c.ldc + PANEL), _MM_HINT_T0);
			_mm_prefetch((const char *)(c.C + m * c.ldc + PANEL + TILE), _MM_HINT_T0);
		}
		if (whole_rows && c.N == PANEL) {
			multiply(a, b, K, a_low, b_low, c.C, c.ldc, c.beta != 0);
		} else {
			multiply(a, b, K, a_low, b_low, scratch.c, PANEL, false);
			merge(&c, scratch.c);
		}
	}
}

/* One block of op(B), K <= K_MAX, whole(K) whole(N) <= B_MAX. */
static void multiply_block(const struct bd_product *j)
{
	/* eight tiles of 16 rows of 64 bytes */
	static const struct {
		uint8_t palette, start, reserved[14];
		uint16_t bytes[16];
		uint8_t rows[16];
	} tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
	const struct split b = bd_split(j->B, j->ldb, j->tb, j->tb, j->N, j->K, scratch.b);

	for (size_t g = 0; g < j->M; g += GROUP) {
		const struct bd_product group = gemm_part(j, g, min(j->M - g, GROUP), 0, j->N, 0, j->K);
		const struct split a = bd_split(group.A, j->lda, !j->ta, j->ta, group.M, j->K, scratch.a);

		if (!a.possible || !b.possible) {
			bd_gemm_lib(&group);
			continue;
		}
		_tile_loadconfig(&tiles);
		for (size_t m = 0; m < group.M; m += PANEL) {
			const struct bd_product row =
			    gemm_part(&group, m, min(group.M - m, PANEL), 0, j->N, 0, j->K);

			multiply_row(&row, scratch.a + m * whole(j->K, STEP), a.low, b.low);
		}
		_tile_release();
	}
}

/* The fewest blocks of at most max that cover n, of about one size: that size, a multiple of 32. */
static size_t block_size(size_t n, size_t max)
{
	const size_t blocks = (n + max - 1) / max;

	return whole((n + blocks - 1) / blocks, PANEL);
}

void bd_gemm_amx(const struct bd_product *j)
{
	const size_t K = block_size(j->K, K_MAX), N = block_size(j->N, B_MAX / K / PANEL * PANEL);

	for (size_t n = 0; n < j->N; n += N)
		for (size_t k = 0; k < j->K; k += K) {
			struct bd_product part =
			    gemm_part(j, 0, j->M, n, min(j->N - n, N), k, min(j->K - k, K));

			if (k > 0)
				part.beta = 1;
			multiply_block(&part);
		}
}

#endif
