/* ROUGE: words, their n-grams and longest common subsequences. */
#include "eval/rouge.h"

#include "base/mem.h"
#include "eval/stem.h"

#include <string.h>

const char *const bd_rouge_name[BD_ROUGES] = {"rouge1", "rouge2", "rougeL", "rougeLsum"};

/* A text as lines of words: line i is words[line[i]..line[i+1]). */
struct lines {
	struct bd_words words;
	size_t *line, n; /* [n + 1] */
};

/* The letter or digit that begins at s after lower-casing, else 0; *len: its bytes. Two characters beyond
 * ASCII have lower case in a-z: U+212A, the Kelvin sign, and U+0130, whose lower case is an i and a dot that
 * ends the word. */
static char letter(const char *s, size_t n, size_t *len, bool *last)
{
	*len = 1;
	*last = false;
	if ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9'))
		return *s;
	if (*s >= 'A' && *s <= 'Z')
		return (char)(*s - 'A' + 'a');
	if (n >= 3 && !memcmp(s, "\xe2\x84\xaa", 3)) {
		*len = 3;
		return 'k';
	}
	if (n >= 2 && !memcmp(s, "\xc4\xb0", 2)) {
		*len = 2;
		*last = true;
		return 'i';
	}
	return 0;
}

static void end_word(struct bd_words *v, struct bd_buf *word, bool stem)
{
	size_t n = stem && word->n > 3 ? bd_stem(word->p, word->n) : word->n;

	if (n)
		bd_words_push(v, word->p, n);
	bd_buf_clear(word);
}

static void push_words(struct bd_words *v, const char *s, size_t n, bool stem)
{
	struct bd_buf word = {0};
	bool last = false;

	for (size_t i = 0, len; i < n; i += len) {
		char c = letter(s + i, n - i, &len, &last);

		if (c)
			bd_buf_add(&word, &c, 1);
		if (!c || last)
			end_word(v, &word, stem);
	}
	end_word(v, &word, stem);
	bd_buf_free(&word);
}

/* The words of the lines that are not empty; a line may have none. */
static struct lines read_lines(struct bd_text t, bool stem)
{
	struct lines l = {.line = bd_zalloc(t.n + 2, sizeof(*l.line))};

	for (size_t i = 0, end; i < t.n; i = end + 1) {
		const char *newline = memchr(t.p + i, '\n', t.n - i);

		end = newline != NULL ? (size_t)(newline - t.p) : t.n;
		if (end == i)
			continue;
		push_words(&l.words, t.p + i, end - i, stem);
		l.line[++l.n] = l.words.n;
	}
	return l;
}

static void lines_free(struct lines *l)
{
	bd_words_free(&l->words);
	bd_free(l->line);
}

static struct bd_prf prf(size_t hits, size_t predicted, size_t wanted)
{
	struct bd_prf s = {0};

	s.precision = predicted ? (double)hits / (double)predicted : 0;
	s.recall = wanted ? (double)hits / (double)wanted : 0;
	if (hits)
		s.f1 = 2 * s.precision * s.recall / (s.precision + s.recall);
	return s;
}

static struct bd_prf grams(const struct bd_words *p, const struct bd_words *r, size_t k)
{
	return prf(bd_words_matches(p, r, 1, k), bd_words_grams(p, k), bd_words_grams(r, k));
}

/* ---- longest common subsequences ---- */

/* Marks in in[n] the words of r[n] that belong to a longest common subsequence of r[n] and p[m]; returns its
 * length. Of several the one that backtracking from the end finds when a step in r is preferred to one in p.
 * step[n, m]: scratch; NULL: no marks. */
static size_t lcs(const uint64_t *r, size_t n, const uint64_t *p, size_t m, uint8_t *step, bool *in)
{
	enum { BOTH, IN_R, IN_P };
	size_t *row = bd_zalloc(m + 1, sizeof(*row)), length; /* row[j]: of r[..i] and p[..j] */

	for (size_t i = 0; i < n; i++) {
		size_t diagonal = 0; /* of r[..i) and p[..j) */

		for (size_t j = 0; j < m; j++) {
			size_t above = row[j + 1];
			uint8_t s = r[i] == p[j] ? BOTH : row[j] > above ? IN_P : IN_R;

			row[j + 1] = s == BOTH ? diagonal + 1 : s == IN_P ? row[j] : above;
			diagonal = above;
			if (step != NULL)
				step[i * m + j] = s;
		}
	}
	for (size_t i = n, j = m; step != NULL && i && j;) {
		uint8_t s = step[(i - 1) * m + j - 1];

		if (s == BOTH)
			in[i - 1] = true;
		i -= s != IN_P;
		j -= s != IN_R;
	}
	length = row[m];
	bd_free(row);
	return length;
}

static struct bd_prf rouge_l(const struct bd_words *p, const struct bd_words *r)
{
	return prf(lcs(r->w, r->n, p->w, p->n, NULL, NULL), p->n, r->n);
}

/* Lines: the union of what each line of the prediction has in common with a line of the reference. */
static struct bd_prf rouge_lsum(const struct lines *p, const struct lines *r)
{
	size_t n = r->words.n, m = p->words.n, hits;
	struct bd_words hit = {0};
	uint8_t *step;
	bool *in;

	if (n == 0 || m == 0)
		return prf(0, m, n);
	step = bd_alloc(bd_mul(n, m), 1);
	in = bd_zalloc(n, sizeof(*in));
	hit.w = bd_alloc(n, sizeof(*hit.w));
	for (size_t i = 0; i < r->n; i++)
		for (size_t j = 0; j < p->n; j++)
			lcs(r->words.w + r->line[i], r->line[i + 1] - r->line[i], p->words.w + p->line[j],
			    p->line[j + 1] - p->line[j], step, in + r->line[i]);
	for (size_t i = 0; i < n; i++)
		if (in[i])
			hit.w[hit.n++] = r->words.w[i];
	hits = bd_words_matches(&hit, &p->words, 1, 1); /* none more often than it occurs in the prediction */
	bd_free(step);
	bd_free(in);
	bd_words_free(&hit);
	return prf(hits, m, n);
}

/* ---- all of it ---- */

void bd_rouge(struct bd_prf out[BD_ROUGES], struct bd_text prediction, const struct bd_text *reference,
              size_t n, bool stem)
{
	struct lines p = read_lines(prediction, stem);

	for (size_t k = 0; k < n; k++) {
		struct lines r = read_lines(reference[k], stem);
		struct bd_prf s[BD_ROUGES] = {grams(&p.words, &r.words, 1), grams(&p.words, &r.words, 2),
		                              rouge_l(&p.words, &r.words), rouge_lsum(&p, &r)};

		for (int i = 0; i < BD_ROUGES; i++)
			if (k == 0 || s[i].f1 > out[i].f1)
				out[i] = s[i];
		lines_free(&r);
	}
	lines_free(&p);
}
