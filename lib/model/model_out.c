/* Model directories, writing: tensors made one after another, config.json, and the files that every stage
 * passes on. */
#include "model/model_out.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/finite.h"
#include "machine/quant.h"
#include "model/ckpt.h"
#include "model/hf_quant.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 };

static const char *const companions[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "merges.txt",
    "vocab.json",
    "tokenizer.model",
    "chat_template.jinja",
};

/* ---- tensors ---- */

static void add(struct bd_make_tensor *m, const struct bd_config *c, enum bd_slot s, int layer)
{
	enum bd_kind kind = bd_slot_info(s)->kind;

	*m = (struct bd_make_tensor){.make = BD_MAKE_COPY, .slot = s, .layer = layer};
	bd_slot_name(c, s, layer, m->name, sizeof(m->name));
	bd_slot_shape(c, s, &m->rows, &m->cols);
	if (kind == BD_KIND_GAIN || kind == BD_KIND_BIAS)
		m->rows = 0;
}

struct bd_make_tensor *bd_make_list(const struct bd_config *c, size_t *n)
{
	struct bd_make_tensor *v = bd_alloc(bd_mul(bd_mul((size_t)c->layers + 1, BD_SLOTS), 2), sizeof(*v));

	*n = 0;
	for (enum bd_slot s = 0; s < BD_SLOTS; s++) {
		bool per_layer = bd_slot_info(s)->per_layer;

		for (int l = 0; bd_slot_exists(c, s) && l < (per_layer ? c->layers : 1); l++)
			add(&v[(*n)++], c, s, per_layer ? l : -1);
	}
	return v;
}

static enum bd_dtype type_of(const struct bd_make_tensor *m, enum bd_dtype t)
{
	return m->make == BD_MAKE_CODES                                 ? BD_U8
	       : m->make == BD_MAKE_SCALE || m->make == BD_MAKE_INVERSE ? BD_F32
	                                                                : t;
}

static void put_copy(struct bd_st_writer *w, const struct bd_st_tensor *from, enum bd_dtype t)
{
	float x[BLOCK];

	if (from->dtype != BD_U8)
		bd_st_check_finite(from, NULL);
	if (from->dtype == t) {
		bd_st_data(w, from->data, from->bytes);
		return;
	}
	for (size_t i = 0; i < from->count; i += BLOCK) {
		size_t n = from->count - i < BLOCK ? from->count - i : BLOCK;

		bd_st_f32(from, i, n, x);
		bd_st_data_f32(w, x, n, t);
	}
}

static void put_gain(struct bd_st_writer *w, const struct bd_ckpt *k, const struct bd_make_tensor *m,
                     enum bd_dtype t)
{
	float *x = bd_alloc(m->cols, sizeof(*x));

	bd_ckpt_vector(k, m->slot, m->layer, x);
	for (size_t i = 0; i < m->cols; i++)
		x[i] -= m->value;
	bd_st_data_f32(w, x, m->cols, t);
	bd_free(x);
}

static void put_fill(struct bd_st_writer *w, const struct bd_make_tensor *m, enum bd_dtype t)
{
	float *x = bd_alloc(m->cols, sizeof(*x));

	for (size_t i = 0; i < m->cols; i++)
		x[i] = m->value;
	bd_st_data_f32(w, x, m->cols, t);
	bd_free(x);
}

/* The linear whose codes or scale these are. */
static void put_ternary(struct bd_st_writer *w, const struct bd_ckpt *k, const struct bd_make_tensor *m)
{
	size_t rows, cols;

	bd_slot_shape(bd_ckpt_config(k), m->slot, &rows, &cols);
	uint8_t *codes = m->make == BD_MAKE_CODES ? bd_alloc(bd_mul(rows, bd_ternary_stride(cols)), 1) : NULL;
	float scale = bd_ckpt_ternary(k, m->slot, m->layer, codes);
	if (codes != NULL) {
		uint8_t *packed = bd_alloc(rows / 4, cols);

		bd_hf_pack(packed, codes, rows, cols);
		bd_st_data(w, packed, rows / 4 * cols);
		bd_free(packed);
	} else {
		scale = m->make == BD_MAKE_INVERSE ? 1 / scale : scale;
		bd_st_data(w, &scale, sizeof(scale));
	}
	bd_free(codes);
}

