/* safetensors: a JSON header of names, types, shapes and offsets, then one buffer of raw little-endian data.
 * The header is untrusted input: every number in it is checked against the file before a pointer is made from
 * it. */
#include "format/safetensors.h"

#include "base/digest.h"
#include "base/io.h"
#include "base/kind.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/procs.h"
#include "machine/par.h"
#include "machine/quant.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER 100000000 /* the reference reader's bound */
#define MAX_SHARDS 4096

static const struct {
	const char *name;
	size_t size;
} dtypes[BD_DTYPES] = {
    [BD_F32] = {"F32", 4}, [BD_F16] = {"F16", 2}, [BD_BF16] = {"BF16", 2}, [BD_F64] = {"F64", 8},
    [BD_I64] = {"I64", 8}, [BD_I32] = {"I32", 4}, [BD_U32] = {"U32", 4},   [BD_I16] = {"I16", 2},
    [BD_I8] = {"I8", 1},   [BD_U8] = {"U8", 1},   [BD_BOOL] = {"BOOL", 1},
};

struct shard {
	char *path;
	struct bd_map map;
	json_t *header;
};

struct bd_st {
	struct shard *shard;
	size_t n_shard;
	struct bd_st_tensor *t; /* by shard, then by offset */
	const struct bd_st_tensor **by_name;
	size_t n;
	json_t *map; /* weight_map of the index: tensor to shard; NULL: one file */
	char *dir;   /* of the index */
};

const char *bd_dtype_name(enum bd_dtype t)
{
	return dtypes[t].name;
}

size_t bd_dtype_size(enum bd_dtype t)
{
	return dtypes[t].size;
}

static enum bd_dtype dtype_of(const json_t *j, const char *file, const char *name)
{
	const char *s = json_string_value(j);

	if (s == NULL)
		bd_die(BD_DATA, "%s: tensor %s: dtype is not a string", file, name);
	for (int i = 0; i < BD_DTYPES; i++)
		if (!strcmp(s, dtypes[i].name))
			return (enum bd_dtype)i;
	bd_die(BD_DATA, "%s: tensor %s: dtype %.20s is not supported; convert it to F32, F16 or BF16", file,
	       name, s);
}

static size_t size_of(const json_t *j, const char *what, const char *file, const char *name)
{
	if (!json_is_integer(j) || json_integer_value(j) < 0)
		bd_die(BD_DATA, "%s: tensor %s: %s is not a non-negative integer", file, name, what);
	return (size_t)json_integer_value(j);
}

/* One header entry against a buffer of `size` bytes. */
static void parse_tensor(struct bd_st_tensor *t, const json_t *entry, const unsigned char *buffer,
                         size_t size)
{
	const char *file = t->file, *name = t->name;
	const json_t *shape = json_object_get(entry, "shape"), *off = json_object_get(entry, "data_offsets");

	if (!json_is_object(entry) || !json_is_array(shape) || !json_is_array(off) ||
	    json_array_size(off) != 2)
		bd_die(BD_DATA, "%s: tensor %s: needs dtype, shape and two data_offsets", file, name);
	if (json_array_size(shape) > 4)
		bd_die(BD_DATA, "%s: tensor %s: has %zu dimensions, at most 4 are supported", file, name,
		       json_array_size(shape));
	t->dtype = dtype_of(json_object_get(entry, "dtype"), file, name);
	t->ndim = (int)json_array_size(shape);
	t->count = 1;
	for (int i = 0; i < t->ndim; i++) {
		t->shape[i] = size_of(json_array_get(shape, (size_t)i), "a dimension", file, name);
		if (__builtin_mul_overflow(t->count, t->shape[i], &t->count))
			bd_die(BD_DATA, "%s: tensor %s: the product of its dimensions overflows", file, name);
	}
	size_t begin = size_of(json_array_get(off, 0), "data_offsets", file, name);
	size_t end = size_of(json_array_get(off, 1), "data_offsets", file, name);
	if (begin > end || end > size)
		bd_die(BD_DATA,
		       "%s: tensor %s: data_offsets [%zu, %zu] lie outside the file's %zu data bytes; is it "
		       "truncated?",
		       file, name, begin, end, size);
	if (__builtin_mul_overflow(t->count, dtypes[t->dtype].size, &t->bytes) || t->bytes != end - begin)
		bd_die(BD_DATA, "%s: tensor %s: %zu bytes do not match its shape and dtype %s", file, name,
		       end - begin, dtypes[t->dtype].name);
	t->data = buffer + begin;
}

