/* GGUF, the writing half: keys and declarations are collected, the header is written before the first
 * tensor's data. */
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf.h"

#include <stdio.h>
#include <string.h>

#define ALIGN ((size_t)32)

struct bd_gguf_writer {
	char *path;
	struct bd_out *out;
	struct bd_buf keys, infos;
	const char *digest_key; /* NULL: none */
	uint64_t n_keys, n_tensors;
	uint64_t offset; /* of the next declaration */
	size_t *bytes;   /* of each tensor */
	size_t current;  /* tensor that data goes to */
	size_t done;     /* its bytes so far */
	bool begun;
};

struct bd_gguf_writer *bd_gguf_create(const char *path)
{
	struct bd_gguf_writer *w = bd_zalloc(1, sizeof(*w));

	w->path = bd_strdup(path);
	w->out = bd_out_open(path, true, 0);
	return w;
}

static void add_u32(struct bd_buf *b, uint32_t v)
{
	bd_buf_add(b, &v, sizeof(v));
}

static void add_u64(struct bd_buf *b, uint64_t v)
{
	bd_buf_add(b, &v, sizeof(v));
}

static void add_text(struct bd_buf *b, const char *s)
{
	size_t n = strlen(s);

	add_u64(b, n);
	bd_buf_add(b, s, n);
}

static void add_key(struct bd_gguf_writer *w, const char *key, enum bd_gguf_type type)
{
	w->n_keys++;
	add_text(&w->keys, key);
	add_u32(&w->keys, type);
}

static void add_array(struct bd_gguf_writer *w, const char *key, enum bd_gguf_type type, size_t n)
{
	add_key(w, key, BD_GGUF_ARRAY);
	add_u32(&w->keys, type);
	add_u64(&w->keys, n);
}

void bd_gguf_put_str(struct bd_gguf_writer *w, const char *key, const char *value)
{
	add_key(w, key, BD_GGUF_STR);
	add_text(&w->keys, value);
}

void bd_gguf_put_u32(struct bd_gguf_writer *w, const char *key, uint32_t value)
{
	add_key(w, key, BD_GGUF_U32);
	add_u32(&w->keys, value);
}

void bd_gguf_put_f32(struct bd_gguf_writer *w, const char *key, float value)
{
	add_key(w, key, BD_GGUF_F32);
	bd_buf_add(&w->keys, &value, sizeof(value));
}

void bd_gguf_put_bool(struct bd_gguf_writer *w, const char *key, bool value)
{
	unsigned char v = value;

	add_key(w, key, BD_GGUF_BOOL);
	bd_buf_add(&w->keys, &v, 1);
}

void bd_gguf_put_strs(struct bd_gguf_writer *w, const char *key, const char *const *v, size_t n)
{
	add_array(w, key, BD_GGUF_STR, n);
	for (size_t i = 0; i < n; i++)
		add_text(&w->keys, v[i]);
}

void bd_gguf_put_u32s(struct bd_gguf_writer *w, const char *key, const uint32_t *v, size_t n)
{
	add_array(w, key, BD_GGUF_U32, n);
	bd_buf_add(&w->keys, v, n * sizeof(*v));
}

void bd_gguf_put_i32s(struct bd_gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
	add_array(w, key, BD_GGUF_I32, n);
	bd_buf_add(&w->keys, v, n * sizeof(*v));
}

void bd_gguf_put_f32s(struct bd_gguf_writer *w, const char *key, const float *v, size_t n)
{
	add_array(w, key, BD_GGUF_F32, n);
	bd_buf_add(&w->keys, v, n * sizeof(*v));
}

void bd_gguf_declare(struct bd_gguf_writer *w, const char *name, uint32_t type, size_t cols, size_t rows)
{
	size_t n = (size_t)w->n_tensors++, bytes = bd_ggml_bytes(type, rows > 0 ? rows : 1, cols);

	if (bytes == 0 || strlen(name) > 63)
		bd_die(BD_DATA,
		       "%s: tensor %s: rows of %zu cannot be stored as %s, or its name is over 63 bytes",
		       w->path, name, cols, bd_ggml_name(type));
	w->bytes = bd_resize(w->bytes, n, n + 1, sizeof(*w->bytes));
	w->bytes[n] = bytes;
	add_text(&w->infos, name);
	add_u32(&w->infos, rows > 0 ? 2 : 1);
	add_u64(&w->infos, cols);
	if (rows > 0)
		add_u64(&w->infos, rows);
	add_u32(&w->infos, type);
	add_u64(&w->infos, w->offset);
	w->offset += (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static void pad(struct bd_gguf_writer *w, size_t n)
{
	static const char zero[ALIGN];

	bd_out_write(w->out, zero, (ALIGN - n % ALIGN) % ALIGN);
}

void bd_gguf_put_digest(struct bd_gguf_writer *w, const char *key)
{
	w->digest_key = key;
}

static void add_digest(struct bd_gguf_writer *w)
{
	struct bd_hash *h = bd_hash_new();
	char hex[17];

	bd_hash_add(h, w->keys.p, w->keys.n);
	bd_hash_add(h, w->infos.p, w->infos.n);
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)bd_hash_value(h));
	bd_hash_free(h);
	bd_gguf_put_str(w, w->digest_key, hex);
}

static void begin(struct bd_gguf_writer *w)
{
	struct bd_buf head = {0};

	w->begun = true;
	if (w->digest_key != NULL)
		add_digest(w);
	bd_buf_str(&head, "GGUF");
	add_u32(&head, 3);
	add_u64(&head, w->n_tensors);
	add_u64(&head, w->n_keys);
	bd_out_write(w->out, head.p, head.n);
	bd_out_write(w->out, w->keys.p, w->keys.n);
	bd_out_write(w->out, w->infos.p, w->infos.n);
	pad(w, head.n + w->keys.n + w->infos.n);
	bd_buf_free(&head);
}

void bd_gguf_data(struct bd_gguf_writer *w, const void *p, size_t bytes)
{
	const char *from = p;

	if (!w->begun)
		begin(w);
	while (bytes > 0) {
		if (w->current == w->n_tensors)
			bd_die(BD_SYS, "%s: internal error: more data than the declared tensors hold",
			       w->path);
		size_t left = w->bytes[w->current] - w->done, n = bytes < left ? bytes : left;
		bd_out_write(w->out, from, n);
		from += n;
		bytes -= n;
		w->done += n;
		if (w->done == w->bytes[w->current]) {
			pad(w, w->done);
			w->current++;
			w->done = 0;
		}
	}
}

static void writer_free(struct bd_gguf_writer *w)
{
	bd_buf_free(&w->keys);
	bd_buf_free(&w->infos);
	bd_free(w->bytes);
	bd_free(w->path);
	bd_free(w);
}

void bd_gguf_finish(struct bd_gguf_writer *w)
{
	if (!w->begun)
		begin(w);
	if (w->current != w->n_tensors)
		bd_die(BD_SYS, "%s: internal error: tensor %zu of %zu got %zu bytes of %zu", w->path,
		       w->current, (size_t)w->n_tensors, w->done, w->bytes[w->current]);
	bd_out_close(w->out);
	writer_free(w);
}
