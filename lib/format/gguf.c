/* GGUF, the reading half. Everything is checked while the header is walked once: lengths against the file,
 * names, types, and that the tensors lie one behind the other as ggml's own reader demands. Types are in
 * gguf_type.c, writing is in gguf_out.c. */
#include "format/gguf.h"

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 63

static const size_t value_bytes[BD_GGUF_TYPES] = {
    [BD_GGUF_U8] = 1,   [BD_GGUF_I8] = 1,  [BD_GGUF_U16] = 2, [BD_GGUF_I16] = 2,
    [BD_GGUF_U32] = 4,  [BD_GGUF_I32] = 4, [BD_GGUF_F32] = 4, [BD_GGUF_U64] = 8,
    [BD_GGUF_BOOL] = 1, [BD_GGUF_I64] = 8, [BD_GGUF_F64] = 8,
};

/* ---- reading ---- */

struct value {
	char *key;
	uint32_t type, elem;    /* elem: of an array */
	size_t count;           /* elements of an array, bytes of a string, else 1 */
	const unsigned char *p; /* the payload; strings of an array keep their length prefixes */
	void *copy;             /* made by the first getter: text, texts, or aligned numbers */
};

struct bd_gguf {
	char *path;
	struct bd_map map;
	size_t at;    /* of the parser; then the end of the header */
	size_t infos; /* where the declarations of the tensors begin */
	struct value *value;
	size_t n_value;
	struct bd_gguf_tensor *tensor;
	const struct bd_gguf_tensor **by_name;
	uint64_t *offset; /* of each tensor, only while parsing */
	size_t n_tensor;
};

#define BAD(g, fmt, ...) bd_die(BD_DATA, "%s: byte %zu: " fmt, (g)->path, (g)->at, ##__VA_ARGS__)

static const unsigned char *take(struct bd_gguf *g, uint64_t n)
{
	const unsigned char *p = g->map.p + g->at;

	if (n > g->map.n - g->at)
		BAD(g, "%" PRIu64 " bytes are announced, %zu are left; the file is truncated or damaged", n,
		    g->map.n - g->at);
	g->at += (size_t)n;
	return p;
}

static uint32_t take_u32(struct bd_gguf *g)
{
	uint32_t v;

	memcpy(&v, take(g, sizeof(v)), sizeof(v));
	return v;
}

static uint64_t take_u64(struct bd_gguf *g)
{
	uint64_t v;

	memcpy(&v, take(g, sizeof(v)), sizeof(v));
	return v;
}

/* A key or a tensor's name: a copy. */
static char *take_name(struct bd_gguf *g, size_t max, const char *what)
{
	uint64_t n = take_u64(g);
	const unsigned char *p = take(g, n);

	if (n == 0 || n > max || memchr(p, '\0', (size_t)n) != NULL)
		BAD(g, "%s of %" PRIu64 " bytes, or with a NUL byte in it; 1 to %zu are allowed", what, n,
		    max);
	return bd_strndup((const char *)p, (size_t)n);
}

static void take_array(struct bd_gguf *g, struct value *v)
{
	uint64_t n;

	v->elem = take_u32(g);
	n = take_u64(g);
	v->p = g->map.p + g->at;
	if (v->elem >= BD_GGUF_TYPES || v->elem == BD_GGUF_ARRAY)
		BAD(g, "%s: array of type %u, which is unknown or another array", v->key, v->elem);
	if (n > (g->map.n - g->at) / (v->elem == BD_GGUF_STR ? 8 : value_bytes[v->elem]))
		BAD(g, "%s: array of %" PRIu64 " elements in the %zu bytes that are left", v->key, n,
		    g->map.n - g->at);
	v->count = (size_t)n;
	if (v->elem != BD_GGUF_STR)
		take(g, n * value_bytes[v->elem]);
	for (uint64_t i = 0; v->elem == BD_GGUF_STR && i < n; i++)
		take(g, take_u64(g));
}

static void take_value(struct bd_gguf *g, struct value *v)
{
	v->key = take_name(g, 65535, "a key");
	v->type = take_u32(g);
	v->count = 1;
	if (v->type >= BD_GGUF_TYPES)
		BAD(g, "%s: value of unknown type %u", v->key, v->type);
	if (v->type == BD_GGUF_ARRAY) {
		take_array(g, v);
		return;
	}
	if (v->type == BD_GGUF_STR)
		v->count = (size_t)take_u64(g);
	v->p = take(g, v->type == BD_GGUF_STR ? v->count : value_bytes[v->type]);
	if (v->type == BD_GGUF_BOOL && *v->p > 1)
		BAD(g, "%s: a bool of value %u", v->key, *v->p);
}

