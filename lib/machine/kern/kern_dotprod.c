/* 64-bit ARM with dotprod (ARMv8.2): sdot adds four products to each of four lanes. */
#if defined(__aarch64__)

#include "machine/kern/neon.inc"

/* 4 rows x 4 columns a vector, the activations being the same 4 bytes for all rows: one lane of 16. Four
 * vectors of rows by 4 tokens. */
enum { PANEL_ROWS = 16, PANEL_COLS = 1024, FEW = 4 };

#include "machine/kern/ternary.inc"

/* 16 bytes of a row are dwords 0-3 of a half block; field f of dword j is columns 32 f + 4 j on. Rows beyond
 * the last repeat it: they are computed and not stored. */
static void unpack(uint8_t *panel, const uint8_t *codes, size_t stride, size_t rows, size_t blocks)
{
	for (size_t b = 0; b < 2 * blocks; b++)
		for (size_t r = 0; r < PANEL_ROWS; r++) {
			const uint8x16_t c = vld1q_u8(codes + 16 * b + (r < rows ? r : rows - 1) * stride);
			uint8_t *to = panel + (b / 2 * 32 + b % 2 * 4) * (4 * PANEL_ROWS) + 4 * r;

			EACH(f, 4) {
				const int8x16_t x = field(c, (int)f);

				EACH(j, 4)
					memcpy(to + (8 * f + j) * (4 * PANEL_ROWS),
					       (const int8_t *)&x + 4 * j, 4);
			}
		}
}

static inline __attribute__((always_inline)) void tile_n(const struct panel *p, float *out, const int8_t *q,
                                                         const float *step, const int32_t *sum,
                                                         const size_t nt)
{
	int32x4_t acc[4][4];

	EACH(t, nt)
		EACH(r, 4)
			acc[t][r] = vdupq_n_s32(-sum[t]);
	if (!p->first)
		for (size_t t = 0; t < nt; t++)
			memcpy(acc[t], out + t * p->ldo, p->rows * sizeof(*out));
	const int8_t *codes = (const int8_t *)p->codes;
	for (size_t k = 0; k < p->cols; k += 16) {
		int8x16_t x[4];

		EACH(t, nt)
			x[t] = vld1q_s8(q + t * p->kpad + k);
#define STEP(lane)                                                                                           \
	EACH(r, 4) {                                                                                         \
		const int8x16_t c = vld1q_s8(codes + 16 * r);                                                \
		EACH(t, nt)                                                                                  \
			acc[t][r] = vdotq_laneq_s32(acc[t][r], c, x[t], lane);                               \
	}                                                                                                    \
	codes += 4 * PANEL_ROWS;
		STEP(0)
		STEP(1)
		STEP(2)
		STEP(3)
#undef STEP
	}
	for (size_t t = 0; t < nt; t++) {
		if (p->last)
			EACH(r, 4)
				acc[t][r] =
				    (int32x4_t)vmulq_n_f32(vcvtq_f32_s32(acc[t][r]), step[t] * p->scale);
		memcpy(out + t * p->ldo, acc[t], p->rows * sizeof(*out));
	}
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

extern const struct bd_kern bd_kern_dotprod;
const struct bd_kern bd_kern_dotprod = {
    .name = "dotprod",
    .need = BD_CPU_DOTPROD,
#include "machine/kern/table.inc"
};

#endif
