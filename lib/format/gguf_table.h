/* Rows of floats in the number formats of tables: F32, F16, BF16, Q8_0 (quant.h), Q4_0 and Q6_K.
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
#ifndef BD_GGUF_TABLE_H
#define BD_GGUF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool bd_ggml_table(uint32_t type); /* whether it is one of these */
/* x[n], n a multiple of the type's block, and back. */
void bd_table_store(uint32_t type, void *out, const float *x, size_t n);
void bd_table_load(uint32_t type, float *x, const void *in, size_t n);

#endif
