/* The tensor types of ggml that are known here: their names and sizes. */
#ifndef BD_GGUF_TYPE_H
#define BD_GGUF_TYPE_H

#include <stddef.h>
#include <stdint.h>

#define BD_I2_S_TAIL 32 /* bytes after the codes of a tensor: the scale and zeros */

/* Ids of ggml; 36 is Microsoft's (upstream has removed its own), 134 and 135 are ik_llama.cpp's. */
enum bd_ggml_type {
	BD_GGML_F32 = 0,
	BD_GGML_F16 = 1,
	BD_GGML_Q4_0 = 2,
	BD_GGML_Q8_0 = 8,
	BD_GGML_Q6_K = 14,
	BD_GGML_BF16 = 30,
	BD_GGML_TQ1_0 = 34,
	BD_GGML_TQ2_0 = 35,
	BD_GGML_I2_S = 36, /* rows of n/4 bytes, then one f32 scale and 28 zero bytes per tensor */
	BD_GGML_Q2_0 = 42,
	BD_GGML_IQ1_BN = 134,
	BD_GGML_IQ2_BN = 135,
};
/* "I2_S"; "unknown" for types not listed here */
const char *bd_ggml_name(uint32_t type);
size_t bd_ggml_block(uint32_t type); /* columns of a block; 0 for unknown types */
/* Bytes of a tensor of rows x cols, or 0 if the type is unknown or cols is not a multiple of its block. */
size_t bd_ggml_bytes(uint32_t type, size_t rows, size_t cols);
size_t bd_ggml_stride(uint32_t type, size_t cols); /* bytes of a row, or 0 likewise */

#endif