static void put(struct bd_st_writer *w, const struct bd_ckpt *k, const struct bd_make_tensor *m,
                enum bd_dtype t)
{
	if (m->make == BD_MAKE_COPY)
		put_copy(w, bd_ckpt_tensor(k, m->slot, m->layer), t);
	else if (m->make == BD_MAKE_GAIN)
		put_gain(w, k, m, t);
	else if (m->make == BD_MAKE_FILL)
		put_fill(w, m, t);
	else
		put_ternary(w, k, m);
}

struct order {
	size_t width;
	const struct bd_make_tensor *m;
};

static int by_width_and_name(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	return x->width != y->width ? (x->width < y->width) - (x->width > y->width)
	                            : strcmp(x->m->name, y->m->name);
}

void bd_model_out_tensors(const struct bd_ckpt *k, const char *dir, const struct bd_make_tensor *v, size_t n,
                          enum bd_dtype t)
{
	char *path = bd_path(dir, "model.safetensors");
	struct bd_st_writer *w = bd_st_create(path, NULL);
	struct order *o = bd_alloc(n, sizeof(*o));

	for (size_t i = 0; i < n; i++)
		o[i] = (struct order){bd_dtype_size(type_of(&v[i], t)), &v[i]};
	qsort(o, n, sizeof(*o), by_width_and_name);
	for (size_t i = 0; i < n; i++) {
		size_t shape[2] = {o[i].m->rows, o[i].m->cols};
		bool matrix = o[i].m->rows > 0;

		bd_st_declare(w, o[i].m->name, type_of(o[i].m, t), matrix ? 2 : 1,
		              matrix ? shape : shape + 1);
	}
	for (size_t i = 0; i < n; i++)
		put(w, k, o[i].m, t);
	bd_st_finish(w);
	bd_free(o);
	bd_free(path);
}

/* ---- the rest of a directory ---- */

void bd_model_out_config(json_t *j, const char *dir, enum bd_dtype t, const char *parent,
                         const json_t *history)
{
	static const char *const torch[] = {
	    [BD_F32] = "float32", [BD_F16] = "float16", [BD_BF16] = "bfloat16"};
	json_t *b = bd_json_get(j, "bitdistill");
	char *path = bd_path(dir, "config.json"), *text;

	json_object_set_new(j, "torch_dtype", json_string(torch[t]));
	json_object_set_new(j, "dtype", json_string(torch[t]));
	if (parent[0] != '\0')
		json_object_set_new(b, "parent", json_string(parent));
	if (history != NULL)
		json_object_set_new(b, "history", json_deep_copy(history));
	text = bd_json_text(j, true);
	size_t n = strlen(text);
	text[n] = '\n'; /* instead of the NUL */
	bd_write_file(path, text, n + 1);
	bd_free(text);
	bd_free(path);
}

/* Warns of a link that leads out of the directory; in a cache of Hugging Face, models--X/snapshots/REV,
 * out of models--X, which has the files in blobs. */
static void check_link(const char *dir, const char *path)
{
	static const char cache[] = "/snapshots";
	char *root = realpath(dir, NULL), *real = realpath(path, NULL), *slash;
	size_t n;

	if (root != NULL && real != NULL) {
		slash = strrchr(root, '/');
		n = (size_t)(slash - root);
		if (n > strlen(cache) && strncmp(slash - strlen(cache), cache, strlen(cache)) == 0)
			root[n - strlen(cache)] = '\0';
		n = strlen(root);
		if (strncmp(real, root, n) != 0 || real[n] != '/')
			bd_warn("%s: links to %s, outside the model's directory, and is copied", path, real);
	}
	free(root);
	free(real);
}

void bd_model_out_companions(const char *from, const char *to)
{
	for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
		char *a = bd_path(from, companions[i]), *b = bd_path(to, companions[i]);

		if (bd_exists(a)) {
			check_link(from, a);
			bd_copy_file(a, b);
		}
		bd_free(a);
		bd_free(b);
	}
}
