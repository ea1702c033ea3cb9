/* GGUF, an open file: its tensors by name, its keys' values as what the caller wants them to be. */
#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const size_t bd_gguf_value_bytes[BD_GGUF_TYPES] = {
    [BD_GGUF_U8] = 1,   [BD_GGUF_I8] = 1,  [BD_GGUF_U16] = 2, [BD_GGUF_I16] = 2,
    [BD_GGUF_U32] = 4,  [BD_GGUF_I32] = 4, [BD_GGUF_F32] = 4, [BD_GGUF_U64] = 8,
    [BD_GGUF_BOOL] = 1, [BD_GGUF_I64] = 8, [BD_GGUF_F64] = 8,
};

/* Frees what a getter made for v. */
static void free_copy(struct gguf_value *v)
{
	char **text = v->copy;

	if (v->type == BD_GGUF_ARRAY && v->elem == BD_GGUF_STR && text != NULL)
		bd_free(text[0]); /* all texts are one block */
	bd_free(v->copy);
}

void bd_gguf_close(struct bd_gguf *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n_value; i++) {
		free_copy(&g->value[i]);
		bd_free(g->value[i].key);
	}
	for (size_t i = 0; i < g->n_tensor; i++)
		bd_free((char *)(uintptr_t)g->tensor[i].name);
	bd_free(g->value);
	bd_free(g->tensor);
	bd_free(g->by_name);
	bd_unmap(&g->map);
	bd_free(g->path);
	bd_free(g);
}

const char *bd_gguf_path(const struct bd_gguf *g)
{
	return g->path;
}

/* ---- tensors ---- */

size_t bd_gguf_tensors(const struct bd_gguf *g)
{
	return g->n_tensor;
}

const struct bd_gguf_tensor *bd_gguf_tensor_at(const struct bd_gguf *g, size_t i)
{
	return &g->tensor[i];
}

static int by_name(const void *name, const void *tensor)
{
	return strcmp(name, (*(const struct bd_gguf_tensor *const *)tensor)->name);
}

const struct bd_gguf_tensor *bd_gguf_find(const struct bd_gguf *g, const char *name)
{
	const struct bd_gguf_tensor **hit =
	    bsearch(name, g->by_name, g->n_tensor, sizeof(*g->by_name), by_name);

	return hit != NULL ? *hit : NULL;
}

/* ---- values ---- */

size_t bd_gguf_keys(const struct bd_gguf *g)
{
	return g->n_value;
}

const char *bd_gguf_key_at(const struct bd_gguf *g, size_t i)
{
	return g->value[i].key;
}

static struct gguf_value *find(const struct bd_gguf *g, const char *key)
{
	for (size_t i = 0; i < g->n_value; i++)
		if (strcmp(g->value[i].key, key) == 0)
			return &g->value[i];
	return NULL;
}

static struct gguf_value *need(const struct bd_gguf *g, const char *key)
{
	struct gguf_value *v = find(g, key);

	if (v == NULL)
		bd_die(BD_DATA, "%s: key %s is missing", g->path, key);
	return v;
}

bool bd_gguf_has(const struct bd_gguf *g, const char *key)
{
	return find(g, key) != NULL;
}

/* An integer of any type, sign-extended. */
static bool integer_of(uint32_t type, const unsigned char *p, int64_t *out)
{
	uint64_t v = 0;
	unsigned bits = (unsigned)bd_gguf_value_bytes[type] * 8;

	if (type == BD_GGUF_F32 || type == BD_GGUF_F64 || type == BD_GGUF_STR || type == BD_GGUF_ARRAY)
		return false;
	memcpy(&v, p, bits / 8);
	bool is_signed =
	    type == BD_GGUF_I8 || type == BD_GGUF_I16 || type == BD_GGUF_I32 || type == BD_GGUF_I64;
	if (is_signed && bits < 64 && (v >> (bits - 1) & 1))
		v |= UINT64_MAX << bits;
	*out = (int64_t)v;
	return true;
}

static double real_of(uint32_t type, const unsigned char *p)
{
	double d;
	float f;

	if (type == BD_GGUF_F64) {
		memcpy(&d, p, sizeof(d));
		return d;
	}
	memcpy(&f, p, sizeof(f));
	return (double)f;
}

uint64_t bd_gguf_uint(const struct bd_gguf *g, const char *key)
{
	const struct gguf_value *v = need(g, key);
	int64_t i;

	if (!integer_of(v->type, v->p, &i) || i < 0)
		bd_die(BD_DATA, "%s: key %s is not a non-negative integer", g->path, key);
	return (uint64_t)i;
}

uint64_t bd_gguf_uint_or(const struct bd_gguf *g, const char *key, uint64_t def)
{
	return bd_gguf_has(g, key) ? bd_gguf_uint(g, key) : def;
}

