/* Words: k-grams are counted by sorting the positions where they begin. */
#include "eval/words.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void bd_words_push(struct bd_words *v, const char *word, size_t n)
{
	if (v->n == v->cap) {
		v->cap = v->cap ? 2 * v->cap : 64;
		v->w = bd_resize(v->w, v->n, v->cap, sizeof(*v->w));
	}
	v->w[v->n++] = bd_hash64(word, n);
}

void bd_words_free(struct bd_words *v)
{
	bd_free(v->w);
	*v = (struct bd_words){0};
}

static int compare(const uint64_t *a, const uint64_t *b, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

static int compare_places(const void *a, const void *b, void *k)
{
	return compare(*(const uint64_t *const *)a, *(const uint64_t *const *)b, *(size_t *)k);
}

/* Where v's k-grams begin, in the order of the k-grams; caller frees. */
static const uint64_t **sorted(const struct bd_words *v, size_t k)
{
	size_t n = bd_words_grams(v, k);
	const uint64_t **at = bd_alloc(n, sizeof(*at));

	for (size_t i = 0; i < n; i++)
		at[i] = v->w + i;
	if (n)
		qsort_r(at, n, sizeof(*at), compare_places, &k);
	return at;
}

/* The end of the run of k-grams equal to at[i]. */
static size_t run(const uint64_t **at, size_t n, size_t i, size_t k)
{
	size_t end = i + 1;

	while (end < n && !compare(at[i], at[end], k))
		end++;
	return end;
}

/* best[i] = max(best[i], min(counts of v's run that begins at i, in v and in ref)). */
static void match(const struct bd_words *v, const uint64_t **at, const struct bd_words *ref, size_t k,
                  size_t *best)
{
	size_t n = bd_words_grams(v, k), m = bd_words_grams(ref, k), end, ref_end;
	const uint64_t **other = sorted(ref, k);

	for (size_t i = 0, j = 0; i < n && j < m; i = end) {
		int c;

		end = run(at, n, i, k);
		while (j < m && (c = compare(other[j], at[i], k)) <= 0) {
			ref_end = run(other, m, j, k);
			if (c == 0) {
				size_t count = end - i < ref_end - j ? end - i : ref_end - j;

				best[i] = count > best[i] ? count : best[i];
			}
			j = ref_end;
		}
	}
	bd_free(other);
}

size_t bd_words_matches(const struct bd_words *v, const struct bd_words *ref, size_t n, size_t k)
{
	size_t grams = bd_words_grams(v, k), sum = 0, *best = bd_zalloc(grams, sizeof(*best));
	const uint64_t **at = sorted(v, k);

	for (size_t r = 0; r < n; r++)
		match(v, at, &ref[r], k, best);
	for (size_t i = 0; i < grams; i++)
		sum += best[i];
	bd_free(at);
	bd_free(best);
	return sum;
}
