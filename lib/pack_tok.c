/* The tokenizer's keys in a packed file: GGUF's own, for people and other programs, and the whole tokenizer.json for our reader. */
#include "pack_tok.h"

#include "chat.h"
#include "io.h"
#include "json.h"
#include "mem.h"
#include "tokenizer.h"

#include <string.h>

/* Kinds of token in GGUF. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, UNUSED = 5, BYTE = 6 };

static int32_t token_type(const struct bd_tok *tok, uint32_t id)
{
	const char *text = bd_tok_text(tok, id);

	if (text == NULL)
		return UNUSED;
	if (bd_tok_is_byte(tok, id))
		return BYTE;
	if (strcmp(text, "<unk>") == 0 && strcmp(bd_tok_ggml_model(tok), "llama") == 0)
		return UNKNOWN;
	return bd_tok_special(tok, id) ? CONTROL : NORMAL;
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
static void put_scores(struct bd_gguf_writer *w, const struct bd_tok *tok, char *const *merge, size_t n, size_t V)
{
	float *score = bd_alloc(V, sizeof(*score));

	for (size_t i = 0; i < V; i++)
		score[i] = token_type(tok, (uint32_t)i) == NORMAL ? -(float)n : 0;
	for (size_t i = n; i-- > 0;) { /* of several ways to a token the first counts */
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

void bd_pack_tokenizer(struct bd_gguf_writer *w, const char *dir, const struct bd_config *c)
{
	char *path = bd_path(dir, "tokenizer.json"), *chat = bd_chat_source(dir);
	size_t V = (size_t)c->vocab;
	struct bd_tok *tok;

	if (bd_exists(path)) {
		tok = bd_tok_open(dir);
		bd_gguf_put_str(w, "tokenizer.ggml.model", bd_tok_ggml_model(tok));
		bd_gguf_put_str(w, "tokenizer.ggml.pre", bd_tok_ggml_pre(tok));
		put_tokens(w, tok, V);
		put_merges(w, tok, V);
		if (c->bos >= 0)
			bd_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)c->bos);
		if (c->n_eos > 0)
			bd_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", c->eos[0]);
		bd_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", bd_tok_bos(tok) >= 0);
		bd_gguf_put_str(w, "tokenizer.huggingface.json", bd_tok_json(tok, NULL));
		if (chat != NULL)
			bd_gguf_put_str(w, "tokenizer.chat_template", chat);
		bd_tok_free(tok);
	}
	bd_free(chat);
	bd_free(path);
}
