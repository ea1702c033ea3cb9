/* Rows of ternary codes in the blocks of ggml's types, to and from the I2_S order that the
 * kernels read (quant.h).
 *
 * c = C + 1 in {0, 1, 2}. Fields of two bits are stored lowest first, trits of a byte v = sum c_n 3^n as
 * ceil(256 v / 243), so that a multiplication by 3^n mod 256 brings a trit to the top.
 *
 *	I2_S    128 columns in 32 bytes, see quant.h; f32 scale after the tensor
 *	TQ2_0   256 in 66: u8 qs[64], f16 d. In half h, qs[32h + m] holds columns 128h + m + 32{0,1,2,3}
 *	TQ1_0   256 in 54: u8 qs[48], u8 qh[4], f16 d; most significant trit first: qs[m] holds
 *	        m + 32{0..4} for m < 32, qs[32 + m] holds 160 + m + 16{0..4}; qh[j] holds 240 + j + 4{0..3},
 *	        its fifth trit is 0
 *	Q2_0    64 in 18: f16 d, u8 qs[16], column j in bits 2(j mod 4) of qs[j / 4]
 *	IQ2_BN  a row: f32 d, then 64 in 16: byte j holds j + 16{0,1,2,3}
 *	IQ1_BN  a row: f16 d, then 64 in 13: byte 3i + k holds 16i + 5k + {0..4}, the last byte
 *	        holds 16{0..3} + 15
 * (ggml's ggml-common.h; Microsoft's BitNet; ik_llama.cpp) */
#ifndef BD_GGUF_TERNARY_H
#define BD_GGUF_TERNARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the type is one of these, and the columns of a row of `cols` in it: rounded up to whole blocks. */
bool bd_ggml_ternary(uint32_t type);
size_t bd_ggml_cols(uint32_t type, size_t cols);

/* out[bd_ggml_bytes of a row of bd_ggml_cols] from codes[bd_ternary_stride(cols)]; the padding of the last
 * block is C = 0. d: the scale of every block or of the row; unused in I2_S. */
void bd_ternary_store(uint32_t type, uint8_t *out, const uint8_t *codes, size_t cols, float d);
/* The reverse: codes, and *d, 1 for I2_S. Padding is read as C = 0 whatever the file contains. False if a
 * code is not one of the three or the blocks of the row differ in d. */
bool bd_ternary_load(uint32_t type, uint8_t *codes, const uint8_t *in, size_t cols, float *d);

#endif
