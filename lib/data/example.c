/* Examples: prompts with answers, documents, and documents packed to one length. */
#include "data/example.h"

#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf.h"

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

/* "eos_token_id": a number or a list, of which the first is used. */
static int64_t eos_of(const json_t *config)
{
	const json_t *j = bd_json_get(config, "eos_token_id");

	if (json_is_array(j))
		j = json_array_get(j, 0);
	return json_is_integer(j) ? json_integer_value(j) : -1;
}

/* "eos_token" of tokenizer_config.json: a string or an added token's object. That file may contain 1e30 as a
 * whole number. */
static int64_t eos_token_of(const char *dir, const struct bd_tok *tok)
{
	char *path = bd_path(dir, "tokenizer_config.json");
	json_t *config = json_load_file(path, JSON_DECODE_INT_AS_REAL, NULL);
	const json_t *j = bd_json_get(config, "eos_token");

	if (json_is_object(j))
		j = bd_json_get(j, "content");
	int64_t id = json_is_string(j) ? bd_tok_id(tok, json_string_value(j)) : -1;
	json_decref(config);
	bd_free(path);
	return id;
}

static void beside_files(const char *dir, const struct bd_tok *tok, struct bd_beside *b)
{
	json_t *generation = sibling(dir, "generation_config.json"), *config = sibling(dir, "config.json");

	b->eos = eos_of(generation);
	b->eos = b->eos >= 0 ? b->eos : eos_of(config);
	b->eos = b->eos >= 0 ? b->eos : eos_token_of(dir, tok);
	const json_t *text = bd_json_get(config, "text_config");
	b->vocab = (uint32_t)bd_json_int(text != NULL ? text : config, "vocab_size", b->vocab, 1, INT32_MAX,
	                                 "config.json");
	json_decref(generation);
	json_decref(config);
}

