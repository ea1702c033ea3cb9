/* THE table of ggml's tensor types: a row holds everything about a type that is known here; its functions
 * are in gguf_type/. Sizes, names, options, targets and keys come from it: a new type is a row, its two
 * functions and a line in bd-pack(1). */
#ifndef BD_GGUF_TYPE_H
#define BD_GGUF_TYPE_H

#include "base/word.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the scale d of ternary codes is stored: after the tensor, as f32 and 28 zero bytes; as f16 before or
 * after the codes of each block; as f16 or f32 before a row. */
enum bd_scale { BD_TAIL, BD_BLOCK_FRONT, BD_BLOCK_BACK, BD_ROW_F16, BD_ROW_F32 };
#define BD_TAIL_BYTES 32

/* clang-format off */
/* The targets that packed files are made for: names, and the programs that run them. */
#define BD_TARGET_LIST(W) \
	W(BD_TARGET_BD, "bd",         "bd-run") \
	W(BD_TARGET_STOCK, "stock",      "llama.cpp") \
	W(BD_TARGET_IK, "ik",         "ik_llama.cpp") \
	W(BD_TARGET_BITNET_CPP, "bitnet.cpp", "bitnet.cpp") \
	W(BD_TARGET_HF, "hf",         "transformers")

/* Types of ternary tensors. id: ggml's; 36 is Microsoft's (upstream has removed its own), 134 and 135
 * are ik_llama.cpp's. cols, bytes: of a block. file: general.file_type, upstream's, Microsoft's 40,
 * ik_llama.cpp's 136 and 137. Then the places in which the targets bd, stock, ik and bitnet.cpp prefer it,
 * 1 first; 0: not supported.
 *	NAME    word    id  cols bytes d            file  targets */
#define BD_TERNARY_TYPES(T) \
	T(I2_S,   i2_s,    36, 128, 32, BD_TAIL,         40, 1, 0, 0, 1) \
	T(TQ2_0,  tq2_0,   35, 256, 66, BD_BLOCK_BACK,   37, 2, 1, 0, 0) \
	T(TQ1_0,  tq1_0,   34, 256, 54, BD_BLOCK_BACK,   36, 3, 3, 0, 0) \
	T(Q2_0,   q2_0,    42,  64, 18, BD_BLOCK_FRONT,  41, 4, 2, 0, 0) \
	T(IQ2_BN, iq2_bn, 135,  64, 16, BD_ROW_F32,     137, 5, 0, 1, 0) \
	T(IQ1_BN, iq1_bn, 134,  64, 13, BD_ROW_F16,     136, 6, 0, 2, 0)

/* Number formats of tables; those that are read, but not written by bd-pack.
 *	NAME  word  id  cols bytes */
#define BD_TABLE_TYPES(T) \
	T(F32,  f32,   0,   1,   4) \
	T(F16,  f16,   1,   1,   2) \
	T(Q8_0, q8_0,  8,  32,  34) \
	T(Q6_K, q6_k, 14, 256, 210) \
	T(Q4_0, q4_0,  2,  32,  18)
#define BD_TABLE_TYPES_READ(T) \
	T(BF16, bf16, 30,   1,   2)

#define BD_GGML_ID(NAME, word, id, ...) BD_GGML_##NAME = id,
#define BD_GGML_WORD(NAME, word, ...)   "|" #word
#define BD_GGML_ONE(...)                + 1
/* out: the codes of one block, without d; c: its columns, C + 1 in {0, 1, 2}, a byte each. load: false if one
 * is not one of the three. */
#define BD_GGML_TERNARY(NAME, word, ...) \
	void bd_##word##_store(uint8_t *out, const uint8_t *c); \
	bool bd_##word##_load(uint8_t *c, const uint8_t *in);
/* x[n], n a multiple of the block. */
#define BD_GGML_TABLE(NAME, word, ...) \
	void bd_##word##_store(void *out, const float *x, size_t n); \
	void bd_##word##_load(float *x, const void *in, size_t n);

enum bd_target { BD_TARGET_LIST(BD_WORD_ID) BD_TARGETS };
enum { BD_TERNARIES = 0 BD_TERNARY_TYPES(BD_GGML_ONE) };
enum bd_ggml_type {
	BD_TABLE_TYPES(BD_GGML_ID)
	BD_TABLE_TYPES_READ(BD_GGML_ID)
	BD_TERNARY_TYPES(BD_GGML_ID)
};
BD_TERNARY_TYPES(BD_GGML_TERNARY)
BD_TABLE_TYPES(BD_GGML_TABLE)
BD_TABLE_TYPES_READ(BD_GGML_TABLE)
/* clang-format on */

/* As options have them, in the order of the rows: "|i2_s|tq2_0...", "|f32|f16...". */
#define BD_TERNARY_WORDS BD_TERNARY_TYPES(BD_GGML_WORD)
#define BD_TABLE_WORDS   BD_TABLE_TYPES(BD_GGML_WORD)

/* A row. */
struct bd_ggml {
	enum bd_ggml_type id;
	const char *name, *word; /* "I2_S", "i2_s" */
	size_t block, bytes;
	/* ternary types */
	enum bd_scale d;
	uint32_t file_type;
	uint8_t rank[BD_TARGETS];
	void (*store)(uint8_t *out, const uint8_t *c); /* NULL: not ternary */
	bool (*load)(uint8_t *c, const uint8_t *in);
	/* tables */
	void (*store_table)(void *out, const float *x, size_t n); /* NULL: no table */
	void (*load_table)(float *x, const void *in, size_t n);
};
/* All rows; the row of a type, for others one with the name "unknown", no block and no functions. */
const struct bd_ggml *bd_ggml_rows(size_t *n);
const struct bd_ggml *bd_ggml(uint32_t type);

const char *bd_ggml_name(uint32_t type);
size_t bd_ggml_block(uint32_t type); /* columns of a block; 0 for unknown types */
bool bd_ggml_ternary(uint32_t type);
bool bd_ggml_table(uint32_t type);
/* Of a ternary type: whether its own d is f16, and bytes of a block's codes. */
bool bd_ggml_half(uint32_t type);
size_t bd_ggml_code_bytes(uint32_t type);
/* Columns of a row of `cols`: rounded up to whole blocks. */
size_t bd_ggml_cols(uint32_t type, size_t cols);
/* Bytes of a tensor of rows x cols, or 0 if the type is unknown or cols is not a multiple of its block. */
size_t bd_ggml_bytes(uint32_t type, size_t rows, size_t cols);
size_t bd_ggml_stride(uint32_t type, size_t cols); /* bytes of a row, or 0 likewise */

#endif