double bd_gguf_real(const struct bd_gguf *g, const char *key)
{
	const struct gguf_value *v = need(g, key);

	if (v->type != BD_GGUF_F32 && v->type != BD_GGUF_F64)
		bd_die(BD_DATA, "%s: key %s is not a real number", g->path, key);
	return real_of(v->type, v->p);
}

const char *bd_gguf_str(const struct bd_gguf *g, const char *key, size_t *n)
{
	struct gguf_value *v = need(g, key);

	if (v->type != BD_GGUF_STR)
		bd_die(BD_DATA, "%s: key %s is not a string", g->path, key);
	if (v->copy == NULL) {
		struct bd_scope *before = bd_guard_into(g->scope);
		char *text = bd_alloc(bd_add(v->count, 1), 1);

		bd_guard_into(before);
		memcpy(text, v->p, v->count);
		text[v->count] = '\0';
		v->copy = text;
	}
	if (n != NULL)
		*n = v->count;
	return v->copy;
}

const char *bd_gguf_str_or(const struct bd_gguf *g, const char *key, const char *def)
{
	return bd_gguf_has(g, key) ? bd_gguf_str(g, key, NULL) : def;
}

/* The texts of an array in one block, text[0] at its front. */
static char **copy_texts(const struct gguf_value *v)
{
	char **text = bd_alloc(v->count + 1, sizeof(*text));
	const unsigned char *p = v->p;
	size_t bytes = 0;
	uint64_t n;

	for (size_t i = 0; i < v->count; i++, p += 8 + n, bytes += n + 1)
		memcpy(&n, p, sizeof(n));
	text[0] = bd_alloc(bytes + 1, 1);
	char *to = text[0];
	p = v->p;
	for (size_t i = 0; i < v->count; i++, p += 8 + n, to += n + 1) {
		memcpy(&n, p, sizeof(n));
		memcpy(to, p + 8, n);
		to[n] = '\0';
		text[i] = to;
	}
	return text;
}

size_t bd_gguf_array(const struct bd_gguf *g, const char *key, uint32_t *elem_type, const void **data)
{
	struct gguf_value *v = need(g, key);
	struct bd_scope *before;

	if (v->type != BD_GGUF_ARRAY)
		bd_die(BD_DATA, "%s: key %s is not an array", g->path, key);
	before = bd_guard_into(g->scope);
	if (v->copy == NULL && v->elem == BD_GGUF_STR) {
		v->copy = copy_texts(v);
	} else if (v->copy == NULL) {
		v->copy = bd_alloc(v->count + 1, bd_gguf_value_bytes[v->elem]);
		memcpy(v->copy, v->p, v->count * bd_gguf_value_bytes[v->elem]);
	}
	*elem_type = v->elem;
	bd_guard_into(before);
	*data = v->copy;
	return v->count;
}

/* Appends a scalar of `type` at p; returns its bytes. */
static size_t show_scalar(struct bd_buf *b, uint32_t type, const unsigned char *p)
{
	int64_t i;
	uint64_t n;

	if (type == BD_GGUF_STR) {
		memcpy(&n, p, sizeof(n));
		bd_buf_add(b, p + 8, (size_t)n);
		return 8 + (size_t)n;
	}
	if (type == BD_GGUF_BOOL)
		bd_buf_str(b, *p ? "true" : "false");
	else if (type == BD_GGUF_U64 && integer_of(type, p, &i))
		bd_buf_fmt(b, "%" PRIu64, (uint64_t)i);
	else if (integer_of(type, p, &i))
		bd_buf_fmt(b, "%" PRId64, i);
	else
		bd_buf_fmt(b, "%.9g", real_of(type, p));
	return bd_gguf_value_bytes[type];
}

char *bd_gguf_show(const struct bd_gguf *g, size_t i, size_t max)
{
	const struct gguf_value *v = &g->value[i];
	const unsigned char *p = v->p;
	struct bd_buf b = {0};

	if (v->type == BD_GGUF_STR) {
		bd_buf_add(&b, p, v->count < max + 1 ? v->count : max + 1);
	} else if (v->type != BD_GGUF_ARRAY) {
		show_scalar(&b, v->type, p);
	} else {
		bd_buf_fmt(&b, "%zu: ", v->count);
		for (size_t j = 0; j < v->count && b.n <= max; j++) {
			bd_buf_str(&b, j > 0 ? ", " : "");
			p += show_scalar(&b, v->elem, p);
		}
	}
	if (b.n > max) {
		b.n = max;
		while (b.n > 0 && ((unsigned char)b.p[b.n] & 0xc0) == 0x80) /* not inside a character */
			b.n--;
		bd_buf_str(&b, "...");
	}
	for (size_t j = 0; j < b.n; j++)
		if ((unsigned char)b.p[j] < ' ')
			b.p[j] = ' ';
	return b.p;
}
