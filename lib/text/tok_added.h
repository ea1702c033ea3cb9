/* Added tokens of tokenizer.json: whole strings that are cut out of a text before anything is merged. */
#ifndef BD_TOK_ADDED_H
#define BD_TOK_ADDED_H

#include "base/json.h"
#include "text/match.h"
#include "text/tok_norm.h"

struct bd_added {
	char *text;
	size_t n;
	char *pattern; /* what to search for: the text, or its normal form */
	size_t pattern_n;
	uint32_t id;
	bool special, normalized, word; /* word: only where no word character touches it */
	bool left, right;               /* white space on that side belongs to it */
};

/* Those to be found in raw text, or those to be found in normalised text. */
struct bd_matcher {
	const struct bd_added **list; /* [n], in the order of match */
	size_t n;
	struct bd_match *match; /* of their patterns; NULL if n is 0 */
};

struct bd_addeds {
	struct bd_added *token; /* by id */
	const struct bd_added **by_text;
	size_t n;
	struct bd_matcher raw, normal;
};

void bd_added_read(struct bd_addeds *a, const json_t *list, const struct bd_tok_norm *norm, const char *name);
void bd_added_free(struct bd_addeds *a);
const struct bd_added *bd_added_at(const struct bd_addeds *a, uint32_t id); /* NULL if there is none */
const struct bd_added *bd_added_spelled(const struct bd_addeds *a, const char *text); /* the same */

/* A text split into tokens and the text between them, as by Hugging Face's AddedVocabulary: the longest match
 * at the leftmost place, then the next one after it; a token found in white space that the previous token
 * took is still a piece. */
struct bd_added_scan { /* begin with zeroes, go on to the end */
	bool plain;    /* special tokens are not looked for */
	bool begun;
	struct bd_hits hits; /* those to come, the next one last */
	size_t from;         /* where to look for the next match */
	size_t white;        /* the end of white space that a token took last */
	size_t done;         /* end of the last piece */
	struct bd_piece {
		size_t start, end;
		const struct bd_added *token; /* NULL: text between tokens */
	} found;                              /* a match that follows the last piece returned */
};
/* The next piece of s[n], or false at the end. */
bool bd_added_next(const struct bd_matcher *m, const char *s, size_t n, struct bd_added_scan *scan,
                   struct bd_piece *piece);

#endif
