/* bds, the reading half: the sizes and values of each map are checked against the header; none is trusted. */
#include "base/guard.h"
#include "base/mem.h"
#include "data/stream_parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_VOCAB  ((int64_t)1 << 24)
#define MAX_WIDTH  ((int64_t)1 << 20)
#define MAX_SAMPLE ((int64_t)1 << 20)

/* ---- header ---- */

static void teacher_head(struct bd_source *s, struct bd_stream_head *h)
{
	static const char *const logits[] = {"none", "full", "top-k", "sample"};
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
	int kind = bd_source_word(s, "logits", logits, 4);
	h->logits = kind > 0;
	h->top_k = kind == 2 ? (uint32_t)bd_source_int(s, "top_k", 1, h->vocab) : 0;
	h->sample = kind == 3 ? (uint32_t)bd_source_int(s, "sample", 1, MAX_SAMPLE) : 0;
	h->tau = bd_source_real(s, "tau", 1, 1e-6, 1e6);
	h->all_positions = bd_source_word(s, "positions", positions, 2) == BD_POSITIONS_ALL;
}

static void parse_head(struct bd_source *s, struct bd_stream_head *h)
{
	static const char *const kinds[] = {"examples", "teacher"};
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
	if (bd_source_find(s, "shard") != NULL) {
		uint32_t shard[2];

		bd_source_u32s(s, "shard", shard, 2, INT32_MAX);
		if (shard[0] == 0 || shard[0] > shard[1])
			BAD(s, "`shard' is %u of %u", shard[0], shard[1]);
		h->shard = shard[0];
		h->shards = shard[1];
	}
	if (h->teacher)
		teacher_head(s, h);
}

/* ---- parts ---- */

static bool same_json(const json_t *a, const json_t *b)
{
	return (a == NULL && b == NULL) || json_equal(a, b);
}

/* What keeps part i, whose header is h, from following the others; NULL: nothing. */
static const char *stranger(const struct bd_source *s, const struct bd_stream_head *h, size_t i)
{
	const struct bd_stream_head *o = &s->head;

	if (h->teacher != o->teacher)
		return "one is an example stream, the other a teacher stream";
	if (strcmp(h->tokenizer, o->tokenizer) != 0 || h->vocab != o->vocab)
		return "they were made with different tokenizers";
	if (!same_json(h->template_, o->template_) || h->n_choice != o->n_choice ||
	    (o->n_choice && memcmp(h->choice, o->choice, o->n_choice * sizeof(*o->choice)) != 0))
		return "they were made with different templates";
	if (strcmp(h->teacher_digest, o->teacher_digest) != 0)
		return "they come from different teachers";
	if (h->layer != o->layer || h->top_k != o->top_k || h->sample != o->sample || h->tau != o->tau ||
	    h->logits != o->logits || h->all_positions != o->all_positions ||
	    h->after_rope != o->after_rope || memcmp(h->width, o->width, sizeof(o->width)) != 0 ||
	    memcmp(h->heads, o->heads, sizeof(o->heads)) != 0)
		return "their logits or states differ in kind";
	if (h->shards != o->shards || (h->shards && h->shard != i + 1))
		return "give all shards of one whole, in order";
	return NULL;
}

/* Begins part i, which is open; its header becomes that of all, or is compared with it. */
static void read_head(struct bd_source *s, size_t i)
{
	struct bd_source_part *p = &s->part[i];
	struct bd_stream_head h = {0};
	uint64_t hash;
	const char *why;

	s->at_part = i;
	s->records = 0;
	s->ended = false;
	bd_source_take(s);
	hash = bd_hash64(s->p, s->n);
	if (p->opened && hash != p->head_hash)
		BAD(s, "the header has changed since it was first read");
	if (!p->opened) {
		parse_head(s, &h);
		p->examples = h.examples;
		p->history = json_incref(h.history);
		if (i == 0)
			s->head = h;
		else if ((why = stranger(s, &h, i)) != NULL)
			bd_die(BD_DATA, "%s: does not go together with %s: %s", bd_in_name(s->in),
			       s->part[0].path, why);
		else
			bd_stream_head_free(&h);
	}
	p->opened = true;
	p->head_hash = hash;
	bd_hash_free(s->hash);
	s->hash = bd_hash_new();
	bd_hash_add(s->hash, s->p, s->n);
}

