/* GGUF, opening. Everything is checked while the header is walked once: lengths against the file, names,
 * types, that the tensors follow one another, as ggml's own reader requires, and the header's digest. */
#include "base/guard.h"
#include "base/kind.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 63

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

/* A copy of a key or of a tensor's name. */
static char *take_name(struct bd_gguf *g, size_t max, const char *what)
{
	uint64_t n = take_u64(g);
	const unsigned char *p = take(g, n);

	if (n == 0 || n > max || memchr(p, '\0', (size_t)n) != NULL)
		BAD(g, "%s of %" PRIu64 " bytes, or with a NUL byte in it; 1 to %zu bytes are allowed", what,
		    n, max);
	return bd_strndup((const char *)p, (size_t)n);
}

static void take_array(struct bd_gguf *g, struct gguf_value *v)
{
	uint64_t n;

	v->elem = take_u32(g);
	n = take_u64(g);
	v->p = g->map.p + g->at;
	if (v->elem >= BD_GGUF_TYPES || v->elem == BD_GGUF_ARRAY)
		BAD(g, "%s: array of type %u, which is unknown or itself an array", v->key, v->elem);
	if (n > (g->map.n - g->at) / (v->elem == BD_GGUF_STR ? 8 : bd_gguf_value_bytes[v->elem]))
		BAD(g, "%s: array of %" PRIu64 " elements in the remaining %zu bytes", v->key, n,
		    g->map.n - g->at);
	v->count = (size_t)n;
	if (v->elem != BD_GGUF_STR)
		take(g, n * bd_gguf_value_bytes[v->elem]);
	for (uint64_t i = 0; v->elem == BD_GGUF_STR && i < n; i++)
		take(g, take_u64(g));
}

static void take_value(struct bd_gguf *g, struct gguf_value *v)
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
	v->p = take(g, v->type == BD_GGUF_STR ? v->count : bd_gguf_value_bytes[v->type]);
	if (v->type == BD_GGUF_BOOL && *v->p > 1)
		BAD(g, "%s: a bool with value %u", v->key, *v->p);
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
		BAD(g, "%s: rows of %zu cannot be divided into the blocks of %zu of type %s", t->name,
		    t->cols, bd_ggml_block(t->type), bd_ggml_name(t->type));
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

/* Each tensor begins where the previous one ends, after padding; the last one ends at the end of the file. */
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
			       "%s: tensor %s: offset %" PRIu64
			       ", but the preceding tensor requires %" PRIu64,
			       g->path, t->name, g->offset[i], begin);
		if (bd_ggml_block(t->type) == 0 && next >= begin)
			t->bytes = (size_t)(next - begin);
		if (begin > size || t->bytes > size - begin)
			bd_die(BD_DATA,
			       "%s: tensor %s: needs %zu bytes at %" PRIu64 ", but the file has %" PRIu64
			       " bytes of data; it is truncated",
			       g->path, t->name, t->bytes, begin, size);
		t->data = g->map.p + base + begin;
		at = begin + t->bytes;
	}
	if (size > (at + align - 1) / align * align)
		bd_die(BD_DATA, "%s: byte %" PRIu64 ": the file continues after its last tensor", g->path,
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
			bd_die(BD_DATA, "%s: duplicate key %s", g->path, keys[i]);
	bd_free(keys);
	g->by_name = bd_alloc(g->n_tensor + 1, sizeof(*g->by_name));
	for (size_t i = 0; i < g->n_tensor; i++)
		g->by_name[i] = &g->tensor[i];
	qsort(g->by_name, g->n_tensor, sizeof(*g->by_name), by_tensor_name);
	for (size_t i = 1; i < g->n_tensor; i++)
		if (strcmp(g->by_name[i - 1]->name, g->by_name[i]->name) == 0)
			bd_die(BD_DATA, "%s: duplicate tensor %s", g->path, g->by_name[i]->name);
}

/* The counts at the front are bounded by the smallest size that an entry can have. */
static size_t take_count(struct bd_gguf *g, uint64_t n, size_t smallest, const char *what)
{
	if (n > g->map.n / smallest)
		BAD(g, "%" PRIu64 " %s cannot fit in %zu bytes", n, what, g->map.n);
	return (size_t)n;
}

static _Noreturn void die_kind(const char *path, const void *p, size_t n)
{
	const char *kind = bd_file_kind(p, n);
	bool short_ = n >= 4 && memcmp(p, "GGUF", 4) == 0;

	bd_die(BD_DATA, "%s: not a GGUF file%s%s", path, kind != NULL ? ", but " : "",
	       short_         ? "the beginning of one; download it again"
	       : kind != NULL ? kind
	                      : "");
}

struct bd_gguf *bd_gguf_open(const char *path)
{
	struct bd_gguf *g = bd_zalloc(1, sizeof(*g));
	uint32_t version;

	g->scope = bd_guard_scope();
	g->path = bd_strdup(path);
	g->map = bd_map_file(path);
	if (g->map.n < 24 || memcmp(take(g, 4), "GGUF", 4) != 0)
		die_kind(path, g->map.p, g->map.n);
	version = take_u32(g);
	if ((version & 0xffff) == 0)
		bd_die(BD_DATA, "%s: a big-endian GGUF file; only little-endian ones are supported", path);
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
	bd_gguf_check_header(g);
	return g;
}
