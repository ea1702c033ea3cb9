/* The tensor types of ggml that are known here: sizes, and rows as floats. */
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf.h"
#include "format/gguf_table.h"
#include "format/gguf_ternary.h"
#include "machine/quant.h"

#include <string.h>

#define I2_S_TAIL 32 /* bytes behind the codes: the scale and zeros */

static const struct type {
	uint32_t id;
	const char *name;
	size_t block, bytes; /* weights and bytes of a block */
	size_t head;         /* bytes in front of a row */
} types[] = {
    {BD_GGML_F32, "F32", 1, 4, 0},         {BD_GGML_F16, "F16", 1, 2, 0},
    {BD_GGML_BF16, "BF16", 1, 2, 0},       {BD_GGML_Q4_0, "Q4_0", 32, 18, 0},
    {BD_GGML_Q8_0, "Q8_0", 32, 34, 0},     {BD_GGML_Q6_K, "Q6_K", 256, 210, 0},
    {BD_GGML_TQ1_0, "TQ1_0", 256, 54, 0},  {BD_GGML_TQ2_0, "TQ2_0", 256, 66, 0},
    {BD_GGML_Q2_0, "Q2_0", 64, 18, 0},     {BD_GGML_I2_S, "I2_S", 128, 32, 0},
    {BD_GGML_IQ1_BN, "IQ1_BN", 64, 13, 2}, {BD_GGML_IQ2_BN, "IQ2_BN", 64, 16, 4},
};

/* An unknown type has blocks of no columns. */
static const struct type *type_of(uint32_t id)
{
	static const struct type unknown = {0, "unknown", 0, 0, 0};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].id == id)
			return &types[i];
	return &unknown;
}

size_t bd_ggml_block(uint32_t type)
{
	return type_of(type)->block;
}

const char *bd_ggml_name(uint32_t type)
{
	return type_of(type)->name;
}

size_t bd_ggml_stride(uint32_t type, size_t cols)
{
	const struct type *t = type_of(type);
	size_t bytes;

	if (t->block == 0 || cols % t->block != 0 ||
	    __builtin_mul_overflow(cols / t->block, t->bytes, &bytes) ||
	    __builtin_add_overflow(bytes, t->head, &bytes))
		return 0;
	return bytes;
}

size_t bd_ggml_bytes(uint32_t type, size_t rows, size_t cols)
{
	size_t bytes;

	if (__builtin_mul_overflow(bd_ggml_stride(type, cols), rows, &bytes) || bytes > INT64_MAX - I2_S_TAIL)
		return 0;
	return bytes + (type == BD_GGML_I2_S && bytes > 0 ? I2_S_TAIL : 0);
}

static void ternary_row(const struct bd_gguf_tensor *t, const uint8_t *p, float *out)
{
	uint8_t *codes = bd_alloc(bd_ternary_stride(t->cols), 1);
	float d;

	if (!bd_ternary_load(t->type, codes, p, t->cols, &d))
		bd_die(BD_DATA,
		       "tensor %s: a row of %s with a code other than -1, 0 and 1, or with several scales",
		       t->name, bd_ggml_name(t->type));
	if (t->type == BD_GGML_I2_S)
		memcpy(&d, (const uint8_t *)t->data + t->bytes - I2_S_TAIL, sizeof(d));
	bd_ternary_unpack(out, codes, 1, t->cols, d);
	bd_free(codes);
}

void bd_gguf_f32(const struct bd_gguf_tensor *t, size_t r, float *out)
{
	const uint8_t *p = (const uint8_t *)t->data + r * bd_ggml_stride(t->type, t->cols);

	if (bd_ggml_table(t->type))
		bd_table_load(t->type, out, p, t->cols);
	else if (bd_ggml_ternary(t->type))
		ternary_row(t, p, out);
	else
		bd_die(BD_DATA, "tensor %s: values of type %u are not read", t->name, t->type);
}
