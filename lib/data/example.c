/* Examples: prompts with answers, documents, and documents packed to one length. */
#include "data/example.h"

#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf.h"
#include "text/special.h"

#include <inttypes.h>
#include <string.h>

/* ---- files beside the tokenizer ---- */

/* dir/name if it exists, else NULL. */
static json_t *sibling(const char *dir, const char *name)
{
	char *path = bd_path(dir, name);
	json_t *j = bd_exists(path) ? bd_json_load(path) : NULL;

	bd_free(path);
	return j;
}

static int64_t first_eos(const struct bd_special *s)
{
	return s->n_eos > 0 ? (int64_t)s->eos[0] : -1;
}

static void beside_files(const char *dir, struct bd_beside *b)
{
	json_t *config = sibling(dir, "config.json");
	const json_t *text = bd_json_get(config, "text_config"), *c = text != NULL ? text : config;
	struct bd_special s = BD_SPECIAL_NONE;

	b->vocab = (uint32_t)bd_json_int(c, "vocab_size", b->vocab, 1, INT32_MAX, "config.json");
	b->context = (size_t)bd_json_int(c, "max_position_embeddings", 0, 1, INT32_MAX, "config.json");
	bd_special_config(&s, config, b->vocab, "config.json");
	bd_special_dir(&s, dir, b->vocab);
	b->eos = first_eos(&s);
	json_decref(config);
}

/* "ARCHITECTURE.context_length", 0: unknown. */
static size_t gguf_context(const struct bd_gguf *g)
{
	uint64_t n = 0;

	if (bd_gguf_has(g, "general.architecture")) {
		char *key = bd_sprintf("%s.context_length", bd_gguf_str_or(g, "general.architecture", ""));

		n = bd_gguf_uint_or(g, key, 0);
		bd_free(key);
	}
	return (size_t)n;
}

static void beside_gguf(const char *path, struct bd_beside *b)
{
	struct bd_gguf *g = bd_gguf_open(path);
	struct bd_special s;
	uint32_t type;
	const void *data;

	b->context = gguf_context(g);
	if (bd_gguf_has(g, "tokenizer.ggml.tokens"))
		b->vocab = (uint32_t)bd_gguf_array(g, "tokenizer.ggml.tokens", &type, &data);
	bd_special_gguf(&s, g, b->vocab);
	b->eos = first_eos(&s);
	bd_gguf_close(g);
}

struct bd_beside bd_beside(const char *path, const struct bd_tok *tok)
{
	struct bd_beside b = {.vocab = bd_tok_vocab(tok), .eos = -1};
	const char *slash = strrchr(path, '/');
	char *dir = bd_is_dir(path) ? bd_strdup(path)
	            : slash != NULL ? bd_strndup(path, (size_t)(slash - path) + 1)
	                            : bd_strdup(".");
	char magic[4] = {0};

	if (!bd_is_dir(path)) {
		struct bd_in *in = bd_in_open(path);

		bd_in_read(in, magic, sizeof(magic));
		bd_in_close(in);
	}
	if (!memcmp(magic, "GGUF", 4))
		beside_gguf(path, &b);
	else
		beside_files(dir, &b);
	bd_free(dir);
	return b;
}

/* ---- sequences ---- */

static void check_ids(const struct bd_examples *e, const struct bd_ids *ids, const char *where)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->id[i] >= e->beside.vocab)
			bd_die(BD_DATA,
			       "%s: token id %" PRIu32 " is outside the model's vocabulary of %" PRIu32,
			       where, ids->id[i], e->beside.vocab);
}

/* Hands out ids[n], of which those are to be predicted that target[n] marks; label -1 and ref NULL: none. */
static void emit_marked(struct bd_examples *e, const uint32_t *id, const uint8_t *target, size_t n, int label,
                        const char *ref)
{
	struct bd_record r = {
	    .n = n, .label = label, .ids = bd_alloc(n, sizeof(*r.ids)), .target = bd_alloc(n, 1)};

	memcpy(r.ids, id, n * sizeof(*id));
	memcpy(r.target, target, n);
	r.ref = ref != NULL ? bd_strdup(ref) : NULL;
	e->emit(e->ctx, &r);
	bd_record_free(&r);
}

/* The same with those from `first` on to be predicted. */
static void emit(struct bd_examples *e, const uint32_t *id, size_t n, size_t first, int label,
                 const char *ref)
{
	uint8_t *target = bd_zalloc(n, 1);

	if (first < n)
		memset(target + first, 1, n - first);
	emit_marked(e, id, target, n, label, ref);
	bd_free(target);
}

