/* bds, the writing half, and the memory of headers and records. Reading is in stream_in.c, the
 * format in bd-stream(5). */
#include "data/stream.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/msg.h"

#include <assert.h>
#include <math.h>
#include <msgpack.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_RECORDS 64
#define CHECK_BYTES   ((uint64_t)4 << 20)
#define MAX_RECORD    ((size_t)1 << 30)
#define LEVEL         3

static const char state_key[3][2] = {"q", "k", "v"};

const char *bd_positions_name(bool all)
{
	static const char *const names[] = {BD_POSITIONS_LIST(BD_WORD_TEXT)};

	return names[all ? BD_POSITIONS_ALL : BD_POSITIONS_ANSWER];
}

size_t bd_stream_listed(const struct bd_stream_head *h)
{
	return h->top_k + h->sample;
}

/* Elements of `z' at a position. */
static size_t columns(const struct bd_stream_head *h)
{
	return h->top_k ? h->top_k : h->sample ? 0 : h->vocab;
}

void bd_stream_head_free(struct bd_stream_head *h)
{
	json_decref(h->template_);
	json_decref(h->history);
	bd_free(h->choice);
	*h = (struct bd_stream_head){0};
}

void bd_record_free(struct bd_record *r)
{
	bd_free(r->ids);
	bd_free(r->target);
	bd_free(r->ref);
	bd_free(r->z);
	bd_free(r->zi);
	bd_free(r->zr);
	for (int i = 0; i < 3; i++)
		bd_free(r->state[i]);
	*r = (struct bd_record){0};
}

/* Half-precision infinities and NaN have all bits of the exponent set. */
static bool finite_halves(const uint16_t *x, size_t n)
{
	unsigned bad = 0;

	for (size_t i = 0; i < n; i++)
		bad |= (x[i] & 0x7c00u) == 0x7c00u;
	return !bad;
}

/* The rest of a distribution may be empty: -infinity. */
static bool valid_sums(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(x[i] < INFINITY))
			return false;
	return true;
}

const char *bd_record_broken(const struct bd_stream_head *h, const struct bd_record *r)
{
	size_t P = h->logits ? r->positions : 0;

	if (!finite_halves(r->z, P * columns(h)))
		return "z";
	if (bd_stream_listed(h) > 0 && !valid_sums(r->zr, P))
		return "zr";
	for (int i = 0; i < 3 && h->layer >= 0; i++)
		if (!finite_halves(r->state[i], r->n * h->width[i]))
			return state_key[i];
	return NULL;
}

void bd_record_fits(const struct bd_record *r, uint32_t vocab, const char *stream, const char *model)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->ids[i] >= vocab)
			bd_die(BD_DATA,
			       "%s: example %llu: token %u is outside the vocabulary of %s, which has %u ids",
			       stream, (unsigned long long)r->index, r->ids[i], model, vocab);
}

struct bd_sink {
	struct bd_out *out;
	struct bd_hash *hash;
	struct bd_stream_head head; /* sizes only; its pointers are not owned and not used after opening */
	msgpack_packer pk;
	bool flush; /* a pipe: flush at every check record */
	uint64_t records, bytes, check_records, check_bytes;
};

/* msgpack's output: hashed and written at once, so that a record is never assembled in memory. */
static int emit(void *arg, const char *p, size_t n)
{
	struct bd_sink *s = arg;

	bd_hash_add(s->hash, p, n);
	bd_out_write(s->out, p, n);
	s->bytes += n;
	return 0;
}

static void put_key(struct bd_sink *s, const char *key)
{
	msgpack_pack_str_with_body(&s->pk, key, strlen(key));
}

static void put_str(struct bd_sink *s, const char *key, const char *value)
{
	put_key(s, key);
	put_key(s, value);
}

static void put_uint(struct bd_sink *s, const char *key, uint64_t value)
{
	put_key(s, key);
	msgpack_pack_uint64(&s->pk, value);
}

static void put_bin(struct bd_sink *s, const char *key, const void *p, size_t n)
{
	put_key(s, key);
	msgpack_pack_bin_with_body(&s->pk, p, n);
}

