/* safetensors files: mapped reading of one file or a sharded set, and writing (format:
 * huggingface/safetensors README). */
#ifndef BD_SAFETENSORS_H
#define BD_SAFETENSORS_H

#include "base/json.h"

#include <stddef.h>
#include <stdint.h>

enum bd_dtype {
	BD_F32, /* the first three: what weights can be written as, and their words */
	BD_BF16,
	BD_F16,
	BD_F64,
	BD_I64,
	BD_I32,
	BD_U32,
	BD_I16,
	BD_I8,
	BD_U8,
	BD_BOOL,
	BD_DTYPES
};
#define BD_DTYPE_WORDS "f32|bf16|f16"
const char *bd_dtype_name(enum bd_dtype t); /* "F32" ... */
size_t bd_dtype_size(enum bd_dtype t);

struct bd_st_tensor {
	const char *name;
	const char *file; /* the shard it lies in, for messages */
	enum bd_dtype dtype;
	int ndim;
	size_t shape[4];
	size_t count, bytes;
	const void *data; /* into the mapping */
};

struct bd_st;
/* path: a .safetensors file, an .index.json, or a directory holding model.safetensors or
 * model.safetensors.index.json. Everything in the header is checked against the file before use (offsets,
 * sizes, overlaps, gaps, duplicates). */
struct bd_st *bd_st_open(const char *path);
void bd_st_close(struct bd_st *s); /* NULL is fine */
size_t bd_st_count(const struct bd_st *s);
const struct bd_st_tensor *bd_st_at(const struct bd_st *s, size_t i);
const struct bd_st_tensor *bd_st_find(const struct bd_st *s, const char *name); /* NULL if absent */
/* What became of an absent tensor that the index lists, in words that the caller frees; NULL if it does not.
 * A model need not have all of them: indices list heads that are tied, and layers that were left out. */
char *bd_st_lost(const struct bd_st *s, const char *name);
/* __metadata__ of the first file or NULL */
const json_t *bd_st_metadata(const struct bd_st *s);
/* Elements [first, first + n) as f32 into out; F32, F16 and BF16 (others die). */
void bd_st_f32(const struct bd_st_tensor *t, size_t first, size_t n, float *out);
/* All of them: where they are mapped (*copy is NULL), or converted into *copy, which the caller frees. */
const float *bd_st_floats(const struct bd_st_tensor *t, float **copy);

/* Writing one file: declare all tensors, then supply their data in declaration order (any chunking). The
 * writer sorts nothing: declare in the desired order. metadata gets "format":"pt" added. */
struct bd_st_writer;
struct bd_st_writer *bd_st_create(const char *path, const json_t *metadata);
void bd_st_declare(struct bd_st_writer *w, const char *name, enum bd_dtype t, int ndim, const size_t *shape);
void bd_st_data(struct bd_st_writer *w, const void *p, size_t bytes);
/* n values as F32, F16 or BF16 */
void bd_st_data_f32(struct bd_st_writer *w, const float *x, size_t n, enum bd_dtype t);
void bd_st_finish(struct bd_st_writer *w); /* checks that all declared bytes were supplied */

#endif
