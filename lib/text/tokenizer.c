/* Tokenizers: tokenizer.json's parts put together, and from ids to text. */
#include "text/tokenizer.h"

#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/msg.h"
#include "format/gguf.h"
#include "text/tok_gguf.h"
#include "text/tok_parts.h"

#include <inttypes.h>
#include <string.h>

/* Added tokens share ids with the vocabulary only where the spelling is the same. */
static void check_added(const struct bd_tok *t, const char *name)
{
	for (size_t i = 0; i < t->added.n; i++) {
		const struct bd_added *a = &t->added.token[i];
		int64_t id = bd_vocab_find(t->vocab, a->text, a->n);
		bool taken = a->id < t->vocab->size && t->vocab->entry[a->id].text != NULL;

		if (id >= 0 ? id != a->id : taken)
			bd_die(BD_DATA,
			       "%s: added_tokens: \"%s\" has id %" PRIu32
			       ", which disagrees with the vocabulary",
			       name, a->text, a->id);
	}
}

/* The digest of everything that affects the ids and the text, whatever the layout of the file. */
static void digest(struct bd_tok *t, const json_t *root)
{
	static const char *const steps[] = {"added_tokens", "normalizer", "pre_tokenizer", "post_processor",
	                                    "decoder"};
	static const char *const flags[] = {"unk_token", "fuse_unk", "byte_fallback", "ignore_merges"};
	const json_t *model = bd_json_get(root, "model");
	struct bd_buf b = {0};

	for (uint32_t id = 0; id < t->vocab->size; id++)
		if (t->vocab->entry[id].text != NULL) {
			bd_buf_add(&b, &id, sizeof(id));
			bd_buf_add(&b, t->vocab->entry[id].text, t->vocab->entry[id].text_n + 1);
		}
	for (size_t i = 0; i < bd_bpe_merges(t->bpe); i++) {
		uint32_t pair[2];

		bd_bpe_merge_at(t->bpe, i, pair);
		bd_buf_add(&b, pair, sizeof(pair));
	}
	for (size_t i = 0; i < 9; i++) {
		const json_t *j = i < 5 ? bd_json_get(root, steps[i]) : bd_json_get(model, flags[i - 5]);
		char *text = j == NULL || json_is_false(j) ? bd_strdup("") : bd_json_text(j, false);

		bd_buf_fmt(&b, "%s\n", text);
		bd_free(text);
	}
	bd_hash128_hex(b.p, b.n, t->digest);
	bd_buf_free(&b);
}

/* Checks that the tokens of the post-processor exist. */
static void check_post(const struct bd_tok *t, const struct bd_ids *ids, const char *name)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->id[i] >= bd_tok_vocab(t))
			bd_die(BD_DATA, "%s: post_processor: id %" PRIu32 " is outside the vocabulary", name,
			       ids->id[i]);
}

/* json[n] is the text of root, and owned by t from now on. */
static struct bd_tok *from_json(const json_t *root, char *json, size_t n, const char *name)
{
	struct bd_tok *t = bd_zalloc(1, sizeof(*t));

	if (!json_is_object(root) || !json_is_object(bd_json_get(root, "model")))
		bd_die(BD_DATA, "%s: no \"model\": this is not a tokenizer.json", name);
	if (bd_json_get(root, "truncation") != NULL || bd_json_get(root, "padding") != NULL)
		bd_warn("%s: its truncation and padding are not applied", name);
	t->json = json;
	t->json_n = n;
	bd_tok_norm_parse(&t->norm, bd_json_get(root, "normalizer"), name);
	bd_pre_parse(&t->pre, bd_json_get(root, "pre_tokenizer"), name);
	bd_post_parse(&t->post, bd_json_get(root, "post_processor"), name);
	bd_dec_parse(&t->dec, bd_json_get(root, "decoder"), name);
	t->bpe = bd_bpe_new(bd_json_get(root, "model"), t->pre.byte_level, name);
	t->vocab = bd_bpe_vocab(t->bpe);
	bd_added_read(&t->added, bd_json_get(root, "added_tokens"), &t->norm, name);
	check_added(t, name);
	check_post(t, &t->post.front, name);
	check_post(t, &t->post.back, name);
	digest(t, root);
	return t;
}

struct bd_tok *bd_tok_parse(const char *json, size_t n, const char *name)
{
	json_t *root = bd_json_parse(json, n, name);
	struct bd_tok *t = from_json(root, bd_strndup(json, n), n, name);

	json_decref(root);
	return t;
}

struct bd_tok *bd_tok_gguf(const struct bd_gguf *g, char **why)
{
	const char *name = bd_gguf_path(g);
	struct bd_tok *t;
	json_t *root;
	size_t n;

	*why = NULL;
	if (bd_gguf_has(g, "tokenizer.huggingface.json")) {
		const char *json = bd_gguf_str(g, "tokenizer.huggingface.json", &n);

		return bd_tok_parse(json, n, name);
	}
	root = bd_tok_gguf_json(g, why);
	if (root == NULL)
		return NULL;
	char *text = bd_json_text(root, false);
	t = from_json(root, text, strlen(text), name);
	t->rebuilt = true;
	json_decref(root);
	return t;
}

static struct bd_tok *from_gguf(const char *path)
{
	struct bd_gguf *g = bd_gguf_open(path);
	char *why;
	struct bd_tok *t = bd_tok_gguf(g, &why);

	if (t == NULL)
		bd_die(BD_DATA, "%s: %s", path, why);
	bd_gguf_close(g);
	return t;
}

static struct bd_tok *from_dir(const char *dir)
{
	char *file = bd_path(dir, "tokenizer.json");
	size_t n;
	char *text = bd_read_file(file, &n);
	json_t *root = bd_json_parse(text, n, file);