static void put_u32s(struct bd_sink *s, const char *key, const uint32_t *v, size_t n)
{
	put_key(s, key);
	msgpack_pack_array(&s->pk, n);
	for (size_t i = 0; i < n; i++)
		msgpack_pack_uint32(&s->pk, v[i]);
}

static void put_json(struct bd_sink *s, const json_t *j)
{
	const char *key;
	json_t *v;
	size_t i;

	switch (json_typeof(j)) {
	case JSON_OBJECT:
		msgpack_pack_map(&s->pk, json_object_size(j));
		json_object_foreach((json_t *)(uintptr_t)j, key, v) {
			put_key(s, key);
			put_json(s, v);
		}
		break;
	case JSON_ARRAY:
		msgpack_pack_array(&s->pk, json_array_size(j));
		json_array_foreach(j, i, v)
			put_json(s, v);
		break;
	case JSON_STRING:
		msgpack_pack_str_with_body(&s->pk, json_string_value(j), json_string_length(j));
		break;
	case JSON_INTEGER:
		msgpack_pack_int64(&s->pk, json_integer_value(j));
		break;
	case JSON_REAL:
		msgpack_pack_double(&s->pk, json_real_value(j));
		break;
	case JSON_TRUE:
		msgpack_pack_true(&s->pk);
		break;
	case JSON_FALSE:
		msgpack_pack_false(&s->pk);
		break;
	case JSON_NULL:
		msgpack_pack_nil(&s->pk);
		break;
	}
}

static void put_teacher_head(struct bd_sink *s, const struct bd_stream_head *h)
{
	put_str(s, "teacher", h->teacher_digest);
	put_key(s, "layer");
	msgpack_pack_int(&s->pk, h->layer);
	put_uint(s, "layers", (uint64_t)h->teacher_layers);
	put_u32s(s, "width", h->width, 3);
	put_u32s(s, "heads", h->heads, 3);
	put_str(s, "dtype", "f16");
	put_key(s, "rope");
	h->after_rope ? msgpack_pack_true(&s->pk) : msgpack_pack_false(&s->pk);
	put_str(s, "logits", !h->logits ? "none" : h->top_k ? "top-k" : h->sample ? "sample" : "full");
	put_uint(s, "top_k", h->top_k);
	if (bd_stream_listed(h) > 0) {
		put_uint(s, "sample", h->sample);
		put_key(s, "tau");
		msgpack_pack_double(&s->pk, h->tau);
	}
	put_str(s, "positions", bd_positions_name(h->all_positions));
}

static void put_head(struct bd_sink *s, const struct bd_stream_head *h)
{
	size_t n = 4u + (h->template_ != NULL ? 1u : 0u) + (h->choice != NULL ? 1u : 0u) +
	           (h->history != NULL ? 1u : 0u) + (h->examples ? 1u : 0u) + (h->shards ? 1u : 0u) +
	           (h->teacher ? 10u : 0u) + (h->teacher && bd_stream_listed(h) > 0 ? 2u : 0u);

	msgpack_pack_map(&s->pk, n);
	put_str(s, "bd", h->teacher ? "teacher" : "examples");
	put_uint(s, "version", 1);
	put_str(s, "tokenizer", h->tokenizer);
	put_uint(s, "vocab", h->vocab);
	if (h->template_ != NULL) {
		put_key(s, "template");
		put_json(s, h->template_);
	}
	if (h->choice != NULL)
		put_u32s(s, "choices", h->choice, h->n_choice);
	if (h->examples)
		put_uint(s, "examples", h->examples);
	if (h->shards)
		put_u32s(s, "shard", (const uint32_t[]){h->shard, h->shards}, 2);
	if (h->teacher)
		put_teacher_head(s, h);
	if (h->history != NULL) {
		put_key(s, "history");
		put_json(s, h->history);
	}
}

/* Whether the output will be a regular file; io.h can tell only once it is open, too late
 * to choose the level. */
static bool is_regular(const char *path)
{
	struct stat st;

	if ((path == NULL || !strcmp(path, "-")) && fstat(STDOUT_FILENO, &st) != 0)
		bd_die(BD_SYS, "<stdout>: cannot write:");
	if (path == NULL || !strcmp(path, "-"))
		return S_ISREG(st.st_mode);
	return stat(path, &st) != 0 || S_ISREG(st.st_mode);
}

