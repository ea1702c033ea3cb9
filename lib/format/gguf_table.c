#include "format/gguf_table.h"

void bd_table_store(uint32_t type, void *out, const float *x, size_t n)
{
	bd_ggml(type)->store_table(out, x, n);
}

void bd_table_load(uint32_t type, float *x, const void *in, size_t n)
{
	bd_ggml(type)->load_table(x, in, n);
}
