/* GGUF version 3: mapped reading with every size checked, and writing (ggml docs/gguf.md). Knows types
 * and bytes, no models. */
#ifndef BD_GGUF_H
#define BD_GGUF_H

#include "format/gguf_type.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types of values. */
enum bd_gguf_type {
	BD_GGUF_U8,
	BD_GGUF_I8,
	BD_GGUF_U16,
	BD_GGUF_I16,
	BD_GGUF_U32,
	BD_GGUF_I32,
	BD_GGUF_F32,
	BD_GGUF_BOOL,
	BD_GGUF_STR,
	BD_GGUF_ARRAY,
	BD_GGUF_U64,
	BD_GGUF_I64,
	BD_GGUF_F64,
	BD_GGUF_TYPES
};

struct bd_gguf_tensor {
	const char *name;
	uint32_t type;
	size_t cols, rows; /* dims[0], product of the others */
	int ndim;
	size_t bytes; /* of an unknown type: up to the next tensor */
	const void *data;
};
/* Row r as cols floats; dies for unknown types. */
void bd_gguf_f32(const struct bd_gguf_tensor *t, size_t r, float *out);

struct bd_gguf;
/* Dies BD_DATA also if the header has a digest (gguf_digest.h) and it is wrong. */
struct bd_gguf *bd_gguf_open(const char *path);
void bd_gguf_close(struct bd_gguf *g); /* NULL is fine */
const char *bd_gguf_path(const struct bd_gguf *g);
size_t bd_gguf_tensors(const struct bd_gguf *g);
const struct bd_gguf_tensor *bd_gguf_tensor_at(const struct bd_gguf *g, size_t i);
const struct bd_gguf_tensor *bd_gguf_find(const struct bd_gguf *g, const char *name);
/* Key-values; the getters die BD_DATA when the key is absent and def is not given through the _or forms. */
size_t bd_gguf_keys(const struct bd_gguf *g);
const char *bd_gguf_key_at(const struct bd_gguf *g, size_t i);
bool bd_gguf_has(const struct bd_gguf *g, const char *key);
/* any unsigned or non-negative integer type, or bool */
uint64_t bd_gguf_uint(const struct bd_gguf *g, const char *key);
uint64_t bd_gguf_uint_or(const struct bd_gguf *g, const char *key, uint64_t def);
double bd_gguf_real(const struct bd_gguf *g, const char *key);
/* not NUL-terminated in the file: a copy owned by g, terminated */
const char *bd_gguf_str(const struct bd_gguf *g, const char *key, size_t *n);
const char *bd_gguf_str_or(const struct bd_gguf *g, const char *key, const char *def);
/* Arrays: element count; *data is const char *const * for strings (copies), else numbers of *elem_type
 * (aligned); owned by g. */
size_t bd_gguf_array(const struct bd_gguf *g, const char *key, uint32_t *elem_type, const void **data);
/* value i as text for bd-info; caller frees */
char *bd_gguf_show(const struct bd_gguf *g, size_t i, size_t max);

/* Writing: keys first, then tensor declarations, then the data of each tensor in order. */
struct bd_gguf_writer;
struct bd_gguf_writer *bd_gguf_create(const char *path);
void bd_gguf_put_str(struct bd_gguf_writer *w, const char *key, const char *value);
void bd_gguf_put_u32(struct bd_gguf_writer *w, const char *key, uint32_t value);
void bd_gguf_put_f32(struct bd_gguf_writer *w, const char *key, float value);
void bd_gguf_put_bool(struct bd_gguf_writer *w, const char *key, bool value);
void bd_gguf_put_strs(struct bd_gguf_writer *w, const char *key, const char *const *v, size_t n);
/* Makes `key` the last one, XXH3-64 in hex over all other keys and all declarations, so that every bit of the
 * header is protected. */
void bd_gguf_put_digest(struct bd_gguf_writer *w, const char *key);
void bd_gguf_put_u32s(struct bd_gguf_writer *w, const char *key, const uint32_t *v, size_t n);
void bd_gguf_put_i32s(struct bd_gguf_writer *w, const char *key, const int32_t *v, size_t n);
void bd_gguf_put_f32s(struct bd_gguf_writer *w, const char *key, const float *v, size_t n);
/* dims {cols, rows} (rows 0: one dimension). */
void bd_gguf_declare(struct bd_gguf_writer *w, const char *name, uint32_t type, size_t cols, size_t rows);
/* in any chunks; the writer pads */
void bd_gguf_data(struct bd_gguf_writer *w, const void *p, size_t bytes);
/* checks that all bytes were supplied; renames */
void bd_gguf_finish(struct bd_gguf_writer *w);

#endif