struct bd_sink *bd_sink_open(const char *path, int level, const struct bd_stream_head *h)
{
	struct bd_sink *s = bd_zalloc(1, sizeof(*s));
	bool regular = is_regular(path);

	s->out = bd_out_open(path, true, level < 0 ? (regular ? LEVEL : 0) : level);
	s->hash = bd_hash_new();
	s->head = *h;
	s->flush = !regular;
	msgpack_packer_init(&s->pk, s, emit);
	put_head(s, h);
	return s;
}

/* A check covers every byte before it, so its hash is taken before its own first byte. */
static void put_check(struct bd_sink *s, bool end)
{
	uint64_t hash = bd_hash_value(s->hash);

	msgpack_pack_map(&s->pk, end ? 3 : 2);
	if (end) {
		put_key(s, "end");
		msgpack_pack_true(&s->pk);
	}
	put_uint(s, "records", s->records);
	put_uint(s, "check", hash);
	s->check_records = s->records;
	s->check_bytes = s->bytes;
	if (s->flush)
		bd_out_flush(s->out);
}

static void put_teacher(struct bd_sink *s, const struct bd_record *r)
{
	const struct bd_stream_head *h = &s->head;
	size_t listed = bd_stream_listed(h), P = r->positions;

	if (h->logits && !h->sample)
		put_bin(s, "z", r->z, P * columns(h) * sizeof(*r->z));
	if (h->logits && listed > 0) {
		put_bin(s, "zi", r->zi, P * listed * sizeof(*r->zi));
		put_bin(s, "zr", r->zr, P * sizeof(*r->zr));
	}
	for (int i = 0; i < 3 && h->layer >= 0; i++)
		put_bin(s, state_key[i], r->state[i], r->n * h->width[i] * sizeof(*r->state[i]));
}

/* Bytes of the record's arrays, and room for the keys. */
static size_t record_bytes(const struct bd_stream_head *h, const struct bd_record *r)
{
	size_t bytes = 256 + r->n * 5 + (r->ref != NULL ? strlen(r->ref) : 0);

	if (h->teacher && h->logits)
		bytes += r->positions * (columns(h) * 2 + bd_stream_listed(h) * 4 + 4);
	for (int i = 0; i < 3 && h->teacher && h->layer >= 0; i++)
		bytes += r->n * h->width[i] * 2;
	return bytes;
}

void bd_sink_put(struct bd_sink *s, const struct bd_record *r)
{
	const struct bd_stream_head *h = &s->head;

	assert(r->n > 0 && r->target[0] == 0);
	if (record_bytes(h, r) > MAX_RECORD)
		bd_die(BD_DATA,
		       "example %llu: %zu tokens make a record of over 1 GiB; shorten it, or store only some "
		       "logits",
		       (unsigned long long)s->records, r->n);
	const char *broken = h->teacher ? bd_record_broken(h, r) : NULL;
	if (broken != NULL)
		bd_die(BD_DATA, "example %llu: the teacher's \"%s\" is not finite; its weights are broken",
		       (unsigned long long)s->records, broken);
	size_t n = 3u + (r->label >= 0 ? 1u : 0u) + (r->ref != NULL ? 1u : 0u);
	if (h->teacher)
		n += (h->logits ? (h->top_k ? 3u : h->sample ? 2u : 1u) : 0u) + (h->layer >= 0 ? 3u : 0u);
	msgpack_pack_map(&s->pk, n);
	put_uint(s, "i", s->records++);
	put_bin(s, "ids", r->ids, r->n * sizeof(*r->ids));
	put_bin(s, "target", r->target, r->n);
	if (r->label >= 0)
		put_uint(s, "label", (uint64_t)r->label);
	if (r->ref != NULL)
		put_str(s, "ref", r->ref);
	if (h->teacher)
		put_teacher(s, r);
	if (s->records - s->check_records >= CHECK_RECORDS || s->bytes - s->check_bytes >= CHECK_BYTES)
		put_check(s, false);
}

void bd_sink_close(struct bd_sink *s)
{
	put_check(s, true);
	bd_out_close(s->out);
	bd_hash_free(s->hash);
	bd_free(s);
}
