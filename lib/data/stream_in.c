/* bds, the reading half: the sizes and values of each map are checked against the header; none is trusted. */
#include "base/guard.h"
#include "base/mem.h"
#include "data/stream_parts.h"

#include <stdio.h>
#include <string.h>

#define MAX_VOCAB ((int64_t)1 << 24)
#define MAX_WIDTH ((int64_t)1 << 20)

/* ---- header ---- */

static void teacher_head(struct bd_source *s, struct bd_stream_head *h)
{
	static const char *const logits[] = {"none", "full", "top-k"};
	static const char *const positions[] = {BD_POSITIONS_LIST(BD_WORD_TEXT)};

	bd_source_hex(s, "teacher", h->teacher_digest);
	h->teacher_layers = (int)bd_source_int(s, "layers", 1, 4096);
	h->layer = (int)bd_source_int(s, "layer", -1, h->teacher_layers - 1);
	bd_source_u32s(s, "width", h->width, 3, MAX_WIDTH);
	bd_source_u32s(s, "heads", h->heads, 3, MAX_WIDTH);
	for (int i = 0; i < 3 && h->layer >= 0; i++)
		if (h->width[i] == 0 || h->heads[i] == 0 || h->width[i] % h->heads[i])
			BAD(s, "a width of %u cannot be divided into %u heads", h->width[i], h->heads[i]);
	if (!bd_source_is_str(bd_source_find(s, "dtype"), "f16"))
		BAD(s, "`dtype' of the states is not \"f16\"");
	h->states_f16 = h->layer >= 0;
	h->after_rope = bd_source_get(s, "rope", MSGPACK_OBJECT_BOOLEAN)->via.boolean;
	int kind = bd_source_word(s, "logits", logits, 3);
	h->logits = kind > 0;
	h->top_k = kind == 2 ? (uint32_t)bd_source_int(s, "top_k", 1, h->vocab) : 0;
	h->all_positions = bd_source_word(s, "positions", positions, 2) == BD_POSITIONS_ALL;
}

static void parse_head(struct bd_source *s)
{
	static const char *const kinds[] = {"examples", "teacher"};
	struct bd_stream_head *h = &s->head;
	int64_t version;
	const msgpack_object *o = bd_source_find(s, "version");

	if (bd_source_find(s, "bd") == NULL || o == NULL || !bd_source_is_int(o, 0, INT32_MAX, &version))
		BAD(s, "this is not a bds stream");
	if (version != 1)
		BAD(s,
		    "version %" PRId64
		    " of the stream format is not supported, only 1; make the stream with this release",
		    version);
	h->teacher = bd_source_word(s, "bd", kinds, 2) == 1;
	h->layer = -1;
	bd_source_hex(s, "tokenizer", h->tokenizer);
	h->vocab = (uint32_t)bd_source_int(s, "vocab", 1, MAX_VOCAB);
	if ((o = bd_source_find(s, "template")) != NULL) {
		if (o->type != MSGPACK_OBJECT_MAP)
			BAD(s, "`template' is not a map");
		h->template_ = bd_source_json(s, o);
	}
	if (bd_source_find(s, "choices") != NULL) {
		h->n_choice = bd_source_get(s, "choices", MSGPACK_OBJECT_ARRAY)->via.array.size;
		h->choice = bd_alloc(h->n_choice + 1, sizeof(*h->choice));
		bd_source_u32s(s, "choices", h->choice, h->n_choice, (int64_t)h->vocab - 1);
	}
	if ((o = bd_source_find(s, "history")) != NULL) {
		if (o->type != MSGPACK_OBJECT_ARRAY)
			BAD(s, "`history' is not an array");
		h->history = bd_source_json(s, o);
	}
	if (bd_source_find(s, "examples") != NULL)
		h->examples = (uint64_t)bd_source_int(s, "examples", 1, INT64_MAX);
	if (h->teacher)
		teacher_head(s, h);
}

static void free_unpacked(void *p, size_t n)
{
	(void)n;
	msgpack_unpacked_destroy(p);
}

struct bd_source *bd_source_open(const char *path)
{
	struct bd_source *s = bd_zalloc(1, sizeof(*s));

	s->in = bd_in_open(path);
	msgpack_unpacked_init(&s->u);
	bd_guard_keep(&s->u, 0, free_unpacked);
	bd_source_take(s);
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
	bd_source_take(s);
	if (bd_hash64(s->p, s->n) != s->head_hash)
		BAD(s, "the header has changed since it was first read");
	bd_hash_free(s->hash);
	s->hash = bd_hash_new();
	bd_hash_add(s->hash, s->p, s->n);
}

void bd_source_close(struct bd_source *s)
{
	if (s == NULL)
		return;
	bd_in_close(s->in);
	bd_stream_head_free(&s->head);
	bd_hash_free(s->hash);
	bd_guard_drop(&s->u);
	msgpack_unpacked_destroy(&s->u);
	bd_free(s->p);
	bd_free(s);
}

const struct bd_stream_head *bd_source_head(const struct bd_source *s)
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

void bd_source_limit(struct bd_source *s, size_t context)
{
	s->context = context;
}

