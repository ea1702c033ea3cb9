/* BLEU: the 13a tokeniser as five passes over the text, then clipped counts of n-grams. */
#include "eval/bleu.h"

#include "text/unicode.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ---- words ---- */

/* What Python's str.split() takes for a blank: \s and the separators U+001C to U+001F. */
static bool blank(const char *s, size_t *len)
{
	uint32_t c = bd_utf8(s, len);

	return bd_char_class(c) == BD_SPACE || (c >= 0x1c && c <= 0x1f);
}

/* Bytes of t without the blanks at its end. */
static size_t stripped(struct bd_text t)
{
	size_t end = 0;

	for (size_t i = 0, len; i < t.n; i += len)
		if (!blank(t.p + i, &len))
			end = i + len;
	return end;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ASCII that is a word of its own wherever it occurs: all punctuation but ' , - . */
static bool apart(char c)
{
	return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
	       (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/* Appends to out what it makes of s[n]. */
typedef void pass(const char *s, size_t n, struct bd_buf *out);

static void replace(const char *s, size_t n, const char *from, const char *to, struct bd_buf *out)
{
	size_t k = strlen(from);

	for (size_t i = 0; i < n;) {
		if (n - i >= k && !memcmp(s + i, from, k)) {
			bd_buf_str(out, to);
			i += k;
		} else {
			bd_buf_add(out, s + i++, 1);
		}
	}
}

/* Two buffers: what a pass reads and what it writes; they then swap. */
struct passes {
	struct bd_buf text, next;
};

static void turn(struct passes *p)
{
	struct bd_buf t = p->text;

	p->text = p->next;
	p->next = t;
	bd_buf_clear(&p->next);
	bd_buf_str(&p->next, "");
}

/* The literal replacements, one after the other; a blank before and after. */
static void unescape(struct passes *p)
{
	static const char *const table[][2] = {{"<skipped>", ""}, {"-\n", ""},    {"\n", " "},
	                                       {"&quot;", "\""},  {"&amp;", "&"}, {"&lt;", "<"},
	                                       {"&gt;", ">"}};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		replace(p->text.p, p->text.n, table[i][0], table[i][1], &p->next);
		turn(p);
	}
	bd_buf_str(&p->next, " ");
	bd_buf_add(&p->next, p->text.p, p->text.n);
	bd_buf_str(&p->next, " ");
	turn(p);
}

static void part_symbols(const char *s, size_t n, struct bd_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (apart(s[i]))
			bd_buf_add(out, (char[]){' ', s[i], ' '}, 3);
		else
			bd_buf_add(out, s + i, 1);
	}
}

/* A period or comma after anything but a digit. */
static void part_after_letter(const char *s, size_t n, struct bd_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		bd_buf_add(out, s + i, 1);
		if (!digit(s[i]) && i + 1 < n && (s[i + 1] == '.' || s[i + 1] == ',')) {
			bd_buf_add(out, (char[]){' ', s[i + 1], ' '}, 3);
			i++;
		}
	}
}

/* A period or comma before anything but a digit. */
static void part_before_letter(const char *s, size_t n, struct bd_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if ((s[i] == '.' || s[i] == ',') && i + 1 < n && !digit(s[i + 1])) {
			bd_buf_add(out, (char[]){' ', s[i], ' ', s[i + 1]}, 4);
			i++;
		} else {
			bd_buf_add(out, s + i, 1);
		}
	}
}

/* A dash after a digit. */
static void part_dash(const char *s, size_t n, struct bd_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		bd_buf_add(out, s + i, 1);
		if (digit(s[i]) && i + 1 < n && s[i + 1] == '-') {
			bd_buf_str(out, " - ");
			i++;
		}
	}
}

typedef void word_fn(void *ctx, const char *word, size_t n);