static void answer_ids(const struct bd_examples *e, const char *const *row, int label, struct bd_buf *text,
                       struct bd_ids *ids)
{
	if (label >= 0)
		for (size_t i = 0; i < e->choice[label].n; i++)
			bd_ids_push(ids, e->choice[label].id[i]);
	if (e->choice != NULL)
		return;
	bd_template_answer(e->template_, row, text);
	if (!text->n)
		return;
	bd_tok_encode(e->tok, text->p, text->n, BD_TOK_CONT, ids);
	if (e->beside.eos < 0)
		bd_die(BD_USAGE,
		       "no file beside the tokenizer names the end-of-text token; give it with --eos");
	bd_ids_push(ids, (uint32_t)e->beside.eos);
}

/* A row on its way to a record. */
struct building {
	struct bd_examples *e;
	const char *const *row;
	const char *where;
	const char *why; /* the kind of what is wrong if it fails now; NULL: the input as a whole is wrong */
	struct bd_buf answer;
	struct bd_ids ids, tail;
	int label;
	size_t before, first; /* tokens of the prompt before and after it was cut */
};

/* Rows without an answer are good for prediction, but hardly what somebody wants among others. */
static void check_answered(struct building *b)
{
	struct bd_examples *e = b->e;
	int answered = b->tail.n > 0 ? 1 : -1;
	const char *what = bd_template_classes(e->template_) ? "label" : "answer";

	b->why =
	    answered > 0 ? "with a label or answer, unlike the rows before" : "without a label or answer";
	if (e->answered == -answered)
		bd_die(BD_DATA, answered > 0 ? "%s: has the %s that the rows before lack" : "%s: has no %s",
		       b->where, what);
	e->answered = answered;
}

static void check_length(struct building *b)
{
	struct bd_examples *e = b->e;
	size_t n = b->ids.n + b->tail.n;

	b->why = "too long";
	if (e->max_len && n > e->max_len && e->cut_end == BD_CUT_NO)
		bd_die(BD_DATA,
		       "%s: %zu tokens, but the model's context is %zu; cut such rows with --truncate right, "
		       "or leave them out with --skip-bad",
		       b->where, n, e->max_len);
	b->why = "with an answer that leaves no room for the prompt";
	if (e->max_len &&
	    (b->tail.n >= e->max_len || !bd_prompt_fit(e->template_, e->tok, b->row, b->where,
	                                               e->max_len - b->tail.n, e->cut_end, &b->ids)))
		b->ids.n = 0;
}

static void build(void *ctx)
{
	struct building *b = ctx;
	struct bd_examples *e = b->e;

	b->why = "with an unknown label";
	b->label = bd_template_label(e->template_, b->row, b->where);
	b->why = "without a field of the prompt";
	bd_prompt_ids(e->template_, e->tok, b->row, b->where, &b->ids);
	b->before = b->ids.n;
	b->why = NULL;
	answer_ids(e, b->row, b->label, &b->answer, &b->tail);
	check_answered(b);
	check_length(b);
	b->first = b->ids.n;
	for (size_t i = 0; b->first > 0 && i < b->tail.n; i++)
		bd_ids_push(&b->ids, b->tail.id[i]);
	b->why = NULL;
	check_ids(e, &b->ids, b->where);
}

/* What a row needs is its own scope, so that one that fails leaves nothing behind. */
void bd_example_row(struct bd_examples *e, const char *const *row, const char *where)
{
	struct building b = {.e = e, .row = row, .where = where};
	struct bd_scope scope;
	int status;

	bd_scope_begin(&scope, NULL);
	e->rows++;
	status = bd_guard(&scope, build, &b);
	if (status && (!e->skip || b.why == NULL || status != BD_DATA))
		bd_die((enum bd_status)status, "%s", bd_guard_text());
	if (status) {
		bd_leftout_add(&e->left, b.why, bd_guard_text());
	} else if (b.first == 0) {
		bd_leftout_add(&e->left, b.why != NULL ? b.why : "without any token", where);
	} else {
		const char *ref = b.answer.n ? b.answer.p + strspn(b.answer.p, " \n\t") : NULL;

		e->cut += b.first < b.before;
		e->cut_tokens += b.before - b.first;
		emit(e, b.ids.id, b.ids.n, b.first, b.label, ref);
	}
	bd_scope_end(&scope);
}

/* Hands out the packed sequences that are full. */
static void unpack(struct bd_examples *e)
{
	size_t at = 0;

	for (; e->joined.n - at >= e->pack; at += e->pack)
		emit(e, e->joined.id + at, e->pack, 1, -1, NULL);
	e->joined.n -= at;
	if (at && e->joined.n)
		memmove(e->joined.id, e->joined.id + at, e->joined.n * sizeof(*e->joined.id));
}

/* Cuts ids[n] to max_len at the end asked for; on the left, behind the token that begins a text. */
static void cut_text(struct bd_examples *e, struct bd_ids *ids)
{
	int64_t bos = bd_tok_bos(e->tok);
	size_t keep = e->max_len, over = ids->n - keep, at = bos >= 0 && ids->id[0] == bos;

	e->cut++;
	e->cut_tokens += over;
	if (e->cut_end == BD_CUT_LEFT && at < keep)
		memmove(ids->id + at, ids->id + at + over, (keep - at) * sizeof(*ids->id));
	ids->n = keep;
}

