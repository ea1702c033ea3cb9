/* Regular expressions of tokenizer.json through PCRE2, with the meaning that Oniguruma gives them. */
#ifndef BD_TOK_REGEX_H
#define BD_TOK_REGEX_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

struct bd_regex; /* immutable */
/* What Oniguruma and PCRE2 understand differently and is not translated dies BD_DATA, naming the pattern. */
struct bd_regex *bd_regex_new(const char *pattern, const char *name);
void bd_regex_free(struct bd_regex *r); /* NULL is fine */

/* The matches of one text. Where they read on behind their end, they may read 64 times the text and 1 MiB in
 * all, and each may take 100 steps for every byte that it reads. More dies BD_DATA: no pattern goes on for
 * ever. */
struct bd_regex_work {
	void *match;   /* PCRE2's; NULL at first */
	size_t budget; /* BD_REGEX_BUDGET(bytes of the text) at first */
};
#define BD_REGEX_BUDGET(n) (64 * (n) + (1 << 20))
void bd_regex_work_free(struct bd_regex_work *w);
/* The first match in s[n], valid UTF-8, that begins at s[from] or behind it. */
bool bd_regex_find(const struct bd_regex *r, const char *s, size_t n, size_t from, struct bd_regex_work *w,
                   size_t *start, size_t *end);

#endif
