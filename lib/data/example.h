/* Examples: the token sequences that rows and documents become, and which of their tokens are to be
 * predicted. */
#ifndef BD_EXAMPLE_H
#define BD_EXAMPLE_H

#include "data/conversation.h"
#include "data/leftout.h"
#include "data/prompt.h"
#include "data/stream.h"
#include "data/template.h"
#include "text/tokenizer.h"

/* What the files beside a tokenizer say: the model's vocabulary (config.json, or a GGUF file's token list;
 * else the tokenizer's own), its context, and the first id that ends a text (special.h; -1: unknown). */
struct bd_beside {
	uint32_t vocab;
	int64_t eos;
	size_t context; /* max_position_embeddings; 0: unknown */
};
struct bd_beside bd_beside(const char *tokenizer_path, const struct bd_tok *tok);

typedef void bd_example_fn(void *ctx, const struct bd_record *r);

struct bd_examples {
	const struct bd_tok *tok;
	const struct bd_template *template_; /* NULL: plain text */
	const struct bd_chat *chat;          /* of conversations, or NULL */
	struct bd_ids *choice;               /* the classes' label tokens; NULL without classes */
	struct bd_beside beside;
	size_t max_len;      /* 0: no bound */
	enum bd_cut cut_end; /* of what is longer; BD_CUT_NO: it is bad */
	size_t pack;         /* 0: one document per sequence */
	bool skip;           /* bad rows are left out, else they die */
	bd_example_fn *emit;
	void *ctx;
	/* counted */
	uint64_t rows, cut, cut_tokens, packed;
	struct bd_leftout left;
	int answered;         /* 1: the rows have answers, -1: they have none, 0: no row yet */
	struct bd_ids joined; /* documents not yet handed out by packing */
};

/* prompt + answer of a row. A prompt that leaves no room in max_len loses the ends of its longest fields. Bad
 * are rows without a field of the prompt, with an unknown label, too long, or with an answer where the rows
 * before have none and the other way round. */
void bd_example_row(struct bd_examples *e, const char *const *row, const char *where);
/* A document, cut at max_len if cut_end says where, or added to the packed ones. Others stay as long as they
 * are: bd-eval --window divides them. */
void bd_example_text(struct bd_examples *e, const char *text, size_t n, const char *where);
/* A conversation (conversation.h): what the assistant says is to be predicted. Bad are others than lists of
 * messages that the chat template allows, those too long, and those in which the assistant says nothing. */
void bd_example_chat(struct bd_examples *e, const char *text, size_t n, const char *where);
void bd_example_end(struct bd_examples *e); /* the last packed sequence; frees what the examples own */

/* The record as an object for people: text, ids, target, label, ref. */
json_t *bd_example_json(const struct bd_tok *tok, const struct bd_record *r);

#endif