void bd_source_fits(const struct bd_source *s, const char tokenizer[33], uint32_t vocab, const char *model)
{
	const struct bd_stream_head *h = &s->head;

	if (strcmp(h->tokenizer, tokenizer))
		bd_die(BD_DATA,
		       "%s: made with tokenizer %.8s, but that of %s is %.8s; run bd-data with this model's "
		       "tokenizer",
		       bd_in_name(s->in), h->tokenizer, model, tokenizer);
	if (h->vocab > vocab)
		bd_die(BD_DATA, "%s: has a vocabulary of %u, but %s has one of %u", bd_in_name(s->in),
		       h->vocab, model, vocab);
}

/* ---- records ---- */

/* Token ids index tables later: none may reach beyond the vocabulary. */
static void check_ids(const struct bd_source *s, const uint32_t *id, size_t n)
{
	uint32_t max = 0;

	for (size_t i = 0; i < n; i++)
		max = id[i] > max ? id[i] : max;
	if (max >= s->head.vocab)
		BAD(s, "token id %u is outside the vocabulary of %u", max, s->head.vocab);
}

static void read_teacher(const struct bd_source *s, struct bd_record *r)
{
	static const char *const state_key[3] = {"q", "k", "v"};
	const struct bd_stream_head *h = &s->head;
	size_t P = r->positions, cols = h->top_k ? h->top_k : h->vocab;

	if (h->logits)
		r->z = bd_source_bin(s, "z", P * cols, sizeof(*r->z));
	if (h->logits && h->top_k) {
		r->zi = bd_source_bin(s, "zi", P * cols, sizeof(*r->zi));
		r->zr = bd_source_bin(s, "zr", P, sizeof(*r->zr));
		check_ids(s, r->zi, P * cols);
	}
	for (int i = 0; i < 3 && h->layer >= 0; i++)
		r->state[i] = bd_source_bin(s, state_key[i], r->n * h->width[i], sizeof(*r->state[i]));
}

static void read_record(const struct bd_source *s, struct bd_record *r)
{
	const struct bd_stream_head *h = &s->head;
	size_t bytes = bd_source_get(s, "ids", MSGPACK_OBJECT_BIN)->via.bin.size;

	if (bytes == 0 || bytes % 4)
		BAD(s, "`ids' has %zu bytes, which is not a whole number of tokens", bytes);
	if ((uint64_t)bd_source_int(s, "i", 0, INT64_MAX) != s->records)
		BAD(s, "example %" PRIu64 " was expected here", s->records);
	r->index = s->records;
	r->n = bytes / 4;
	if (s->context && r->n > s->context)
		bd_die(BD_DATA,
		       "%s: example %" PRIu64 " has %zu tokens, but the model's context is %zu; bd-data "
		       "--truncate cuts such rows, and --pack divides text",
		       bd_in_name(s->in), s->records, r->n, s->context);
	r->ids = bd_source_bin(s, "ids", r->n, sizeof(*r->ids));
	check_ids(s, r->ids, r->n);
	r->target = bd_source_bin(s, "target", r->n, 1);
	size_t targets = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (r->target[i] > 1 || (i == 0 && r->target[0]))
			BAD(s, "`target' marks token %zu with %u", i, r->target[i]);
		targets += r->target[i];
	}
	r->positions = h->all_positions ? r->n - 1 : targets;
	int64_t top = h->n_choice ? (int64_t)h->n_choice - 1 : INT32_MAX;
	r->label = bd_source_find(s, "label") != NULL ? (int32_t)bd_source_int(s, "label", 0, top) : -1;
	if (bd_source_find(s, "ref") != NULL) {
		const msgpack_object_str *t = &bd_source_get(s, "ref", MSGPACK_OBJECT_STR)->via.str;

		r->ref = bd_strndup(t->ptr, t->size);
	}
	if (h->teacher)
		read_teacher(s, r);
}

/* A check record: the hash of all bytes before it. */
static void verify(const struct bd_source *s)
{
	uint64_t check = bd_source_get(s, "check", MSGPACK_OBJECT_POSITIVE_INTEGER)->via.u64;
	uint64_t records = bd_source_get(s, "records", MSGPACK_OBJECT_POSITIVE_INTEGER)->via.u64;

	if (records != s->records)
		BAD(s,
		    "the check counts %" PRIu64 " examples, but there were %" PRIu64
		    "; the stream is damaged",
		    records, s->records);
	if (!bd_hash_agrees(check, bd_hash_value(s->hash)))
		BAD(s, "the checksum of the preceding bytes is wrong; the stream is damaged");
}

bool bd_source_next(struct bd_source *s, struct bd_record *r)
{
	bd_record_free(r);
	while (!s->ended) {
		bd_source_take(s);
		if (bd_source_find(s, "check") != NULL) {
			verify(s);
			s->ended = bd_source_find(s, "end") != NULL;
		} else {
			read_record(s, r);
			s->records++;
		}
		bd_hash_add(s->hash, s->p, s->n);
		if (r->n)
			return true;
	}
	if (s->head.examples && s->head.examples != s->records)
		bd_die(BD_DATA, "%s: the header announces %" PRIu64 " examples, but there were %" PRIu64,
		       bd_in_name(s->in), s->head.examples, s->records);
	char more;
	if (bd_in_read(s->in, &more, 1))
		bd_die(BD_DATA, "%s: byte %" PRIu64 ": the stream continues after its end record",
		       bd_in_name(s->in), bd_in_offset(s->in) - 1);
	snprintf(s->digest, sizeof(s->digest), "%016" PRIx64, bd_hash_value(s->hash));
	return false;
}

const char *bd_source_digest(const struct bd_source *s)
{
	return s->digest;
}
