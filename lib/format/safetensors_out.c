/* safetensors, the writing half: declarations are collected, the header goes out before the first data. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/safetensors.h"
#include "machine/quant.h"

#include <string.h>

struct bd_st_writer {
	char *path;
	struct bd_out *out;
	json_t *header;
	size_t declared, written; /* bytes of data */
	bool begun;
};

struct bd_st_writer *bd_st_create(const char *path, const json_t *metadata)
{
	struct bd_st_writer *w = bd_zalloc(1, sizeof(*w));
	json_t *meta = metadata != NULL ? json_deep_copy(metadata) : json_object();

	w->path = bd_strdup(path);
	w->out = bd_out_open(path, true, 0);
	w->header = json_object();
	json_object_set_new(meta, "format", json_string("pt")); /* transformers refuses metadata without it */
	json_object_set_new(w->header, "__metadata__", meta);
	return w;
}

void bd_st_declare(struct bd_st_writer *w, const char *name, enum bd_dtype t, int ndim, const size_t *shape)
{
	size_t bytes = bd_dtype_size(t);
	json_t *dims = json_array();

	if (json_object_get(w->header, name) != NULL)
		bd_die(BD_SYS, "%s: internal error: tensor %s declared twice", w->path, name);
	for (int i = 0; i < ndim; i++) {
		bytes = bd_mul(bytes, shape[i]);
		json_array_append_new(dims, json_integer((json_int_t)shape[i]));
	}
	size_t end = bd_add(w->declared, bytes);
	json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", bd_dtype_name(t), "shape", dims,
	                          "data_offsets", (json_int_t)w->declared, (json_int_t)end);
	json_object_set_new(w->header, name, entry);
	w->declared = end;
}

static void write_header(struct bd_st_writer *w)
{
	char *text = bd_json_text(w->header, false);
	size_t n = strlen(text);
	uint64_t len = (n + 7) / 8 * 8;

	w->begun = true;
	bd_out_write(w->out, &len, sizeof(len));
	bd_out_write(w->out, text, n);
	bd_out_write(w->out, "       ", (size_t)len - n);
	bd_free(text);
}

void bd_st_data(struct bd_st_writer *w, const void *p, size_t bytes)
{
	if (!w->begun)
		write_header(w);
	bd_out_write(w->out, p, bytes);
	w->written += bytes;
}

void bd_st_data_f32(struct bd_st_writer *w, const float *x, size_t n, enum bd_dtype t)
{
	enum { BLOCK = 4096 };
	uint16_t h[BLOCK];

	if (t == BD_F32) {
		bd_st_data(w, x, n * sizeof(*x));
		return;
	}
	for (size_t i = 0; i < n; i += BLOCK) {
		size_t k = n - i < BLOCK ? n - i : BLOCK;

		if (t == BD_F16)
			bd_f16_row(h, x + i, k);
		else
			for (size_t j = 0; j < k; j++)
				h[j] = bd_f32_to_bf16(x[i + j]);
		bd_st_data(w, h, k * sizeof(*h));
	}
}

void bd_st_finish(struct bd_st_writer *w)
{
	if (!w->begun)
		write_header(w);
	if (w->written != w->declared)
		bd_die(BD_SYS, "%s: internal error: %zu bytes of tensors were declared, %zu supplied",
		       w->path, w->declared, w->written);
	bd_out_close(w->out);
	json_decref(w->header);
	bd_free(w->path);
	bd_free(w);
}
