/* Examples: the token sequences that rows and documents become, and which of their tokens are to be
 * predicted. */
#ifndef BD_EXAMPLE_H
#define BD_EXAMPLE_H

#include "data/stream.h"
#include "data/template.h"
#include "text/tokenizer.h"

/* What the files beside a tokenizer say: the model's vocabulary (config.json, or a GGUF file's token list;
 * else the tokenizer's own) and the end-of-text id (generation_config.json, config.json or
 * tokenizer_config.json; -1: unknown). */
struct bd_beside {
	uint32_t vocab;
	int64_t eos;
};
struct bd_beside bd_beside(const char *tokenizer_path, const struct bd_tok *tok);

typedef void bd_example_fn(void *ctx, const struct bd_record *r);

struct bd_examples {
	const struct bd_tok *tok;
	const struct bd_template *template_; /* NULL: plain text */
	struct bd_ids *choice;               /* the classes' label tokens; NULL without classes */
	struct bd_beside beside;
	size_t max_len; /* 0: no bound */
	size_t pack;    /* 0: one document per sequence */
	bd_example_fn *emit;
	void *ctx;
	/* counted */
	uint64_t rows, cut, cut_tokens, left_out, packed;
	struct bd_ids joined; /* documents not yet handed out by packing */
};

/* prompt + answer of a row. A prompt that leaves no room in max_len loses the ends of its longest fields. */
void bd_example_row(struct bd_examples *e, const char *const *row, const char *where);
/* A document, cut at max_len, or added to the packed ones. */
void bd_example_text(struct bd_examples *e, const char *text, size_t n, const char *where);
void bd_example_end(struct bd_examples *e); /* the last packed sequence; frees what the examples own */

/* The record as an object for people: text, ids, target, label, ref. */
json_t *bd_example_json(const struct bd_tok *tok, const struct bd_record *r);

#endif