static void take_tensor(struct bd_gguf *g, size_t i)
{
	struct bd_gguf_tensor *t = &g->tensor[i];
	uint32_t n_dims;
	uint64_t all = 1;

	t->name = take_name(g, MAX_NAME, "a tensor's name");
	n_dims = take_u32(g);
	if (n_dims < 1 || n_dims > 4)
		BAD(g, "%s: %u dimensions; 1 to 4 are allowed", t->name, n_dims);
	t->ndim = (int)n_dims;
	for (uint32_t d = 0; d < n_dims; d++) {
		uint64_t n = take_u64(g);

		if (n == 0 || __builtin_mul_overflow(all, n, &all) || all > INT64_MAX)
			BAD(g, "%s: dimension %u is %" PRIu64 ": zero, or the product overflows", t->name, d,
			    n);
		if (d == 0)
			t->cols = (size_t)n;
	}
	t->rows = (size_t)all / t->cols;
	t->type = take_u32(g);
	t->bytes = bd_ggml_bytes(t->type, t->rows, t->cols);
	if (bd_ggml_block(t->type) > 0 && t->bytes == 0)
		BAD(g, "%s: rows of %zu do not divide into the blocks of %zu that %s has", t->name, t->cols,
		    bd_ggml_block(t->type), bd_ggml_name(t->type));
	g->offset[i] = take_u64(g);
}

static size_t alignment(const struct bd_gguf *g)
{
	uint64_t a = bd_gguf_uint_or(g, "general.alignment", 32);

	if (a < 8 || a > 1 << 20 || (a & (a - 1)) != 0)
		bd_die(BD_DATA, "%s: general.alignment is %" PRIu64 ", not a power of two from 8 to 2^20",
		       g->path, a);
	return (size_t)a;
}