	if (bd_post_complete(root, dir)) {
		bd_free(text);
		text = bd_json_text(root, false);
		n = strlen(text);
	}
	struct bd_tok *t = from_json(root, text, n, file);
	json_decref(root);
	bd_free(file);
	return t;
}

struct bd_tok *bd_tok_open(const char *path)
{
	if (bd_is_dir(path))
		return from_dir(path);
	struct bd_map m = bd_map_file(path);
	bool gguf = m.n >= 4 && !memcmp(m.p, "GGUF", 4);
	struct bd_tok *t = gguf ? from_gguf(path) : bd_tok_parse((const char *)m.p, m.n, path);
	bd_unmap(&m);
	return t;
}

void bd_tok_free(struct bd_tok *t)
{
	if (t == NULL)
		return;
	bd_tok_norm_free(&t->norm);
	bd_pre_free(&t->pre);
	bd_post_free(&t->post);
	bd_bpe_free(t->bpe);
	bd_added_free(&t->added);
	bd_dec_free(&t->dec);
	bd_free(t->json);
	bd_free(t);
}

static const char *spelling(const struct bd_tok *t, uint32_t id, size_t *n)
{
	if (id < t->vocab->size && t->vocab->entry[id].text != NULL) {
		*n = t->vocab->entry[id].text_n;
		return t->vocab->entry[id].text;
	}
	const struct bd_added *a = bd_added_at(&t->added, id);
	*n = a != NULL ? a->n : 0;
	return a != NULL ? a->text : NULL;
}

/* What the decoder sees of a token: for added tokens that are found in normal form, that form. */
static const char *decoded(const struct bd_tok *t, uint32_t id, size_t *n)
{
	const struct bd_added *a = t->added.normal.n ? bd_added_at(&t->added, id) : NULL;

	if (a == NULL || !a->normalized)
		return spelling(t, id, n);
	*n = a->pattern_n;
	return a->pattern;
}

/* Hugging Face compares what the decoder sees with the special tokens' spelling: one whose normal
 * form differs stays. */
static bool left_out(const struct bd_tok *t, uint32_t id, const char *text, size_t n)
{
	const struct bd_added *a = bd_added_at(&t->added, id);

	return a != NULL && a->special && a->n == n && !memcmp(a->text, text, n);
}

void bd_tok_decode(const struct bd_tok *t, const uint32_t *id, size_t n, bool special, struct bd_buf *out)
{
	struct bd_dec_state s = {0};

	for (size_t i = 0; i < n; i++) {
		size_t len;
		const char *text = decoded(t, id[i], &len);

		if (text != NULL && (special || !left_out(t, id[i], text, len)))
			bd_dec_token(&t->dec, &s, text, len, true, out);
	}
	bd_dec_end(&t->dec, &s, out);
}

void bd_tok_stream(const struct bd_tok *t, struct bd_tok_stream *s, uint32_t id, struct bd_buf *out)
{
	struct bd_dec_state d = {.started = s->started, .stripped = s->started ? t->dec.strip : 0};
	size_t len;
	const char *text = decoded(t, id, &len);

	if (text == NULL || bd_tok_special(t, id))
		return;
	bd_buf_add(&d.held, s->held, s->n);
	bd_dec_token(&t->dec, &d, text, len, false, out);
	s->n = d.held.n; /* the beginning of one character: at most 3 bytes */
	if (s->n)
		memcpy(s->held, d.held.p, s->n);
	s->started = true;
	bd_buf_free(&d.held);
}

bool bd_tok_rebuilt(const struct bd_tok *t)
{
	return t->rebuilt;
}

const char *bd_tok_digest(const struct bd_tok *t)
{
	return t->digest;
}

const char *bd_tok_json(const struct bd_tok *t, size_t *n)
{
	if (n != NULL)
		*n = t->json_n;
	return t->json;
}

uint32_t bd_tok_vocab(const struct bd_tok *t)
{
	uint32_t added = t->added.n ? t->added.token[t->added.n - 1].id + 1 : 0,
	         vocab = (uint32_t)t->vocab->size;

	return added > vocab ? added : vocab;
}

int64_t bd_tok_id(const struct bd_tok *t, const char *token)
{
	const struct bd_added *a = bd_added_spelled(&t->added, token);

	return a != NULL ? a->id : bd_vocab_find(t->vocab, token, strlen(token));
}

const char *bd_tok_text(const struct bd_tok *t, uint32_t id)
{
	size_t n;

	return spelling(t, id, &n);
}

bool bd_tok_special(const struct bd_tok *t, uint32_t id)
{
	const struct bd_added *a = bd_added_at(&t->added, id);

	return a != NULL && a->special;
}

bool bd_tok_added(const struct bd_tok *t, uint32_t id)
{
	return bd_added_at(&t->added, id) != NULL;
}

int64_t bd_tok_bos(const struct bd_tok *t)
{
	return t->post.front.n ? (int64_t)t->post.front.id[0] : -1;
}

const char *bd_tok_ggml_model(const struct bd_tok *t)
{
	return t->pre.byte_level ? "gpt2" : "llama";
}

const char *bd_tok_ggml_pre(const struct bd_tok *t)
{
	return t->pre.ggml;
}

size_t bd_tok_merges(const struct bd_tok *t)
{
	return bd_bpe_merges(t->bpe);
}

char *bd_tok_merge_at(const struct bd_tok *t, size_t i)
{
	uint32_t pair[2];

	bd_bpe_merge_at(t->bpe, i, pair);
	return bd_sprintf("%s %s", t->vocab->entry[pair[0]].text, t->vocab->entry[pair[1]].text);
}

bool bd_tok_is_byte(const struct bd_tok *t, uint32_t id)
{
	return bd_bpe_is_byte(t->bpe, id);
}
