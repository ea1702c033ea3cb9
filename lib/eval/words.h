/* Sequences of words and of n words: what ROUGE and BLEU compare. A word is its XXH3-64: among a million
 * different words two have the same with probability 3e-8. */
#ifndef BD_WORDS_H
#define BD_WORDS_H

#include <stddef.h>
#include <stdint.h>

struct bd_text { /* not NUL-terminated */
	const char *p;
	size_t n;
};

struct bd_words {
	uint64_t *w;
	size_t n, cap;
};
void bd_words_push(struct bd_words *v, const char *word, size_t n);
void bd_words_free(struct bd_words *v);

/* How many k-grams there are. */
static inline size_t bd_words_grams(const struct bd_words *v, size_t k)
{
	return v->n < k ? 0 : v->n - k + 1;
}
/* Clipped matches: the sum over the different k-grams g of v of min(count of g in v, the largest count of g
 * in one of ref[n]). */
size_t bd_words_matches(const struct bd_words *v, const struct bd_words *ref, size_t n, size_t k);

#endif