/* Each tensor begins where the one before it ends, padded; the last one ends at the end of the file. */
static void place_tensors(struct bd_gguf *g)
{
	size_t align = alignment(g), base = (g->at + align - 1) / align * align;
	uint64_t size = g->map.n > base ? g->map.n - base : 0, at = 0;

	if (g->n_tensor > 0 && base > g->map.n)
		BAD(g, "no tensor data follows; the file is truncated");
	for (size_t i = 0; i < g->n_tensor; i++) {
		struct bd_gguf_tensor *t = &g->tensor[i];
		uint64_t begin = (at + align - 1) / align * align;
		uint64_t next = i + 1 < g->n_tensor ? g->offset[i + 1] : size;

		if (g->offset[i] != begin)
			bd_die(BD_DATA,
			       "%s: tensor %s: offset %" PRIu64 ", but the one before it makes it %" PRIu64,
			       g->path, t->name, g->offset[i], begin);
		if (bd_ggml_block(t->type) == 0 && next >= begin)
			t->bytes = (size_t)(next - begin);
		if (begin > size || t->bytes > size - begin)
			bd_die(BD_DATA,
			       "%s: tensor %s: needs %zu bytes at %" PRIu64 ", the file has %" PRIu64
			       " bytes of data; it is truncated",
			       g->path, t->name, t->bytes, begin, size);
		t->data = g->map.p + base + begin;
		at = begin + t->bytes;
	}
	if (size > (at + align - 1) / align * align)
		bd_die(BD_DATA, "%s: byte %" PRIu64 ": the file goes on after its last tensor", g->path,
		       base + at);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_tensor_name(const void *a, const void *b)
{
	const struct bd_gguf_tensor *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void check_names(struct bd_gguf *g)
{
	const char **keys = bd_alloc(g->n_value + 1, sizeof(*keys));

	for (size_t i = 0; i < g->n_value; i++)
		keys[i] = g->value[i].key;
	qsort(keys, g->n_value, sizeof(*keys), by_text);
	for (size_t i = 1; i < g->n_value; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			bd_die(BD_DATA, "%s: key %s is there twice", g->path, keys[i]);
	bd_free(keys);
	g->by_name = bd_alloc(g->n_tensor + 1, sizeof(*g->by_name));
	for (size_t i = 0; i < g->n_tensor; i++)
		g->by_name[i] = &g->tensor[i];
	qsort(g->by_name, g->n_tensor, sizeof(*g->by_name), by_tensor_name);
	for (size_t i = 1; i < g->n_tensor; i++)
		if (strcmp(g->by_name[i - 1]->name, g->by_name[i]->name) == 0)
			bd_die(BD_DATA, "%s: tensor %s is there twice", g->path, g->by_name[i]->name);
}

/* The counts in front are bounded by the smallest size that an entry can have. */
static size_t take_count(struct bd_gguf *g, uint64_t n, size_t smallest, const char *what)
{
	if (n > g->map.n / smallest)
		BAD(g, "%" PRIu64 " %s cannot stand in %zu bytes", n, what, g->map.n);
	return (size_t)n;
}

struct bd_gguf *bd_gguf_open(const char *path)
{
	struct bd_gguf *g = bd_zalloc(1, sizeof(*g));
	uint32_t version;

	g->path = bd_strdup(path);
	g->map = bd_map_file(path);
	if (g->map.n < 24 || memcmp(take(g, 4), "GGUF", 4) != 0)
		bd_die(BD_DATA, "%s: is no GGUF file", path);
	version = take_u32(g);
	if ((version & 0xffff) == 0)
		bd_die(BD_DATA, "%s: is a big-endian GGUF file; only little-endian ones are read", path);
	if (version != 2 && version != 3)
		bd_die(BD_DATA, "%s: GGUF version %u is not supported, only 2 and 3", path, version);
	g->n_tensor = take_count(g, take_u64(g), 8 + 1 + 4 + 8 + 4 + 8, "tensors");
	g->n_value = take_count(g, take_u64(g), 8 + 1 + 4 + 1, "keys");
	g->value = bd_zalloc(g->n_value + 1, sizeof(*g->value));
	g->tensor = bd_zalloc(g->n_tensor + 1, sizeof(*g->tensor));
	g->offset = bd_zalloc(g->n_tensor + 1, sizeof(*g->offset));
	for (size_t i = 0; i < g->n_value; i++)
		take_value(g, &g->value[i]);
	g->infos = g->at;
	for (size_t i = 0; i < g->n_tensor; i++)
		take_tensor(g, i);
	check_names(g);
	place_tensors(g);
	bd_free(g->offset);
	g->offset = NULL;
	return g;
}

/* Frees what a getter made of v. */
static void free_copy(struct value *v)
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

const struct bd_gguf_tensor *bd_gguf_find(const struct bd_gguf *g, const char *name)
{
	const struct bd_gguf_tensor key = {.name = name}, *k = &key;
	const struct bd_gguf_tensor **hit =
	    bsearch(&k, g->by_name, g->n_tensor, sizeof(*g->by_name), by_tensor_name);

	return hit != NULL ? *hit : NULL;
}

/* ---- values ---- */

enum { KEYS_AT = 4 + 4 + 8 + 8 }; /* behind magic, version and the two counts */

bool bd_gguf_digest_ok(const struct bd_gguf *g, const char *key)
{
	const struct value *last = g->n_value > 0 ? &g->value[g->n_value - 1] : NULL;
	struct bd_hash *h;
	char hex[17];

	if (last == NULL || strcmp(last->key, key) != 0 || last->type != BD_GGUF_STR ||
	    last->count != sizeof(hex) - 1)
		return false;
	h = bd_hash_new();
	bd_hash_add(h, g->map.p + KEYS_AT,
	            (size_t)(last->p - g->map.p) - KEYS_AT - (8 + strlen(key) + 4 + 8));
	bd_hash_add(h, g->map.p + g->infos, g->at - g->infos);
	snprintf(hex, sizeof(hex), "%016" PRIx64, bd_hash_value(h));
	bd_hash_free(h);
	return memcmp(hex, last->p, last->count) == 0;
}

size_t bd_gguf_keys(const struct bd_gguf *g)
{
	return g->n_value;
}

const char *bd_gguf_key_at(const struct bd_gguf *g, size_t i)
{
	return g->value[i].key;
}

static struct value *find(const struct bd_gguf *g, const char *key)
{
	for (size_t i = 0; i < g->n_value; i++)
		if (strcmp(g->value[i].key, key) == 0)
			return &g->value[i];
	return NULL;
}

static struct value *need(const struct bd_gguf *g, const char *key)
{
	struct value *v = find(g, key);

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
	unsigned bits = (unsigned)value_bytes[type] * 8;

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
	const struct value *v = need(g, key);
	int64_t i;

	if (!integer_of(v->type, v->p, &i) || i < 0)
		bd_die(BD_DATA, "%s: key %s is no non-negative integer", g->path, key);
	return (uint64_t)i;
}

uint64_t bd_gguf_uint_or(const struct bd_gguf *g, const char *key, uint64_t def)
{
	return bd_gguf_has(g, key) ? bd_gguf_uint(g, key) : def;
}

double bd_gguf_real(const struct bd_gguf *g, const char *key)
{
	const struct value *v = need(g, key);

	if (v->type != BD_GGUF_F32 && v->type != BD_GGUF_F64)
		bd_die(BD_DATA, "%s: key %s is no real number", g->path, key);
	return real_of(v->type, v->p);
}

const char *bd_gguf_str(const struct bd_gguf *g, const char *key, size_t *n)
{
	struct value *v = need(g, key);

	if (v->type != BD_GGUF_STR)
		bd_die(BD_DATA, "%s: key %s is no string", g->path, key);
	if (v->copy == NULL) {
		char *text = bd_alloc(bd_add(v->count, 1), 1);

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
static char **copy_texts(const struct value *v)
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
	struct value *v = need(g, key);

	if (v->type != BD_GGUF_ARRAY)
		bd_die(BD_DATA, "%s: key %s is no array", g->path, key);
	if (v->copy == NULL && v->elem == BD_GGUF_STR) {
		v->copy = copy_texts(v);
	} else if (v->copy == NULL) {
		v->copy = bd_alloc(v->count + 1, value_bytes[v->elem]);
		memcpy(v->copy, v->p, v->count * value_bytes[v->elem]);
	}
	*elem_type = v->elem;
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
	return value_bytes[type];
}

char *bd_gguf_show(const struct bd_gguf *g, size_t i, size_t max)
{
	const struct value *v = &g->value[i];
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
