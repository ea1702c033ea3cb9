/* Rows of floats in the number formats of tables (gguf_type/table.c). */
#ifndef BD_GGUF_TABLE_H
#define BD_GGUF_TABLE_H

#include "format/gguf_type.h"

/* x[n], n a multiple of the type's block, and back; the type is one of bd_ggml_table. */
void bd_table_store(uint32_t type, void *out, const float *x, size_t n);
void bd_table_load(uint32_t type, float *x, const void *in, size_t n);

#endif
