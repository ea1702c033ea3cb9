/* Normalisers of tokenizer.json: NFC, Prepend, Replace and sequences of them. */
#ifndef BD_TOK_NORM_H
#define BD_TOK_NORM_H

#include "base/json.h"
#include "base/mem.h"

#define BD_METASPACE "\xe2\x96\x81" /* U+2581, SentencePiece's space */

#define BD_TOK_NORM_STEPS 8
struct bd_tok_norm {
	struct bd_tok_norm_step {
		enum { BD_TOK_NORM_NFC, BD_TOK_NORM_PREPEND, BD_TOK_NORM_REPLACE } kind;
		char *from, *to;
	} step[BD_TOK_NORM_STEPS];
	size_t n;
};

/* unknown steps die, naming them */
void bd_tok_norm_parse(struct bd_tok_norm *r, const json_t *j, const char *name);
void bd_tok_norm_free(struct bd_tok_norm *r);
/* The normal form of s[*n] (valid UTF-8), *n updated: s itself or in one of the two scratch buffers. Dies
 * BD_DATA where a step would make more than BD_TOK_GROW * n + BD_TOK_GROW bytes of it. */
#define BD_TOK_GROW 64
const char *bd_tok_norm_run(const struct bd_tok_norm *r, const char *s, size_t *n, bool prepend,
                            struct bd_buf buf[2]);

/* The first `what` (not empty) in s[n], or NULL. */
const char *bd_tok_find(const char *s, size_t n, const char *what);
/* Appends s[n] with every `from` (not empty) replaced by `to`; dies BD_DATA before out has more
 * than max bytes. */
void bd_tok_replace(const char *s, size_t n, const char *from, const char *to, size_t max,
                    struct bd_buf *out);

#endif
