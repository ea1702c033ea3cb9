/* Porter's stemmer: five steps, each a list of suffixes of which the first that fits decides. */
#include "eval/stem.h"

#include <stdbool.h>
#include <string.h>

struct word {
	char *w;
	size_t n;
};

/* A suffix and its replacement if the stem before it has a measure above the step's bound. */
struct rule {
	const char *suffix, *with;
	size_t own;        /* letters of the suffix that belong to the stem */
	const char *after; /* the stem must end in one of these; NULL: in any letter */
};

static bool vowel(char c)
{
	return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

/* Is w[i] a consonant, given whether w[i - 1] is one? A y is one at the beginning and after a vowel. */
static bool consonant(const char *w, size_t i, bool before)
{
	return w[i] == 'y' ? i == 0 || !before : !vowel(w[i]);
}

/* Is w[i] a consonant? */
static bool consonant_at(const char *w, size_t i)
{
	bool c = true;

	for (size_t k = 0; k <= i; k++)
		c = consonant(w, k, c);
	return c;
}

/* m of [C](VC)^m[V]. */
static size_t measure(const char *w, size_t n)
{
	size_t m = 0;
	bool before = true;

	for (size_t i = 0; i < n; i++) {
		bool c = consonant(w, i, before);

		m += i > 0 && c && !before;
		before = c;
	}
	return m;
}

static bool has_vowel(const char *w, size_t n)
{
	bool c = true;

	for (size_t i = 0; i < n && c; i++)
		c = consonant(w, i, c);
	return !c;
}

static bool double_consonant(const char *w, size_t n)
{
	return n >= 2 && w[n - 1] == w[n - 2] && consonant_at(w, n - 1);
}

/* Ends in consonant, vowel, consonant other than w, x, y; or is a vowel and a consonant (NLTK). */
static bool ends_cvc(const char *w, size_t n)
{
	if (n < 2 || !consonant_at(w, n - 1) || consonant_at(w, n - 2))
		return false;
	return n == 2 || (consonant_at(w, n - 3) && strchr("wxy", w[n - 1]) == NULL);
}

static bool ends(const struct word *x, const char *suffix)
{
	size_t k = strlen(suffix);

	return x->n >= k && !memcmp(x->w + x->n - k, suffix, k);
}

/* The last k letters become `with`, which is not longer. */
static void replace(struct word *x, size_t k, const char *with)
{
	x->n -= k;
	memcpy(x->w + x->n, with, strlen(with));
	x->n += strlen(with);
}

/* The first rule whose suffix fits; its stem's measure must be above m. */
static void apply(struct word *x, const struct rule *r, size_t rules, size_t m)
{
	for (; rules; rules--, r++) {
		if (!ends(x, r->suffix))
			continue;
		size_t k = strlen(r->suffix), stem = x->n - k;
		if (measure(x->w, stem + r->own) > m &&
		    (r->after == NULL || (stem && strchr(r->after, x->w[stem - 1]) != NULL)))
			replace(x, k, r->with);
		return;
	}
}

/* Plurals: caresses, ponies, caress, cats. */
static void step1a(struct word *x)
{
	if (ends(x, "ies"))
		replace(x, 3, x->n == 4 ? "ie" : "i");
	else if (ends(x, "sses"))
		replace(x, 4, "ss");
	else if (ends(x, "s") && !ends(x, "ss"))
		x->n--;
}

/* agreed, plastered, motoring; and the corrections that follow: conflat(ed), hopp(ing), fil(ing). */
static void step1b(struct word *x)
{
	if (ends(x, "ied")) {
		replace(x, 3, x->n == 4 ? "ie" : "i");
		return;
	}
	if (ends(x, "eed")) {
		x->n -= measure(x->w, x->n - 3) > 0;
		return;
	}
	if (ends(x, "ed") && has_vowel(x->w, x->n - 2))
		x->n -= 2;
	else if (ends(x, "ing") && has_vowel(x->w, x->n - 3))
		x->n -= 3;
	else
		return;
	if (ends(x, "at") || ends(x, "bl") || ends(x, "iz"))
		x->w[x->n++] = 'e';
	else if (double_consonant(x->w, x->n))
		x->n -= strchr("lsz", x->w[x->n - 1]) == NULL;
	else if (measure(x->w, x->n) == 1 && ends_cvc(x->w, x->n))
		x->w[x->n++] = 'e';
}

/* happy; but enjoy, by. */
static void step1c(struct word *x)
{
	if (ends(x, "y") && x->n > 2 && consonant_at(x->w, x->n - 2))
		x->w[x->n - 1] = 'i';
}

static void step2(struct word *x)
{
	static const struct rule rules[] = {
	    {"ational", "ate", 0, NULL}, {"tional", "tion", 0, NULL}, {"enci", "ence", 0, NULL},
	    {"anci", "ance", 0, NULL},   {"izer", "ize", 0, NULL},    {"bli", "ble", 0, NULL},
	    {"alli", "al", 0, NULL},     {"entli", "ent", 0, NULL},   {"eli", "e", 0, NULL},
	    {"ousli", "ous", 0, NULL},   {"ization", "ize", 0, NULL}, {"ation", "ate", 0, NULL},
	    {"ator", "ate", 0, NULL},    {"alism", "al", 0, NULL},    {"iveness", "ive", 0, NULL},
	    {"fulness", "ful", 0, NULL}, {"ousness", "ous", 0, NULL}, {"aliti", "al", 0, NULL},
	    {"iviti", "ive", 0, NULL},   {"biliti", "ble", 0, NULL},  {"fulli", "ful", 0, NULL},
	    {"logi", "log", 1, NULL},
	};

	while (ends(x, "alli") && measure(x->w, x->n - 4) > 0)
		x->n -= 2;
	apply(x, rules, sizeof(rules) / sizeof(*rules), 0);
}

static void step3(struct word *x)
{
	static const struct rule rules[] = {
	    {"icate", "ic", 0, NULL}, {"ative", "", 0, NULL},  {"alize", "al", 0, NULL},
	    {"iciti", "ic", 0, NULL}, {"ical", "ic", 0, NULL}, {"ful", "", 0, NULL},
	    {"ness", "", 0, NULL},
	};

	apply(x, rules, sizeof(rules) / sizeof(*rules), 0);
}

static void step4(struct word *x)
{
	static const struct rule rules[] = {
	    {"al", "", 0, NULL},    {"ance", "", 0, NULL}, {"ence", "", 0, NULL}, {"er", "", 0, NULL},
	    {"ic", "", 0, NULL},    {"able", "", 0, NULL}, {"ible", "", 0, NULL}, {"ant", "", 0, NULL},
	    {"ement", "", 0, NULL}, {"ment", "", 0, NULL}, {"ent", "", 0, NULL},  {"ion", "", 0, "st"},
	    {"ou", "", 0, NULL},    {"ism", "", 0, NULL},  {"ate", "", 0, NULL},  {"iti", "", 0, NULL},
	    {"ous", "", 0, NULL},   {"ive", "", 0, NULL},  {"ize", "", 0, NULL},
	};

	apply(x, rules, sizeof(rules) / sizeof(*rules), 1);
}

/* probate, cease, controll. */
static void step5(struct word *x)
{
	size_t m = x->n ? measure(x->w, x->n - 1) : 0;

	if (ends(x, "e") && (m > 1 || (m == 1 && !ends_cvc(x->w, x->n - 1))))
		x->n--;
	if (ends(x, "ll") && measure(x->w, x->n - 1) > 1)
		x->n--;
}

/* NLTK's irregular words: the stem of w[n], or NULL. */
static const char *irregular(const char *w, size_t n)
{
	static const char *const pool[][2] = {
	    {"sky", "sky"},        {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},
	    {"tying", "tie"},      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},
	    {"outings", "outing"}, {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
	    {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"},
	};

	for (size_t i = 0; i < sizeof(pool) / sizeof(*pool); i++)
		if (strlen(pool[i][0]) == n && !memcmp(pool[i][0], w, n))
			return pool[i][1];
	return NULL;
}

size_t bd_stem(char *w, size_t n)
{
	struct word x = {w, n};
	const char *stem = irregular(w, n);

	if (stem != NULL) {
		memcpy(w, stem, strlen(stem));
		return strlen(stem);
	}
	if (n <= 2)
		return n;
	step1a(&x);
	step1b(&x);
	step1c(&x);
	step2(&x);
	step3(&x);
	step4(&x);
	step5(&x);
	return x.n;
}
