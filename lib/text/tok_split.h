/* Splitting a text at the matches of a pattern, as Split of tokenizer.json does. */
#ifndef BD_TOK_SPLIT_H
#define BD_TOK_SPLIT_H

#include "text/tok_regex.h"

struct bd_split_at {
	struct bd_regex *regex; /* NULL: string */
	char *string;
	enum bd_behavior { BD_ISOLATED, BD_REMOVED, BD_WITH_PREVIOUS, BD_WITH_NEXT, BD_CONTIGUOUS } behavior;
	bool invert; /* the text between the matches counts as the matches */
};
typedef void bd_emit(void *ctx, const char *s, size_t n);
/* Calls emit with every piece of s[n], n > 0; w is scratch. */
void bd_split_run(const struct bd_split_at *at, const char *s, size_t n, struct bd_regex_work *w,
                  bd_emit *emit, void *ctx);

#endif
