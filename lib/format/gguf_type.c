#include "format/gguf_type.h"

static const struct type {
	uint32_t id;
	const char *name;
	size_t block, bytes; /* weights and bytes of a block */
	size_t head;         /* bytes before a row */
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

	if (__builtin_mul_overflow(bd_ggml_stride(type, cols), rows, &bytes) ||
	    bytes > INT64_MAX - BD_I2_S_TAIL)
		return 0;
	return bytes + (type == BD_GGML_I2_S && bytes > 0 ? BD_I2_S_TAIL : 0);
}