static void beside_gguf(const char *path, struct bd_beside *b)
{
	struct bd_gguf *g = bd_gguf_open(path);
	uint32_t type;
	const void *data;

	b->eos = (int64_t)bd_gguf_uint_or(g, "tokenizer.ggml.eos_token_id", UINT64_MAX);
	if (bd_gguf_has(g, "tokenizer.ggml.tokens"))
		b->vocab = (uint32_t)bd_gguf_array(g, "tokenizer.ggml.tokens", &type, &data);
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
		beside_files(dir, tok, &b);
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

/* Hands out ids[n], of which those from `first` are to be predicted. */
static void emit(struct bd_examples *e, const uint32_t *id, size_t n, size_t first, int label,
                 const char *ref)
{
	struct bd_record r = {
	    .n = n, .label = label, .ids = bd_alloc(n, sizeof(*r.ids)), .target = bd_zalloc(n, 1)};

	memcpy(r.ids, id, n * sizeof(*id));
	if (first < n)
		memset(r.target + first, 1, n - first);
	r.ref = ref != NULL ? bd_strdup(ref) : NULL;
	e->emit(e->ctx, &r);
	bd_record_free(&r);
}

static void prompt_ids(const struct bd_examples *e, const char *const *row, const char *where,
                       struct bd_buf *text, struct bd_ids *ids)
{
	bd_buf_clear(text);
	ids->n = 0;
	bd_template_prompt(e->template_, row, where, text);
	bd_tok_encode(e->tok, text->p, text->n, BD_TOK_BOS, ids);
}

/* Cuts the text at p, whose tokens are ids, to about `keep` tokens and to whole characters; always shortens
 * it. */
static void shorten(const struct bd_tok *tok, char *p, const struct bd_ids *ids, size_t keep)
{
	struct bd_buf head = {0};
	size_t n = strlen(p);

	bd_tok_decode(tok, ids->id, keep, true, &head);
	size_t cut = head.n < n ? head.n : n - 1;
	while (cut && ((unsigned char)p[cut] & 0xc0) == 0x80)
		cut--;
	p[cut] = '\0';
	bd_buf_free(&head);
}

/* Shortens the longest field of the prompt by `over` tokens; false if all are empty. */
static bool shorten_longest(const struct bd_examples *e, char **row, size_t over)
{
	struct bd_ids ids = {0}, longest = {0};
	size_t which = 0;

	for (size_t i = 0; i < bd_template_fields(e->template_); i++) {
		if (row[i] == NULL || !*row[i] || !bd_template_prompts(e->template_, i))
			continue;
		ids.n = 0;
		bd_tok_encode(e->tok, row[i], strlen(row[i]), BD_TOK_CONT, &ids);
		if (ids.n > longest.n) {
			struct bd_ids t = longest;

			longest = ids;
			ids = t;
			which = i;
		}
	}
	if (longest.n)
		shorten(e->tok, row[which], &longest, longest.n > over ? longest.n - over : 0);
	bool done = longest.n > 0;
	bd_ids_free(&ids);
	bd_ids_free(&longest);
	return done;
}

/* Makes the prompt fit into `room` tokens by cutting fields; false if even empty fields do not help. */
static bool fit(const struct bd_examples *e, const char *const *row, const char *where, size_t room,
                struct bd_buf *text, struct bd_ids *ids)
{
	size_t n = bd_template_fields(e->template_);
	char **shorter = bd_zalloc(n, sizeof(*shorter));
	bool more = true;

	for (size_t i = 0; i < n; i++)
		shorter[i] = row[i] != NULL ? bd_strdup(row[i]) : NULL;
	while (ids->n > room && (more = shorten_longest(e, shorter, ids->n - room)))
		prompt_ids(e, (const char *const *)shorter, where, text, ids);
	for (size_t i = 0; i < n; i++)
		bd_free(shorter[i]);
	bd_free(shorter);
	return more;
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

void bd_example_row(struct bd_examples *e, const char *const *row, const char *where)
{
	struct bd_buf prompt = {0}, answer = {0};
	struct bd_ids ids = {0}, tail = {0};
	int label = bd_template_label(e->template_, row, where);

	e->rows++;
	prompt_ids(e, row, where, &prompt, &ids);
	answer_ids(e, row, label, &answer, &tail);
	size_t before = ids.n, max = e->max_len ? e->max_len : SIZE_MAX;
	bool fits = tail.n < max && fit(e, row, where, max - tail.n, &prompt, &ids) && ids.n > 0;
	e->left_out += !fits;
	if (fits) {
		size_t first = ids.n;

		e->cut += first < before;
		e->cut_tokens += before - first;
		for (size_t i = 0; i < tail.n; i++)
			bd_ids_push(&ids, tail.id[i]);
		check_ids(e, &ids, where);
		const char *ref = answer.n ? answer.p + strspn(answer.p, " \n\t") : NULL;
		emit(e, ids.id, ids.n, first, label, ref);
	}
	bd_buf_free(&prompt);
	bd_buf_free(&answer);
	bd_ids_free(&ids);
	bd_ids_free(&tail);
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

void bd_example_text(struct bd_examples *e, const char *text, size_t n, const char *where)
{
	struct bd_ids ids = {0};

	bd_tok_encode(e->tok, text, n, BD_TOK_BOS, &ids);
	check_ids(e, &ids, where);
	if (e->max_len && ids.n > e->max_len) {
		e->cut++;
		e->cut_tokens += ids.n - e->max_len;
		ids.n = e->max_len;
	}
	if (!e->pack && ids.n < 2)
		e->left_out++; /* nothing to predict */
	else if (!e->pack)
		emit(e, ids.id, ids.n, 1, -1, NULL);
	else if (ids.n) {
		if (e->beside.eos < 0)
			bd_die(
			    BD_USAGE,
			    "no file beside the tokenizer names the end-of-text token; give it with --eos");
		if (e->packed++)
			bd_ids_push(&e->joined, (uint32_t)e->beside.eos);
		for (size_t i = 0; i < ids.n; i++)
			bd_ids_push(&e->joined, ids.id[i]);
		unpack(e);
	}
	e->rows++;
	bd_ids_free(&ids);
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