/* Calls fn with each run of s[n] without blanks. */
static void split(const char *s, size_t n, word_fn *fn, void *ctx)
{
	size_t begin = 0, len;

	for (size_t i = 0; i < n; i += len) {
		if (!blank(s + i, &len))
			continue;
		if (i > begin)
			fn(ctx, s + begin, i - begin);
		begin = i + len;
	}
	if (n > begin)
		fn(ctx, s + begin, n - begin);
}

static void each_word(struct bd_text t, word_fn *fn, void *ctx)
{
	static pass *const passes[] = {part_symbols, part_after_letter, part_before_letter, part_dash};
	struct passes p = {0};

	bd_buf_add(&p.text, t.p, stripped(t));
	bd_buf_str(&p.next, "");
	unescape(&p);
	for (size_t i = 0; i < sizeof(passes) / sizeof(*passes); i++) {
		passes[i](p.text.p, p.text.n, &p.next);
		turn(&p);
	}
	split(p.text.p, p.text.n, fn, ctx);
	bd_buf_free(&p.text);
	bd_buf_free(&p.next);
}

static void print_word(void *ctx, const char *word, size_t n)
{
	struct bd_buf *out = ctx;

	if (out->n)
		bd_buf_str(out, " ");
	bd_buf_add(out, word, n);
}

void bd_bleu_tokens(struct bd_text t, struct bd_buf *out)
{
	each_word(t, print_word, out);
}

/* ---- counts ---- */

static void push_word(void *ctx, const char *word, size_t n)
{
	bd_words_push(ctx, word, n);
}

/* The length of the reference nearest to n words; the shorter if two are equally near. */
static size_t nearest(size_t n, const struct bd_words *ref, size_t refs)
{
	size_t best = ref[0].n;

	for (size_t r = 1; r < refs; r++) {
		size_t d = ref[r].n > n ? ref[r].n - n : n - ref[r].n, b = best > n ? best - n : n - best;

		if (d < b || (d == b && ref[r].n < best))
			best = ref[r].n;
	}
	return best;
}

void bd_bleu_add(struct bd_bleu *b, struct bd_text prediction, const struct bd_text *reference, size_t n)
{
	struct bd_words p = {0}, *ref = bd_zalloc(n, sizeof(*ref));

	each_word(prediction, push_word, &p);
	for (size_t r = 0; r < n; r++)
		each_word(reference[r], push_word, &ref[r]);
	b->predicted += (double)p.n;
	b->wanted += (double)nearest(p.n, ref, n);
	for (size_t k = 0; k < BD_BLEU_N; k++) {
		b->matches[k] += (double)bd_words_matches(&p, ref, n, k + 1);
		b->grams[k] += (double)bd_words_grams(&p, k + 1);
	}
	for (size_t r = 0; r < n; r++)
		bd_words_free(&ref[r]);
	bd_words_free(&p);
	bd_free(ref);
}

double bd_bleu_score(const struct bd_bleu *b, double precision[BD_BLEU_N], double *brevity)
{
	double p[BD_BLEU_N] = {0}, penalty = 1, smooth = 1, sum = 0;
	bool any = false;

	if (b->predicted < b->wanted)
		penalty = b->predicted > 0 ? exp(1 - b->wanted / b->predicted) : 0;
	for (int k = 0; k < BD_BLEU_N; k++)
		any = any || b->matches[k] > 0;
	for (int k = 0; any && k < BD_BLEU_N && b->grams[k] > 0; k++) {
		if (b->matches[k] <= 0)
			smooth *= 2;
		p[k] = 100 * (b->matches[k] > 0 ? b->matches[k] : 1 / smooth) / b->grams[k];
	}
	for (int k = 0; k < BD_BLEU_N; k++)
		sum += log(p[k]); /* a precision of 0 makes all of it 0 */
	if (precision != NULL)
		memcpy(precision, p, sizeof(p));
	if (brevity != NULL)
		*brevity = penalty;
	return any ? penalty * exp(sum / BD_BLEU_N) : 0;
}