static void open_part(struct bd_source *s, size_t i)
{
	bd_in_close(s->in);
	s->in = NULL;
	s->in = bd_in_open(s->part[i].path);
	read_head(s, i);
}

static void free_unpacked(void *p, size_t n)
{
	(void)n;
	msgpack_unpacked_destroy(p);
}

/* With the first part open. */
static struct bd_source *source_new(struct bd_parts parts)
{
	struct bd_source *s = bd_zalloc(1, sizeof(*s));

	s->parts = parts.n;
	s->part = bd_zalloc(parts.n, sizeof(*s->part));
	for (size_t i = 0; i < parts.n; i++)
		s->part[i].path = bd_strdup(parts.path[i]);
	msgpack_unpacked_init(&s->u);
	bd_guard_keep(&s->u, 0, free_unpacked);
	open_part(s, 0);
	s->regular = bd_in_seekable(s->in);
	return s;
}

struct bd_source *bd_source_open(const char *path)
{
	return source_new(BD_PART(path != NULL ? path : "-"));
}

/* Dies if the parts are not distinct files; true: all can be opened again. */
static bool distinct_files(struct bd_parts parts)
{
	struct stat *st = bd_zalloc(parts.n, sizeof(*st));
	bool regular = true;

	for (size_t i = 0; i < parts.n; i++) {
		bool standard = strcmp(parts.path[i], "-") == 0;

		if ((standard ? fstat(STDIN_FILENO, &st[i]) : stat(parts.path[i], &st[i])) != 0)
			continue; /* opening it says why */
		regular = regular && !standard && S_ISREG(st[i].st_mode);
		for (size_t k = 0; k < i; k++)
			if (st[k].st_dev == st[i].st_dev && st[k].st_ino == st[i].st_ino)
				bd_die(BD_DATA, "%s: the same file as %s; each part is to be given once",
				       parts.path[i], parts.path[k]);
	}
	bd_free(st);
	return regular;
}

/* The headers of files are compared now, those of pipes when their turn comes. */
struct bd_source *bd_source_join(struct bd_parts parts)
{
	struct bd_source *s = source_new(parts.n ? parts : BD_PART("-"));
	struct bd_stream_head *h = &s->head;

	if (h->shards && (h->shard != 1 || h->shards != s->parts))
		bd_die(BD_DATA, "%s: shard %u of %u; give all shards of the whole, in order", s->part[0].path,
		       h->shard, h->shards);
	if (s->parts == 1)
		return s;
	s->regular = distinct_files(parts);
	for (size_t i = 1; s->regular && i < s->parts; i++) {
		open_part(s, i);
		h->examples = h->examples && s->part[i].examples ? h->examples + s->part[i].examples : 0;
	}
	if (s->regular)
		open_part(s, 0);
	else
		h->examples = 0;
	return s;
}

void bd_source_rewind(struct bd_source *s)
{
	s->before = 0;
	if (s->parts > 1) {
		open_part(s, 0);
	} else {
		bd_in_rewind(s->in); /* of standard input, it may begin inside the file */
		read_head(s, 0);
	}
}

void bd_source_close(struct bd_source *s)
{
	if (s == NULL)
		return;
	bd_in_close(s->in);
	for (size_t i = 0; i < s->parts; i++) {
		bd_free(s->part[i].path);
		json_decref(s->part[i].history);
	}
	bd_free(s->part);
	bd_stream_head_free(&s->head);
	bd_free(s->to);
	bd_free(s->other.choice);
	bd_free(s->kept_by);
	bd_hash_free(s->hash);
	bd_guard_drop(&s->u);
	msgpack_unpacked_destroy(&s->u);
	bd_free(s->p);
	bd_free(s);
}

const struct bd_stream_head *bd_source_head(const struct bd_source *s)
{
	return s->to != NULL ? &s->other : &s->head;
}

const char *bd_source_name(const struct bd_source *s)
{
	return bd_in_name(s->in);
}

bool bd_source_seekable(const struct bd_source *s)
{
	return s->regular;
}

