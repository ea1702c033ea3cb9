/* Rows of ternary codes in the blocks of ggml's types (gguf_type/ternary.c), to and from the I2_S order that
 * the kernels read (quant.h). */
#ifndef BD_GGUF_TERNARY_H
#define BD_GGUF_TERNARY_H

#include "format/gguf_type.h"

/* out[bd_ggml_bytes of a row of bd_ggml_cols] from codes[bd_ternary_stride(cols)]; the padding of the last
 * block is C = 0. d: the scale of every block or of the row; unused by types with BD_TAIL. */
void bd_ternary_store(uint32_t type, uint8_t *out, const uint8_t *codes, size_t cols, float d);
/* The reverse: codes, and *d, 1 with BD_TAIL. Padding is read as C = 0 whatever the file contains. False if a
 * code is not one of the three or the blocks of the row differ in d. */
bool bd_ternary_load(uint32_t type, uint8_t *codes, const uint8_t *in, size_t cols, float *d);
/* Whether none of the codes in p[n], I2_S rows, is 3. */
bool bd_i2_s_valid(const uint8_t *p, size_t n);
/* The scale after the codes of a BD_TAIL tensor of `bytes` bytes, and the bytes that store it. */
float bd_ternary_tail(const void *data, size_t bytes);
void bd_ternary_put_tail(uint8_t out[BD_TAIL_BYTES], float d);

#endif
