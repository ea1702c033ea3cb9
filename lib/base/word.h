/* An enum and its words, written once:
 *
 *	#define BD_NORMS_LIST(W) W(BD_NORMS_NONE, "none") W(BD_NORMS_SUBLN, "subln")
 *	enum bd_norms { BD_NORMS_LIST(BD_WORD_ID) };
 *	static const char *const names[] = {BD_NORMS_LIST(BD_WORD_TEXT)};
 *
 * and the choices of an option, "none|subln", are BD_WORDS(BD_NORMS_LIST); "auto" BD_NORMS_LIST(BD_WORD_OR)
 * has one more in front. A list may have further columns, for macros of its own. */
#ifndef BD_WORD_H
#define BD_WORD_H

#include <stddef.h>

#define BD_WORD_ID(id, ...)         id,
#define BD_WORD_TEXT(id, word, ...) [id] = word,
#define BD_WORD_OR(id, word, ...)   "|" word
#define BD_WORDS(LIST)              (&(LIST(BD_WORD_OR))[1])

/* Word i of "a|b|c", *n bytes; NULL after the last one and for i < 0. */
const char *bd_word_at(const char *list, int i, size_t *n);
/* Which of them s is; -1: none. */
int bd_word_find(const char *list, const char *s);

#endif