static int by_offset(const void *a, const void *b)
{
	const struct bd_st_tensor *x = a, *y = b;

	if (x->data != y->data)
		return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
	if (x->bytes != y->bytes) /* empty tensors before the one that begins at the same place */
		return x->bytes < y->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
	const struct bd_st_tensor *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* The tensors of one shard must cover its buffer without gaps and overlaps. */
static void check_cover(const struct bd_st_tensor *t, size_t n, const unsigned char *buffer, size_t size,
                        const char *file)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t begin = (size_t)((const unsigned char *)t[i].data - buffer);

		if (begin != at)
			bd_die(BD_DATA, "%s: tensor %s: %s at data byte %zu", file, t[i].name,
			       begin < at ? "overlaps its neighbour" : "is preceded by a gap", begin);
		at = begin + t[i].bytes;
	}
	if (at != size)
		bd_die(BD_DATA, "%s: the tensors end at data byte %zu, but the file at %zu", file, at, size);
}

static void check_metadata(const json_t *meta, const char *file)
{
	const char *key;
	json_t *v;

	if (!json_is_object(meta))
		bd_die(BD_DATA, "%s: __metadata__ is not an object", file);
	json_object_foreach((json_t *)(uintptr_t)meta, key, v)
		if (!json_is_string(v))
			bd_die(BD_DATA, "%s: __metadata__.%s is not a string", file, key);
}

/* Its digest is not checked yet. */
static void add_shard(struct bd_st *s, char *path)
{
	s->shard = bd_resize(s->shard, s->n_shard, s->n_shard + 1, sizeof(*s->shard));
	s->shard[s->n_shard++] = (struct shard){.path = path, .map = bd_map_unchecked(path)};
}

static void check_digests(void *ctx, size_t begin, size_t end, int slice)
{
	const struct bd_st *s = ctx;

	(void)slice;
	for (size_t i = begin; i < end; i++)
		bd_digest_check(s->shard[i].path, s->shard[i].map.p, s->shard[i].map.n);
}

static void parse_shard(struct bd_st *s, struct shard *d)
{
	const char *path = d->path;
	uint64_t len = 0;

	if (d->map.n >= 8)
		memcpy(&len, d->map.p, 8);
	const char *kind = bd_file_kind(d->map.p, d->map.n);
	if ((d->map.n < 8 || len > d->map.n - 8 || len < 2 || d->map.p[8] != '{') && kind != NULL)
		bd_die(BD_DATA, "%s: not a safetensors file, but %s", path, kind);
	if (d->map.n < 8 || len > d->map.n - 8)
		bd_die(BD_DATA, "%s: byte 0: no safetensors header fits into %zu bytes; is it truncated?",
		       path, d->map.n);
	if (len > MAX_HEADER || len < 2 || d->map.p[8] != '{')
		bd_die(BD_DATA, "%s: byte 0: not a safetensors file (header of %" PRIu64 " bytes)", path,
		       len);
	d->header = bd_json_parse((const char *)d->map.p + 8, (size_t)len, path);

	const unsigned char *buffer = d->map.p + 8 + len;
	size_t size = d->map.n - 8 - (size_t)len, n = json_object_size(d->header), first = s->n;
	const char *key;
	json_t *v;
	s->t = bd_resize(s->t, s->n, s->n + n, sizeof(*s->t));
	json_object_foreach(d->header, key, v) {
		if (!strcmp(key, "__metadata__")) {
			check_metadata(v, path);
			continue;
		}
		struct bd_st_tensor *t = &s->t[s->n++];
		*t = (struct bd_st_tensor){.name = key, .file = path};
		parse_tensor(t, v, buffer, size);
	}
	if (s->n > first)
		qsort(s->t + first, s->n - first, sizeof(*s->t), by_offset);
	check_cover(s->t + first, s->n - first, buffer, size, path);
}

/* Every byte is compared with its digest before the first is used. */
static void parse_shards(struct bd_st *s)
{
	struct bd_par *par = s->n_shard > 1 ? bd_par_new(bd_processors("")) : NULL;

	bd_par_for(par, s->n_shard, check_digests, s);
	bd_par_free(par);
	for (size_t i = 0; i < s->n_shard; i++)
		parse_shard(s, &s->shard[i]);
}

/* The shard names of an index, each once, in order of appearance. */
static void add_index(struct bd_st *s, const char *path)
{
	json_t *index = bd_json_load(path), *map = bd_json_get(index, "weight_map"), *v,
	       *seen = json_object();
	const char *key, *slash = strrchr(path, '/');

	s->dir = slash != NULL ? bd_strndup(path, (size_t)(slash - path)) : bd_strdup(".");
	if (!json_is_object(map) || json_object_size(map) == 0)
		bd_die(BD_DATA, "%s: weight_map: missing or empty", path);
	json_object_foreach(map, key, v) {
		const char *file = json_string_value(v);

		if (file == NULL || !*file || strchr(file, '/') != NULL || strstr(file, "..") != NULL)
			bd_die(BD_DATA,
			       "%s: weight_map.%s: a shard must be the name of a file in the same directory",
			       path, key);
		if (json_object_get(seen, file) != NULL)
			continue;
		if (json_object_size(seen) >= MAX_SHARDS)
			bd_die(BD_DATA, "%s: weight_map: more than %d shards", path, MAX_SHARDS);
		json_object_set_new(seen, file, json_true());
		char *shard = bd_path(s->dir, file);
		if (bd_exists(shard))
			add_shard(s, shard);
		else
			bd_free(shard);
	}
	if (s->n_shard == 0)
		bd_die(BD_DATA, "%s: weight_map: none of the files that it names is there", path);
	s->map = json_incref(map);
	json_decref(seen);
	json_decref(index);
}