/* A document's tokens at the end of those that are being packed. */
static void pack_text(struct bd_examples *e, const struct bd_ids *ids)
{
	if (e->beside.eos < 0)
		bd_die(BD_USAGE,
		       "no file beside the tokenizer names the end-of-text token; give it with --eos");
	if (e->packed++)
		bd_ids_push(&e->joined, (uint32_t)e->beside.eos);
	for (size_t i = 0; i < ids->n; i++)
		bd_ids_push(&e->joined, ids->id[i]);
	unpack(e);
}

void bd_example_text(struct bd_examples *e, const char *text, size_t n, const char *where)
{
	struct bd_ids ids = {0};

	bd_tok_encode(e->tok, text, n, BD_TOK_BOS, &ids);
	check_ids(e, &ids, where);
	e->rows++;
	if (e->max_len && ids.n > e->max_len && e->cut_end != BD_CUT_NO)
		cut_text(e, &ids);
	if (!e->pack && ids.n < 2)
		bd_leftout_add(&e->left, "of fewer than two tokens", where);
	else if (!e->pack)
		emit(e, ids.id, ids.n, 1, -1, NULL);
	else if (ids.n)
		pack_text(e, &ids);
	bd_ids_free(&ids);
}

/* A conversation on its way to a record. */
struct talking {
	struct bd_examples *e;
	const char *text, *where, *why;
	size_t n, from; /* the tokens from `from` on are left when it is cut */
	struct bd_ids ids;
	uint8_t *target; /* [ids.n] */
};

static void build_chat(void *ctx)
{
	struct talking *t = ctx;
	struct bd_examples *e = t->e;
	size_t over;

	t->why = "that are no conversations of this template";
	bd_conversation_ids(e->chat, e->tok, t->text, t->n, t->where, &t->ids, &t->target);
	over = e->max_len && t->ids.n > e->max_len ? t->ids.n - e->max_len : 0;
	t->why = "too long";
	if (over && e->cut_end == BD_CUT_NO)
		bd_die(BD_DATA,
		       "%s: %zu tokens, but the model's context is %zu; cut such rows with --truncate right, "
		       "or leave them out with --skip-bad",
		       t->where, t->ids.n, e->max_len);
	t->from = e->cut_end == BD_CUT_LEFT ? over : 0;
	t->ids.n -= over;
	t->target[t->from] = 0;
	t->why = "without an answer of the assistant";
	if (t->ids.n == 0 || memchr(t->target + t->from, 1, t->ids.n) == NULL)
		bd_die(BD_DATA, "%s: the assistant says nothing%s", t->where,
		       over ? " in what is left of it" : "");
	e->cut += over > 0;
	e->cut_tokens += over;
	t->why = NULL;
	check_ids(e, &t->ids, t->where);
}

void bd_example_chat(struct bd_examples *e, const char *text, size_t n, const char *where)
{
	struct talking t = {.e = e, .text = text, .n = n, .where = where};
	struct bd_scope scope;
	int status;

	bd_json_guard();
	bd_scope_begin(&scope, NULL);
	e->rows++;
	status = bd_guard(&scope, build_chat, &t);
	if (status && (!e->skip || t.why == NULL || status != BD_DATA))
		bd_die((enum bd_status)status, "%s", bd_guard_text());
	if (status)
		bd_leftout_add(&e->left, t.why, bd_guard_text());
	else
		emit_marked(e, t.ids.id + t.from, t.target + t.from, t.ids.n, -1, NULL);
	bd_scope_end(&scope);
}

void bd_example_end(struct bd_examples *e)
{
	if (e->joined.n >= 2)
		emit(e, e->joined.id, e->joined.n, 1, -1, NULL);
	bd_ids_free(&e->joined);
	for (size_t i = 0; e->choice != NULL && i < bd_template_classes(e->template_); i++)
		bd_ids_free(&e->choice[i]);
	bd_free(e->choice);
	e->choice = NULL;
}

json_t *bd_example_json(const struct bd_tok *tok, const struct bd_record *r)
{
	struct bd_buf text = {0};
	json_t *ids = json_array(), *target = json_array();

	bd_tok_decode(tok, r->ids, r->n, true, &text);
	for (size_t i = 0; i < r->n; i++) {
		json_array_append_new(ids, json_integer(r->ids[i]));
		json_array_append_new(target, json_integer(r->target[i]));
	}
	json_t *o = json_pack("{s:s%, s:o, s:o}", "text", text.p != NULL ? text.p : "", text.n, "ids", ids,
	                      "target", target);
	if (r->label >= 0)
		json_object_set_new(o, "label", json_integer(r->label));
	if (r->ref != NULL)
		json_object_set_new(o, "ref", json_string(r->ref));
	bd_buf_free(&text);
	return o;
}
