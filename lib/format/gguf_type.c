#include "format/gguf_type.h"

/* clang-format off */
#define TERNARY(NAME, word_, id_, block_, bytes_, place, file, bd, stock, ik, bitnet_cpp) \
	{.id = BD_GGML_##NAME, .name = #NAME, .word = #word_, .block = block_, .bytes = bytes_, .d = place, \
	 .file_type = file, .store = bd_##word_##_store, .load = bd_##word_##_load, \
	 .rank = {[BD_TARGET_BD] = bd, [BD_TARGET_STOCK] = stock, [BD_TARGET_IK] = ik, \
	          [BD_TARGET_BITNET_CPP] = bitnet_cpp}},
#define TABLE(NAME, word_, id_, block_, bytes_) \
	{.id = BD_GGML_##NAME, .name = #NAME, .word = #word_, .block = block_, .bytes = bytes_, \
	 .store_table = bd_##word_##_store, .load_table = bd_##word_##_load},

static const struct bd_ggml rows[] = {
	BD_TABLE_TYPES(TABLE)
	BD_TABLE_TYPES_READ(TABLE)
	BD_TERNARY_TYPES(TERNARY)
};
/* clang-format on */
enum { ROWS = sizeof(rows) / sizeof(*rows) };

const struct bd_ggml *bd_ggml_rows(size_t *n)
{
	*n = ROWS;
	return rows;
}

const struct bd_ggml *bd_ggml(uint32_t type)
{
	static const struct bd_ggml unknown = {.name = "unknown", .word = "unknown"};

	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].id == type)
			return &rows[i];
	return &unknown;
}

const char *bd_ggml_name(uint32_t type)
{
	return bd_ggml(type)->name;
}

size_t bd_ggml_block(uint32_t type)
{
	return bd_ggml(type)->block;
}

bool bd_ggml_ternary(uint32_t type)
{
	return bd_ggml(type)->store != NULL;
}

bool bd_ggml_table(uint32_t type)
{
	return bd_ggml(type)->store_table != NULL;
}

bool bd_ggml_half(uint32_t type)
{
	enum bd_scale d = bd_ggml(type)->d;

	return d != BD_TAIL && d != BD_ROW_F32;
}

size_t bd_ggml_code_bytes(uint32_t type)
{
	const struct bd_ggml *t = bd_ggml(type);

	return t->bytes - (t->d == BD_BLOCK_FRONT || t->d == BD_BLOCK_BACK ? 2 : 0);
}

size_t bd_ggml_cols(uint32_t type, size_t cols)
{
	size_t block = bd_ggml_block(type);

	return (cols + block - 1) / block * block;
}

/* Bytes before a row. */
static size_t row_head(const struct bd_ggml *t)
{
	return t->d == BD_ROW_F16 ? 2 : t->d == BD_ROW_F32 ? 4 : 0;
}

size_t bd_ggml_stride(uint32_t type, size_t cols)
{
	const struct bd_ggml *t = bd_ggml(type);
	size_t bytes;

	if (t->block == 0 || cols % t->block != 0 ||
	    __builtin_mul_overflow(cols / t->block, t->bytes, &bytes) ||
	    __builtin_add_overflow(bytes, row_head(t), &bytes))
		return 0;
	return bytes;
}

size_t bd_ggml_bytes(uint32_t type, size_t rows, size_t cols)
{
	bool tail = bd_ggml_ternary(type) && bd_ggml(type)->d == BD_TAIL;
	size_t bytes;

	if (__builtin_mul_overflow(bd_ggml_stride(type, cols), rows, &bytes) ||
	    bytes > INT64_MAX - BD_TAIL_BYTES)
		return 0;
	return bytes + (tail && bytes > 0 ? BD_TAIL_BYTES : 0);
}
