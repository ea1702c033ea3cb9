/* Finding any of many strings in a text, in time and memory that are linear in their bytes and the text's. */
#ifndef BD_MATCH_H
#define BD_MATCH_H

#include <stddef.h>
#include <stdint.h>

struct bd_match;
/* string[i][0, len[i]), n > 0 of them, none empty. They are not needed afterwards. */
struct bd_match *bd_match_new(const char *const *string, const size_t *len, size_t n);
void bd_match_free(struct bd_match *m); /* NULL is fine */

/* At every place of s[n] where one begins, the longest (of equal ones the first), appended to hits from the
 * last place to the first. */
struct bd_hits {
	struct bd_hit {
		size_t at;
		uint32_t which;
	} * hit;
	size_t n, cap;
};
void bd_match_find(const struct bd_match *m, const char *s, size_t n, struct bd_hits *hits);

#endif