void bd_source_limit(struct bd_source *s, size_t context)
{
	s->context = context;
}

void bd_source_fits(const struct bd_source *s, const char tokenizer[33], uint32_t vocab, const char *model)
{
	const struct bd_stream_head *h = bd_source_head(s);

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
	size_t P = r->positions, listed = bd_stream_listed(h), cols = h->top_k ? h->top_k : h->vocab;
	const char *broken;

	if (h->logits && !h->sample)
		r->z = bd_source_bin(s, "z", P * cols, sizeof(*r->z));
	if (h->logits && listed > 0) {
		r->zi = bd_source_bin(s, "zi", P * listed, sizeof(*r->zi));
		r->zr = bd_source_bin(s, "zr", P, sizeof(*r->zr));
		check_ids(s, r->zi, P * listed);
	}
	for (int i = 0; i < 3 && h->layer >= 0; i++)
		r->state[i] = bd_source_bin(s, state_key[i], r->n * h->width[i], sizeof(*r->state[i]));
	broken = bd_record_broken(h, r);
	if (broken != NULL)
		BAD(s, "example %" PRIu64 ": `%s' has a number that is not finite; the teacher is broken",
		    s->records, broken);
}

static void read_record(const struct bd_source *s, struct bd_record *r)
{
	const struct bd_stream_head *h = &s->head;
	size_t bytes = bd_source_get(s, "ids", MSGPACK_OBJECT_BIN)->via.bin.size;

	if (bytes == 0 || bytes % 4)
		BAD(s, "`ids' has %zu bytes, which is not a whole number of tokens", bytes);
	if ((uint64_t)bd_source_int(s, "i", 0, INT64_MAX) != s->records)
		BAD(s, "example %" PRIu64 " was expected here", s->records);
	r->index = s->before + s->records;
	r->n = bytes / 4;
	if (s->context && r->n > s->context)
		bd_die(BD_DATA,
		       "%s: example %" PRIu64 " has %zu tokens, but the model's context is %zu; bd-data "
		       "--truncate cuts such rows, and --pack divides text",
		       bd_in_name(s->in), r->index, r->n, s->context);
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

/* Takes the rest of this part up to its next record; false at its end. */
static bool next_here(struct bd_source *s, struct bd_record *r)
{
	while (!s->ended) {
		bd_source_take(s);
		if (bd_source_find(s, "check") != NULL) {
			verify(s);
			s->ended = bd_source_find(s, "end") != NULL;
			if (s->ended && !bd_source_get(s, "end", MSGPACK_OBJECT_BOOLEAN)->via.boolean)
				BAD(s, "`end' is not true");
		} else {
			read_record(s, r);
			s->records++;
		}
		bd_hash_add(s->hash, s->p, s->n);
		if (r->n)
			return true;
	}
	return false;
}

/* What must hold at the end of a part. */
static void end_part(struct bd_source *s)
{
	struct bd_source_part *p = &s->part[s->at_part];
	char more;

	if (p->examples && p->examples != s->records)
		bd_die(BD_DATA, "%s: the header announces %" PRIu64 " examples, but there were %" PRIu64,
		       bd_in_name(s->in), p->examples, s->records);
	if (bd_in_read(s->in, &more, 1))
		bd_die(BD_DATA, "%s: byte %" PRIu64 ": the stream continues after its end record",
		       bd_in_name(s->in), bd_in_offset(s->in) - 1);
	snprintf(p->digest, sizeof(p->digest), "%016" PRIx64, bd_hash_value(s->hash));
}

bool bd_source_as_written(struct bd_source *s, struct bd_record *r)
{
	bd_record_free(r);
	for (;;) {
		if (next_here(s, r))
			return true;
		end_part(s);
		if (s->at_part + 1 == s->parts)
			return false;
		s->before += s->records;
		open_part(s, s->at_part + 1);
	}
}

struct bd_input *bd_source_inputs(const struct bd_source *s, const char *kind, size_t *n)
{
	struct bd_input *in = bd_zalloc(s->parts, sizeof(*in));

	for (size_t i = 0; i < s->parts; i++)
		in[i] = (struct bd_input){kind, s->part[i].digest, s->part[i].history};
	*n = s->parts;
	return in;
}
