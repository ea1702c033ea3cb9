/* The definitions of the quantisers and number formats; kern/ holds fast versions of those that inference
 * needs for every token.
 *
 * Weights (BitNet b1.58, arXiv 2402.17764; arXiv 2510.13998 eq. 1-2), per tensor W[N,K]:
 *	D = max(mean |W|, 1e-5),  C = clip(rint(W * (1 / D)), -1, 1),  What = D C
 * Activations, per token x[K] (eq. 3):
 *	a = max(max |x|, 1e-5),   q = rint(x * (127 / a)),             xhat = (a / 127) q
 * in f32, as written (a reciprocal, then a product: the published implementations do so); rint rounds half to
 * even. A token with a NaN or an infinity gets q = 0 and a step that is not finite, a W with one gets C = 0
 * and D = NaN or infinity, so that the damage shows in the product.
 *
 * Packed rows ("I2_S", 2 bits a weight): blocks of 128 columns in 32 bytes, byte p of a block = c[p] << 6 |
 * c[32+p] << 4 | c[64+p] << 2 | c[96+p], c = C + 1 in {0, 1, 2}. A row is padded with C = 0 (c = 1) to a
 * multiple of 128 columns. */
#ifndef BD_QUANT_H
#define BD_QUANT_H

#include <stddef.h>
#include <stdint.h>

#define BD_QEPS 1e-5f

/* Columns rounded up to whole blocks, and bytes of a packed row. */
static inline size_t bd_ternary_cols(size_t cols)
{
	return (cols + 127) / 128 * 128;
}
static inline size_t bd_ternary_stride(size_t cols)
{
	return bd_ternary_cols(cols) / 4;
}

/* D of W[rows,cols]; summed in double row by row (8 lanes in a row), so the value does not
 * depend on threads. */
float bd_absmean(const float *w, size_t rows, size_t cols);
/* codes[rows, stride] from W[rows,cols] and D. */
void bd_ternary_pack(uint8_t *codes, const float *w, size_t rows, size_t cols, float scale);
/* What[rows,cols] = scale * C. */
void bd_ternary_unpack(float *w, const uint8_t *codes, size_t rows, size_t cols, float scale);
/* Number of codes -1, 0, +1 of the first `cols` columns of every row; less than rows * cols in all if a code
 * is 3 (not a ternary row). */
void bd_ternary_count(const uint8_t *codes, size_t rows, size_t cols, uint64_t count[3]);

/* Half and bfloat16, round to nearest even. */
uint16_t bd_f32_to_f16(float x);
float bd_f16_to_f32(uint16_t h);
uint16_t bd_f32_to_bf16(float x);
float bd_bf16_to_f32(uint16_t h);
void bd_f16_row(uint16_t *out, const float *x, size_t n);
void bd_f32_row(float *out, const uint16_t *h, size_t n);

/* Q8_0: blocks of 32 = { f16 d; int8 q[32] }, d = max|x| / 127, q = roundf(x * (1 / d)); 34 bytes (ggml). n a
 * multiple of 32. A q that would not be finite is 0. */
#define BD_Q8_0_BLOCK 32
#define BD_Q8_0_BYTES 34
/* Of the table types described in format/gguf_type/table.c. */
#define BD_Q4_0_BYTES 18 /* a block of 32 */
#define BD_Q6_K_BLOCK 256
#define BD_Q6_K_BYTES 210
/* Columns of activations for such rows: k rounded up to 64. */
static inline size_t bd_table_cols(size_t k)
{
	return (k + 63) / 64 * 64;
}
void bd_q8_0_pack(uint8_t *out, const float *x, size_t n);
void bd_q8_0_unpack(float *out, const uint8_t *in, size_t n);

#endif
