/* The tokenizer's keys in a packed file: GGUF's own, for people and other programs, and the whole
 * tokenizer.json for our reader. */
#include "pack/pack_tok.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/chat.h"
#include "text/special.h"

#include <string.h>

/* Kinds of token in GGUF. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

static int32_t token_type(const struct bd_tok *tok, uint32_t id)
{
	const char *text = bd_tok_text(tok, id);

	if (text == NULL)
		return UNUSED;
	if (bd_tok_is_byte(tok, id))
		return BYTE;
	if (strcmp(text, "<unk>") == 0 && strcmp(bd_tok_ggml_model(tok), "llama") == 0)
		return UNKNOWN;
	if (bd_tok_special(tok, id))
		return CONTROL;
	return bd_tok_added(tok, id) ? USER_DEFINED : NORMAL;
}

static void put_tokens(struct bd_gguf_writer *w, const struct bd_tok *tok, size_t V)
{
	char **text = bd_alloc(V, sizeof(*text));
	int32_t *type = bd_alloc(V, sizeof(*type));

	for (size_t i = 0; i < V; i++) {
		const char *s = bd_tok_text(tok, (uint32_t)i);

		text[i] = s != NULL ? bd_strdup(s) : bd_sprintf("[PAD%zu]", i);
		type[i] = token_type(tok, (uint32_t)i);
	}
	bd_gguf_put_strs(w, "tokenizer.ggml.tokens", (const char *const *)text, V);
	bd_gguf_put_i32s(w, "tokenizer.ggml.token_type", type, V);
	for (size_t i = 0; i < V; i++)
		bd_free(text[i]);
	bd_free(text);
	bd_free(type);
}

/* scores[V] of a SentencePiece-like vocabulary: minus the rank of the merge that makes the token. */
static void put_scores(struct bd_gguf_writer *w, const struct bd_tok *tok, char *const *merge, size_t n,
                       size_t V)
{
	float *score = bd_alloc(V, sizeof(*score));

	for (size_t i = 0; i < V; i++)
		score[i] = token_type(tok, (uint32_t)i) == NORMAL ? -(float)n : 0;
	for (size_t i = n; i-- > 0;) { /* if several merges make a token, the first counts */
		char *both = bd_strdup(merge[i]), *space = strchr(both, ' ');
		int64_t id;

		if (space != NULL)
			memmove(space, space + 1, strlen(space));
		id = bd_tok_id(tok, both);
		if (id >= 0 && (size_t)id < V)
			score[id] = -(float)i;
		bd_free(both);
	}
	bd_gguf_put_f32s(w, "tokenizer.ggml.scores", score, V);
	bd_free(score);
}

static void put_merges(struct bd_gguf_writer *w, const struct bd_tok *tok, size_t V)
{
	size_t n = bd_tok_merges(tok);
	char **merge = bd_alloc(n + 1, sizeof(*merge));

	for (size_t i = 0; i < n; i++)
		merge[i] = bd_tok_merge_at(tok, i);
	if (strcmp(bd_tok_ggml_model(tok), "gpt2") == 0)
		bd_gguf_put_strs(w, "tokenizer.ggml.merges", (const char *const *)merge, n);
	else
		put_scores(w, tok, merge, n, V);
	for (size_t i = 0; i < n; i++)
		bd_free(merge[i]);
	bd_free(merge);
}

static void put_id(struct bd_gguf_writer *w, const char *key, int64_t id, size_t V)
{
	if (id >= 0 && (size_t)id < V)
		bd_gguf_put_u32(w, key, (uint32_t)id);
}

/* Id of the token that tokenizer_config.json has under this key; -1: none. */
static int64_t named(const struct bd_tok *tok, const json_t *config, const char *key)
{
	const char *text = bd_token_of(config, key);

	return text != NULL ? bd_tok_id(tok, text) : -1;
}

static void put_specials(struct bd_gguf_writer *w, const struct bd_tok *tok, const char *dir,
                         const struct bd_config *c)
{
	const struct bd_special *s = &c->special;
	json_t *config = bd_tokenizer_config(dir);
	size_t V = (size_t)c->vocab;

	put_id(w, "tokenizer.ggml.bos_token_id", s->bos >= 0 ? s->bos : bd_tok_bos(tok), V);
	put_id(w, "tokenizer.ggml.eos_token_id", s->n_eos > 0 ? (int64_t)s->eos[0] : -1, V);
	put_id(w, "tokenizer.ggml.padding_token_id", s->pad >= 0 ? s->pad : named(tok, config, "pad_token"),
	       V);
	put_id(w, "tokenizer.ggml.unknown_token_id", named(tok, config, "unk_token"), V);
	bd_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", bd_tok_bos(tok) >= 0);
	bd_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", false);
	json_decref(config);
}

/* Whether a text gets a space at its beginning, like SentencePiece's dummy prefix. */
static bool space_prefix(const struct bd_tok *tok)
{
	struct bd_ids ids = {0};
	bool space = false;

	bd_tok_encode(tok, "a", 1, 0, &ids);
	if (ids.n > 0)
		/* U+2581 stands for a space */
		space = strncmp(bd_tok_text(tok, ids.id[0]), "\xe2\x96\x81", 3) == 0;
	bd_ids_free(&ids);
	return space;
}

static void put(struct bd_gguf_writer *w, const struct bd_tok *tok, const char *dir,
                const struct bd_config *c)
{
	char *chat = bd_chat_source(dir);
	size_t V = (size_t)c->vocab;

	bd_gguf_put_str(w, "tokenizer.ggml.model", bd_tok_ggml_model(tok));
	bd_gguf_put_str(w, "tokenizer.ggml.pre", bd_tok_ggml_pre(tok));
	put_tokens(w, tok, V);
	put_merges(w, tok, V);
	put_specials(w, tok, dir, c);
	if (strcmp(bd_tok_ggml_model(tok), "llama") == 0)
		bd_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", space_prefix(tok));
	bd_gguf_put_str(w, "tokenizer.huggingface.json", bd_tok_json(tok, NULL));
	if (chat != NULL)
		bd_gguf_put_str(w, "tokenizer.chat_template", chat);
	bd_free(chat);
}

void bd_pack_tokenizer(struct bd_gguf_writer *w, const char *dir, const struct bd_config *c,
                       const struct bd_tok *pruned)
{
	char *path = bd_path(dir, "tokenizer.json");
	struct bd_tok *tok;

	if (pruned != NULL) {
		put(w, pruned, dir, c);
	} else if (bd_exists(path)) {
		tok = bd_tok_open(dir);
		put(w, tok, dir, c);
		bd_tok_free(tok);
	}
	bd_free(path);
}
