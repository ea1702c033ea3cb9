/* 64-bit ARM with int8 matrix products (ARMv8.6): smmla multiplies 2 x 8 by 8 x 2 bytes. */
#if defined(__aarch64__)

#include "machine/kern/neon.inc"

/* 2 rows x 8 columns a vector, times 8 columns x 2 tokens. Four pairs of rows by four pairs of tokens. */
enum { PANEL_ROWS = 8, PANEL_COLS = 2048, FEW = 4 };

#include "machine/kern/ternary.inc"

/* panel[cols/8][PANEL_ROWS][8]: 16 bytes of a row are 8 columns twice of each field. Rows beyond the last
 * repeat it: they are computed and not stored. */
static void unpack(uint8_t *panel, const uint8_t *codes, size_t stride, size_t rows, size_t blocks)
{
	for (size_t b = 0; b < 2 * blocks; b++)
		for (size_t r = 0; r < PANEL_ROWS; r++) {
			const uint8x16_t c = vld1q_u8(codes + 16 * b + (r < rows ? r : rows - 1) * stride);
			uint8_t *to = panel + (b / 2 * 16 + b % 2 * 2) * (8 * PANEL_ROWS) + 8 * r;

			EACH(f, 4) {
				const uint8x16_t x = (uint8x16_t)field(c, (int)f);

				vst1_u8(to + 4 * f * (8 * PANEL_ROWS), vget_low_u8(x));
				vst1_u8(to + (4 * f + 1) * (8 * PANEL_ROWS), vget_high_u8(x));
			}
		}
}

/* Eight sums of one token, from what was stored before or from -sum. */
static inline void begin(int32_t s[PANEL_ROWS], const struct panel *p, const float *out, int32_t sum)
{
	for (size_t r = 0; r < PANEL_ROWS; r++)
		s[r] = -sum;
	if (!p->first)
		memcpy(s, out, p->rows * sizeof(*s));
}

static inline void end(const struct panel *p, float *out, const int32_t s[PANEL_ROWS], float step)
{
	for (size_t r = 0; r < p->rows; r++)
		if (p->last)
			out[r] = (float)s[r] * (step * p->scale);
	if (!p->last)
		memcpy(out, s, p->rows * sizeof(*s));
}

/* nt tokens, one or an even number; a single one is its own partner. */
static inline __attribute__((always_inline)) void tile_n(const struct panel *p, float *out, const int8_t *q,
                                                         const float *step, const int32_t *sum,
                                                         const size_t nt)
{
	const size_t pairs = (nt + 1) / 2, other = nt > 1 ? 1 : 0;
	int32_t s[8][PANEL_ROWS];
	int32x4_t acc[4][4]; /* [pair of tokens][pair of rows] {row 0: t, t + 1; row 1: t, t + 1} */

	for (size_t t = 0; t < nt; t++)
		begin(s[t], p, out + t * p->ldo, sum[t]);
	EACH(t, pairs)
		EACH(r, 4)
			acc[t][r] = (int32x4_t){s[2 * t][2 * r], s[2 * t + other][2 * r], s[2 * t][2 * r + 1],
			                        s[2 * t + other][2 * r + 1]};
	const int8_t *codes = (const int8_t *)p->codes;
	for (size_t k = 0; k < p->cols; k += 8, codes += 8 * PANEL_ROWS) {
		int8x16_t x[4];

		EACH(t, pairs)
			x[t] = vcombine_s8(vld1_s8(q + 2 * t * p->kpad + k),
			                   vld1_s8(q + (2 * t + other) * p->kpad + k));
		EACH(r, 4) {
			const int8x16_t c = vld1q_s8(codes + 16 * r);

			EACH(t, pairs)
				acc[t][r] = vmmlaq_s32(acc[t][r], c, x[t]);
		}
	}
	EACH(t, pairs)
		EACH(r, 4)
			EACH(i, 2) {
				s[2 * t][2 * r + i] = acc[t][r][2 * i];
				s[2 * t + other][2 * r + i] = acc[t][r][2 * i + other];
			}
	for (size_t t = 0; t < nt; t++)
		end(p, out + t * p->ldo, s[t], step[t]);
}

static void tile(const struct panel *p, float *out, const int8_t *q, const float *step, const int32_t *sum,
                 size_t T)
{
	size_t t = 0;

	for (; t + 8 <= T; t += 8)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 8);
	for (; t + 2 <= T; t += 2)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 2);
	if (t < T)
		tile_n(p, out + t * p->ldo, q + t * p->kpad, step + t, sum + t, 1);
}

extern const struct bd_kern bd_kern_i8mm;
const struct bd_kern bd_kern_i8mm = {
    .name = "i8mm",
    .need = BD_CPU_DOTPROD | BD_CPU_I8MM,
#include "machine/kern/table.inc"
};

#endif
