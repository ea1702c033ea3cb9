/* bds, the reading half. Three steps, each of which trusts nothing: a scanner takes one whole MessagePack
 * object off the input, bounding every length before it is used; msgpack-c unpacks it in place; then sizes
 * and values are held against the header. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/msg.h"
#include "data/stream.h"

#include <inttypes.h>
#include <msgpack.h>
#include <string.h>

#define MAX_OBJECT ((size_t)1 << 30)
#define MAX_ITEMS  ((uint64_t)1 << 20) /* values in one object: msgpack-c spends 24 bytes on each */
#define MAX_VOCAB  ((int64_t)1 << 24)
#define MAX_WIDTH  ((int64_t)1 << 20)

struct bd_source {
	struct bd_in *in;
	struct bd_head head;
	struct bd_hash *hash;
	unsigned char *p; /* [n] of [cap]: the object at hand */
	size_t n, cap;
	uint64_t at; /* offset of its first byte */
	uint64_t records, head_hash;
	bool ended;
	char digest[17]; /* once the end was seen, by any pass */
	msgpack_unpacked u;
};

/* The object at hand is wrong. */
#define BAD(s, fmt, ...)                                                                                     \
	bd_die(BD_DATA, "%s: byte %" PRIu64 ": " fmt, bd_in_name((s)->in), (s)->at, ##__VA_ARGS__)

/* ---- framing ---- */

/* Appends k bytes of input. Memory grows with what has really come, not with what a length promises. */
static const unsigned char *take(struct bd_source *s, size_t k)
{
	if (k > MAX_OBJECT - s->n)
		BAD(s, "record of over 1 GiB");
	size_t first = s->n;
	while (k > 0) {
		if (s->n == s->cap) {
			size_t cap = s->cap ? 2 * s->cap : (size_t)1 << 16;

			s->p = bd_resize(s->p, s->cap, cap, 1);
			s->cap = cap;
		}
		size_t want = k < s->cap - s->n ? k : s->cap - s->n;
		if (bd_in_read(s->in, s->p + s->n, want) != want)
			bd_die(BD_DATA,
			       "%s: byte %" PRIu64
			       ": the stream ends inside a record; its writer died or the file was cut",
			       bd_in_name(s->in), bd_in_offset(s->in));
		s->n += want;
		k -= want;
	}
	return s->p + first;
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static uint64_t take_uint(struct bd_source *s, size_t bytes)
{
	const unsigned char *p = take(s, bytes);
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* Takes one value without its children; returns how many those are. */
static uint64_t take_value(struct bd_source *s)
{
	unsigned tag = *take(s, 1);

	if (tag < 0x80 || tag >= 0xe0) /* small integer */
		return 0;
	if (tag < 0x90) /* map */
		return 2 * (tag & 15);
	if (tag < 0xa0) /* array */
		return tag & 15;
	if (tag < 0xc0) { /* string */
		take(s, tag & 31);
		return 0;
	}
	switch (tag) {
	case 0xc0: /* nil, false, true */
	case 0xc2:
	case 0xc3:
		return 0;
	case 0xc4: /* bin 8, 16, 32 */
	case 0xc5:
	case 0xc6:
		take(s, take_uint(s, (size_t)1 << (tag - 0xc4)));
		return 0;
	case 0xd9: /* str 8, 16, 32 */
	case 0xda:
	case 0xdb:
		take(s, take_uint(s, (size_t)1 << (tag - 0xd9)));
		return 0;
	case 0xca: /* float, double */
	case 0xcb:
		take(s, (size_t)4 << (tag - 0xca));
		return 0;
	case 0xcc: /* uint 8, 16, 32, 64 */
	case 0xcd:
	case 0xce:
	case 0xcf:
		take(s, (size_t)1 << (tag - 0xcc));
		return 0;
	case 0xd0: /* int 8, 16, 32, 64 */
	case 0xd1:
	case 0xd2:
	case 0xd3:
		take(s, (size_t)1 << (tag - 0xd0));
		return 0;
	case 0xdc: /* array 16, 32 */
	case 0xdd:
		return take_uint(s, (size_t)2 << (tag - 0xdc));
	case 0xde: /* map 16, 32 */
	case 0xdf:
		return 2 * take_uint(s, (size_t)2 << (tag - 0xde));
	default:
		bd_die(BD_DATA, "%s: byte %" PRIu64 ": MessagePack type 0x%02x has no place in a bds stream",
		       bd_in_name(s->in), s->at + s->n - 1, tag);
	}
}

/* The next whole object into s->u.data; dies at the end of the input. */
static void take_map(struct bd_source *s)
{
	s->n = 0;
	s->at = bd_in_offset(s->in);
	unsigned char first;
	if (bd_in_read(s->in, &first, 1) != 1)
		BAD(s,
		    "the stream ends before its end record, after %" PRIu64
		    " examples; its writer died or the file was cut",
		    s->records);
	if ((first & 0xf0) != 0x80 && first != 0xde && first != 0xdf)
		BAD(s, "no record begins with 0x%02x; %s", first,
		    s->at ? "the stream is damaged" : "this is no bds stream");
	if (s->cap == 0)
		s->p = bd_alloc(s->cap = (size_t)1 << 16, 1);
	s->p[0] = first;
	s->n = 1;
	uint64_t items = 0,
	         todo = first < 0x90 ? 2 * (uint64_t)(first & 15) : 2 * take_uint(s, first == 0xde ? 2 : 4);
	for (; todo > 0; todo--) {
		if (++items > MAX_ITEMS || todo > MAX_ITEMS)
			BAD(s, "record of more than %" PRIu64 " values", MAX_ITEMS);
		todo += take_value(s);
	}
	size_t off = 0;
	msgpack_unpack_return rc = msgpack_unpack_next(&s->u, (const char *)s->p, s->n, &off);
	if (rc != MSGPACK_UNPACK_SUCCESS || off != s->n || s->u.data.type != MSGPACK_OBJECT_MAP)
		BAD(s, "not a MessagePack map that can be unpacked");
}

/* ---- values of the map at hand ---- */

static const msgpack_object *find(const struct bd_source *s, const char *key)
{
	const msgpack_object_map *m = &s->u.data.via.map;
	size_t n = strlen(key);

	for (uint32_t i = 0; i < m->size; i++) {
		const msgpack_object *k = &m->ptr[i].key;

		if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == n && !memcmp(k->via.str.ptr, key, n))
			return &m->ptr[i].val;
	}
	return NULL;
}

static const msgpack_object *get(const struct bd_source *s, const char *key, msgpack_object_type type)
{
	const msgpack_object *o = find(s, key);

	if (o == NULL)
		BAD(s, "`%s' is missing", key);
	if (o->type != type)
		BAD(s, "`%s' has the wrong type", key);
	return o;
}

static bool is_int(const msgpack_object *o, int64_t min, int64_t max, int64_t *v)
{
	bool positive = o->type == MSGPACK_OBJECT_POSITIVE_INTEGER;

	if ((!positive && o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER) || (positive && o->via.u64 > INT64_MAX))
		return false;
	*v = positive ? (int64_t)o->via.u64 : o->via.i64;
	return *v >= min && *v <= max;
}

static int64_t get_int(const struct bd_source *s, const char *key, int64_t min, int64_t max)
{
	const msgpack_object *o = find(s, key);
	int64_t v;

	if (o == NULL || !is_int(o, min, max, &v))
		BAD(s, "`%s' is no integer from %" PRId64 " to %" PRId64, key, min, max);
	return v;
}

static bool is_str(const msgpack_object *o, const char *text)
{
	return o != NULL && o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
	       !memcmp(o->via.str.ptr, text, o->via.str.size);
}

/* Which of the words `key` holds. */
static int get_word(const struct bd_source *s, const char *key, const char *const *words, int n)
{
	const msgpack_object *o = get(s, key, MSGPACK_OBJECT_STR);

	for (int i = 0; i < n; i++)
		if (is_str(o, words[i]))
			return i;
	BAD(s, "`%s' has an unknown value", key);
}

static void get_digest(const struct bd_source *s, const char *key, char out[33])
{
	const msgpack_object_str *t = &get(s, key, MSGPACK_OBJECT_STR)->via.str;

	if (t->size != 32)
		BAD(s, "`%s' is no digest of 32 hex digits", key);
	memcpy(out, t->ptr, 32);
	if (strspn(out, "0123456789abcdef") != 32)
		BAD(s, "`%s' is no digest of 32 hex digits", key);
}

/* A new array from a bin of exactly n elements. */
static void *get_bin(const struct bd_source *s, const char *key, size_t n, size_t size)
{
	const msgpack_object_bin *b = &get(s, key, MSGPACK_OBJECT_BIN)->via.bin;

	if (b->size != n * size)
		BAD(s, "`%s' holds %u bytes where the header asks for %zu", key, b->size, n * size);
	void *p = bd_alloc(n + !n, size);
	if (n)
		memcpy(p, b->ptr, n * size);
	return p;
}

static void get_u32s(const struct bd_source *s, const char *key, uint32_t *out, size_t n, int64_t max)
{
	const msgpack_object_array *a = &get(s, key, MSGPACK_OBJECT_ARRAY)->via.array;

	if (a->size != n)
		BAD(s, "`%s' has %u elements where %zu are needed", key, a->size, n);
	for (size_t i = 0; i < n; i++) {
		int64_t v;

		if (!is_int(&a->ptr[i], 0, max, &v))
			BAD(s, "`%s' has an element that is no integer from 0 to %" PRId64, key, max);
		out[i] = (uint32_t)v;
	}
}

/* msgpack-c limits the depth to 32. */
static json_t *to_json(const struct bd_source *s, const msgpack_object *o)
{
	json_t *j = NULL, *v;

	switch (o->type) {
	case MSGPACK_OBJECT_NIL:
		j = json_null();
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		j = json_boolean(o->via.boolean);
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		j = o->via.u64 > INT64_MAX ? NULL : json_integer((json_int_t)o->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		j = json_integer(o->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		j = json_real(o->via.f64);
		break;
	case MSGPACK_OBJECT_STR:
		j = json_stringn(o->via.str.ptr, o->via.str.size);
		break;
	case MSGPACK_OBJECT_ARRAY:
		j = json_array();
		for (uint32_t i = 0; i < o->via.array.size; i++)
			json_array_append_new(j, to_json(s, &o->via.array.ptr[i]));
		break;
	case MSGPACK_OBJECT_MAP:
		j = json_object();
		for (uint32_t i = 0; i < o->via.map.size; i++) {
			const msgpack_object *k = &o->via.map.ptr[i].key;

			v = to_json(s, &o->via.map.ptr[i].val);
			char *key = k->type == MSGPACK_OBJECT_STR
			                ? bd_strndup(k->via.str.ptr, k->via.str.size)
			                : NULL;
			if (key == NULL || json_object_set_new(j, key, v))
				BAD(s, "a key of the template is not UTF-8 text");
			bd_free(key);
		}
		break;
	default:
		break;
	}
	if (j == NULL)
		BAD(s, "a value of the header cannot be represented in JSON (text must be UTF-8)");
	return j;
}

/* ---- header ---- */

static void teacher_head(struct bd_source *s, struct bd_head *h)
{
	static const char *const logits[] = {"none", "full", "top-k"}, *const positions[] = {"answer", "all"};

	get_digest(s, "teacher", h->teacher_digest);
	h->teacher_layers = (int)get_int(s, "layers", 1, 4096);
	h->layer = (int)get_int(s, "layer", -1, h->teacher_layers - 1);
	get_u32s(s, "width", h->width, 3, MAX_WIDTH);
	get_u32s(s, "heads", h->heads, 3, MAX_WIDTH);
	for (int i = 0; i < 3 && h->layer >= 0; i++)
		if (h->width[i] == 0 || h->heads[i] == 0 || h->width[i] % h->heads[i])
			BAD(s, "a width of %u does not divide into %u heads", h->width[i], h->heads[i]);
	if (!is_str(find(s, "dtype"), "f16"))
		BAD(s, "`dtype' of the states is not \"f16\"");
	h->states_f16 = h->layer >= 0;
	h->after_rope = get(s, "rope", MSGPACK_OBJECT_BOOLEAN)->via.boolean;
	int kind = get_word(s, "logits", logits, 3);
	h->logits = kind > 0;
	h->top_k = kind == 2 ? (uint32_t)get_int(s, "top_k", 1, h->vocab) : 0;
	h->all_positions = get_word(s, "positions", positions, 2) == 1;
}

static void parse_head(struct bd_source *s)
{
	static const char *const kinds[] = {"examples", "teacher"};
	struct bd_head *h = &s->head;
	int64_t version;
	const msgpack_object *o = find(s, "version");

	if (find(s, "bd") == NULL || o == NULL || !is_int(o, 0, INT32_MAX, &version))
		BAD(s, "this is no bds stream");
	if (version != 1)
		BAD(s,
		    "version %" PRId64
		    " of the stream format is not supported, only 1; make the stream with this release",
		    version);
	h->teacher = get_word(s, "bd", kinds, 2) == 1;
	h->layer = -1;
	get_digest(s, "tokenizer", h->tokenizer);
	h->vocab = (uint32_t)get_int(s, "vocab", 1, MAX_VOCAB);
	if ((o = find(s, "template")) != NULL) {
		if (o->type != MSGPACK_OBJECT_MAP)
			BAD(s, "`template' is no map");
		h->template_ = to_json(s, o);
	}
	if (find(s, "choices") != NULL) {
		h->n_choice = get(s, "choices", MSGPACK_OBJECT_ARRAY)->via.array.size;
		h->choice = bd_alloc(h->n_choice + 1, sizeof(*h->choice));
		get_u32s(s, "choices", h->choice, h->n_choice, (int64_t)h->vocab - 1);
	}
	if ((o = find(s, "history")) != NULL) {
		if (o->type != MSGPACK_OBJECT_ARRAY)
			BAD(s, "`history' is no array");
		h->history = to_json(s, o);
	}
	if (find(s, "examples") != NULL)
		h->examples = (uint64_t)get_int(s, "examples", 1, INT64_MAX);
	if (h->teacher)
		teacher_head(s, h);
}

struct bd_source *bd_source_open(const char *path)
{
	struct bd_source *s = bd_zalloc(1, sizeof(*s));

	s->in = bd_in_open(path);
	msgpack_unpacked_init(&s->u);
	take_map(s);
	parse_head(s);
	s->head_hash = bd_hash64(s->p, s->n);
	s->hash = bd_hash_new();
	bd_hash_add(s->hash, s->p, s->n);
	return s;
}

void bd_source_rewind(struct bd_source *s)
{
	bd_in_rewind(s->in);
	s->records = 0;
	s->ended = false;
	take_map(s);
	if (bd_hash64(s->p, s->n) != s->head_hash)
		BAD(s, "the header changed since it was first read");
	bd_hash_free(s->hash);
	s->hash = bd_hash_new();
	bd_hash_add(s->hash, s->p, s->n);
}

void bd_source_close(struct bd_source *s)
{
	if (s == NULL)
		return;
	bd_in_close(s->in);
	bd_head_free(&s->head);
	bd_hash_free(s->hash);
	msgpack_unpacked_destroy(&s->u);
	bd_free(s->p);
	bd_free(s);
}

const struct bd_head *bd_source_head(const struct bd_source *s)
{
	return &s->head;
}

const char *bd_source_name(const struct bd_source *s)
{
	return bd_in_name(s->in);
}

bool bd_source_seekable(const struct bd_source *s)
{
	return bd_in_seekable(s->in);
}

void bd_source_fits(const struct bd_source *s, const char tokenizer[33], uint32_t vocab, const char *model)
{
	const struct bd_head *h = &s->head;

	if (strcmp(h->tokenizer, tokenizer))
		bd_die(
		    BD_DATA,
		    "%s: made with tokenizer %.8s, but %s has %.8s; run bd-data with this model's tokenizer",
		    bd_in_name(s->in), h->tokenizer, model, tokenizer);
	if (h->vocab > vocab)
		bd_die(BD_DATA, "%s: a vocabulary of %u, but %s has %u", bd_in_name(s->in), h->vocab, model,
		       vocab);
}

/* ---- records ---- */

/* Token ids index tables later: none may reach beyond the vocabulary. */
static void check_ids(const struct bd_source *s, const uint32_t *id, size_t n)
{
	uint32_t max = 0;

	for (size_t i = 0; i < n; i++)
		max = id[i] > max ? id[i] : max;
	if (max >= s->head.vocab)
		BAD(s, "token id %u, but the vocabulary has %u", max, s->head.vocab);
}

static void read_teacher(const struct bd_source *s, struct bd_record *r)
{
	static const char *const state_key[3] = {"q", "k", "v"};
	const struct bd_head *h = &s->head;
	size_t P = r->positions, cols = h->top_k ? h->top_k : h->vocab;

	if (h->logits)
		r->z = get_bin(s, "z", P * cols, sizeof(*r->z));
	if (h->logits && h->top_k) {
		r->zi = get_bin(s, "zi", P * cols, sizeof(*r->zi));
		r->zr = get_bin(s, "zr", P, sizeof(*r->zr));
		check_ids(s, r->zi, P * cols);
	}
	for (int i = 0; i < 3 && h->layer >= 0; i++)
		r->state[i] = get_bin(s, state_key[i], r->n * h->width[i], sizeof(*r->state[i]));
}

static void read_record(const struct bd_source *s, struct bd_record *r)
{
	const struct bd_head *h = &s->head;
	size_t bytes = get(s, "ids", MSGPACK_OBJECT_BIN)->via.bin.size;

	if (bytes == 0 || bytes % 4)
		BAD(s, "`ids' holds %zu bytes: no whole number of tokens", bytes);
	if ((uint64_t)get_int(s, "i", 0, INT64_MAX) != s->records)
		BAD(s, "example %" PRIu64 " was expected here", s->records);
	r->index = s->records;
	r->n = bytes / 4;
	r->ids = get_bin(s, "ids", r->n, sizeof(*r->ids));
	check_ids(s, r->ids, r->n);
	r->target = get_bin(s, "target", r->n, 1);
	size_t targets = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (r->target[i] > 1 || (i == 0 && r->target[0]))
			BAD(s, "`target' marks token %zu with %u", i, r->target[i]);
		targets += r->target[i];
	}
	r->positions = h->all_positions ? r->n - 1 : targets;
	int64_t top = h->n_choice ? (int64_t)h->n_choice - 1 : INT32_MAX;
	r->label = find(s, "label") != NULL ? (int32_t)get_int(s, "label", 0, top) : -1;
	if (find(s, "ref") != NULL) {
		const msgpack_object_str *t = &get(s, "ref", MSGPACK_OBJECT_STR)->via.str;

		r->ref = bd_strndup(t->ptr, t->size);
	}
	if (h->teacher)
		read_teacher(s, r);
}

/* A check record: the hash of all bytes in front of it. */
static void verify(const struct bd_source *s)
{
	uint64_t check = get(s, "check", MSGPACK_OBJECT_POSITIVE_INTEGER)->via.u64;
	uint64_t records = get(s, "records", MSGPACK_OBJECT_POSITIVE_INTEGER)->via.u64;

	if (records != s->records)
		BAD(s, "the check counts %" PRIu64 " examples, %" PRIu64 " came; the stream is damaged",
		    records, s->records);
	if (check != bd_hash_value(s->hash))
		BAD(s, "the checksum of what came before is wrong; the stream is damaged");
}

bool bd_source_next(struct bd_source *s, struct bd_record *r)
{
	bd_record_free(r);
	while (!s->ended) {
		take_map(s);
		if (find(s, "check") != NULL) {
			verify(s);
			s->ended = find(s, "end") != NULL;
		} else {
			read_record(s, r);
			s->records++;
		}
		bd_hash_add(s->hash, s->p, s->n);
		if (r->n)
			return true;
	}
	if (s->head.examples && s->head.examples != s->records)
		bd_die(BD_DATA, "%s: the header promises %" PRIu64 " examples, %" PRIu64 " came",
		       bd_in_name(s->in), s->head.examples, s->records);
	char more;
	if (bd_in_read(s->in, &more, 1))
		bd_die(BD_DATA, "%s: byte %" PRIu64 ": the stream goes on after its end record",
		       bd_in_name(s->in), bd_in_offset(s->in) - 1);
	snprintf(s->digest, sizeof(s->digest), "%016" PRIx64, bd_hash_value(s->hash));
	return false;
}

const char *bd_source_digest(const struct bd_source *s)
{
	return s->digest;
}