char *bd_st_lost(const struct bd_st *s, const char *name)
{
	const char *file = json_string_value(json_object_get(s->map, name));
	char *path, *why;

	if (file == NULL)
		return NULL;
	path = bd_path(s->dir, file);
	why = bd_sprintf("the index names %s, which %s", file,
	                 bd_exists(path) ? "does not have it" : "is absent; download it");
	bd_free(path);
	return why;
}

static void sort_names(struct bd_st *s, const char *path)
{
	s->by_name = bd_alloc(s->n + 1, sizeof(*s->by_name));
	for (size_t i = 0; i < s->n; i++)
		s->by_name[i] = &s->t[i];
	qsort(s->by_name, s->n, sizeof(*s->by_name), by_name);
	for (size_t i = 1; i < s->n; i++)
		if (!strcmp(s->by_name[i - 1]->name, s->by_name[i]->name))
			bd_die(BD_DATA, "%s: tensor %s: stored twice, in %s and %s", path,
			       s->by_name[i]->name, s->by_name[i - 1]->file, s->by_name[i]->file);
}

/* The file that represents a directory. */
static char *find_in_dir(const char *dir)
{
	static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};

	for (int i = 0; i < 2; i++) {
		char *p = bd_path(dir, names[i]);

		if (bd_exists(p))
			return p;
		bd_free(p);
	}
	char *kind = bd_dir_kind(dir);
	bd_die(BD_DATA, "%s: contains neither model.safetensors nor model.safetensors.index.json%s%s", dir,
	       kind != NULL ? "; its " : "", kind != NULL ? kind : "");
}

struct bd_st *bd_st_open(const char *path)
{
	struct bd_st *s = bd_zalloc(1, sizeof(*s));
	char *file = bd_is_dir(path) ? find_in_dir(path) : bd_strdup(path);
	size_t n = strlen(file);
	bool index = n > 5 && !strcmp(file + n - 5, ".json");

	if (index)
		add_index(s, file);
	else
		add_shard(s, bd_strdup(file));
	parse_shards(s);
	sort_names(s, file);
	bd_free(file);
	return s;
}

void bd_st_close(struct bd_st *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_shard; i++) {
		json_decref(s->shard[i].header);
		bd_unmap(&s->shard[i].map);
		bd_free(s->shard[i].path);
	}
	bd_free(s->shard);
	bd_free(s->t);
	bd_free(s->by_name);
	json_decref(s->map);
	bd_free(s->dir);
	bd_free(s);
}

size_t bd_st_count(const struct bd_st *s)
{
	return s->n;
}

const struct bd_st_tensor *bd_st_at(const struct bd_st *s, size_t i)
{
	return &s->t[i];
}

const struct bd_st_tensor *bd_st_find(const struct bd_st *s, const char *name)
{
	const struct bd_st_tensor key = {.name = name}, *k = &key;
	const struct bd_st_tensor **hit = bsearch(&k, s->by_name, s->n, sizeof(*s->by_name), by_name);

	return hit != NULL ? *hit : NULL;
}

const json_t *bd_st_metadata(const struct bd_st *s)
{
	return s->n_shard ? json_object_get(s->shard[0].header, "__metadata__") : NULL;
}

/* The data of a foreign file may be at any address: half floats go through an aligned block. */
void bd_st_f32(const struct bd_st_tensor *t, size_t first, size_t n, float *out)
{
	enum { BLOCK = 2048 };
	uint16_t h[BLOCK];
	const char *p = (const char *)t->data + first * dtypes[t->dtype].size;

	if (t->dtype != BD_F32 && t->dtype != BD_F16 && t->dtype != BD_BF16)
		bd_die(BD_DATA, "%s: tensor %s: dtype %s, where F32, F16 or BF16 is needed", t->file, t->name,
		       dtypes[t->dtype].name);
	if (t->dtype == BD_F32) {
		memcpy(out, p, n * sizeof(*out));
		return;
	}
	for (size_t i = 0; i < n; i += BLOCK) {
		size_t m = n - i < BLOCK ? n - i : BLOCK;

		memcpy(h, p + i * sizeof(*h), m * sizeof(*h));
		if (t->dtype == BD_F16)
			bd_f32_row(out + i, h, m);
		else
			for (size_t j = 0; j < m; j++)
				out[i + j] = bd_bf16_to_f32(h[j]);
	}
}

const float *bd_st_floats(const struct bd_st_tensor *t, float **copy)
{
	*copy = NULL;
	if (t->dtype == BD_F32 && (uintptr_t)t->data % sizeof(float) == 0)
		return t->data;
	*copy = bd_alloc(t->count, sizeof(float));
	bd_st_f32(t, 0, t->count, *copy);
	return *copy;
}
