/* Oniguruma's regular expressions, in its Ruby-like syntax, in PCRE2's words. What both understand alike is
 * copied; what they understand differently is spelled out; the rest is refused. */
#include "text/tok_regex_in.h"

#include "base/msg.h"
#include "text/tok_regex_tables.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Members of classes. Oniguruma's \s is Unicode's White_Space, its \w Alphabetic, M, Nd, Pc, some numbers. */
#define SPACE                                                                                                \
	"\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}" \
	"\\x{3000}"
#define WORD_TOO                                                                                             \
	"\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}"  \
	"\\x{1f170}-\\x{1f189}"

struct translation {
	const char *pattern, *name; /* for messages */
	const char *s;              /* what is left */
	struct bd_buf *out;
	bool class, caseless;
};

static _Noreturn void refuse(const struct translation *t, const char *what)
{
	bd_die(BD_DATA, "%s: pre_tokenizer: the pattern %s: %s not supported", t->name, t->pattern, what);
}

/* Members with the category or script, with those that PCRE2 may be too old for. */
static void add_property(struct bd_buf *out, const char *what, size_t n)
{
	bd_buf_fmt(out, n == 3 ? "\\p{sc:%.*s}" : "\\p{%.*s}", (int)n, what);
	for (size_t i = 0; i < sizeof(newer) / sizeof(*newer); i++)
		if (strncmp(newer[i].what, what, n) == 0 && (n == 1 || newer[i].what[n] == '\0') &&
		    (n == 3 || newer[i].what[2] == '\0'))
			bd_buf_fmt(out, "\\x{%x}-\\x{%x}", newer[i].first, newer[i].last);
}

static void add_word(struct bd_buf *out)
{
	static const char *const parts[] = {"L", "M", "Nd", "Nl", "Pc"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		add_property(out, parts[i], strlen(parts[i]));
	bd_buf_str(out, WORD_TOO);
}

/* A set of characters, whose members are given; as a class of its own unless it is inside one. */
static void add_set(struct translation *t, const struct bd_buf *members, bool negated)
{
	if (t->class && negated)
		refuse(t, "a negated set inside a class is");
	bd_buf_fmt(t->out, t->class ? "%s%s" : "[%s%s]", negated ? "^" : "", members->p);
}

/* \p{...} or \P{...}, behind the p. */
static void property(struct translation *t, bool negated)
{
	static const char *const known[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
	                                    "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
	                                    "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So",
	                                    "Z",  "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Han"};
	struct bd_buf members = {0};
	size_t n;

	if (*t->s != '{')
		refuse(t, "\\p without { is");
	t->s++;
	if (*t->s == '^') {
		negated = !negated;
		t->s++;
	}
	n = strcspn(t->s, "}");
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strlen(known[i]) == n && strncmp(t->s, known[i], n) == 0)
			add_property(&members, known[i], n);
	if (members.n == 0)
		refuse(t, "this property is");
	add_set(t, &members, negated);
	t->s += n + 1;
	bd_buf_free(&members);
}

/* \d, \s, \w, \h and their negations. */
static void shorthand(struct translation *t, char c)
{
	struct bd_buf members = {0};
	bool negated = c >= 'A' && c <= 'Z';

	if (c == 'S' && t->class) {
		bd_buf_str(t->out, "\\S\\x{180e}"); /* which is a space to PCRE2 */
		return;
	}
	if (c == 'd' || c == 'D')
		add_property(&members, "Nd", 2);
	else if (c == 's' || c == 'S')
		bd_buf_str(&members, SPACE);
	else if (c == 'w' || c == 'W')
		add_word(&members);
	else
		bd_buf_str(&members, "0-9a-fA-F");
	add_set(t, &members, negated);
	bd_buf_free(&members);
}

/* \b or \B: between a word character and none, or not. */
static void boundary(struct translation *t, bool negated)
{
	struct bd_buf w = {0};
	const char *a = negated ? "" : "!", *b = negated ? "!" : "";

	add_word(&w);
	bd_buf_fmt(t->out, "(?:(?<=[%s])(?%s[%s])|(?<![%s])(?%s[%s]))", w.p, negated ? "=" : a, w.p, w.p,
	           negated ? b : "=", w.p);
	bd_buf_free(&w);
}

/* \uHHHH, \xHH or \x{H...}, behind the u or x. */
static void number(struct translation *t, char c)
{
	bool braces = c == 'x' && *t->s == '{';
	size_t n = braces ? strcspn(t->s, "}") - 1 : c == 'u' ? 4 : 2, hex;
	char digits[9] = "";
	unsigned long value;

	t->s += braces;
	hex = strspn(t->s, "0123456789abcdefABCDEF");
	if (n == 0 || n > 8 || hex < n)
		refuse(t, "this number of a character is");
	memcpy(digits, t->s, n);
	value = strtoul(digits, NULL, 16);
	if (c == 'x' && !braces && value > 0x7f)
		refuse(t, "a byte that is not ASCII is");
	bd_buf_fmt(t->out, "\\x{%lx}", value);
	t->s += n + braces;
}

static void escape(struct translation *t)
{
	char c = *t->s++;

	if (c == '\0')
		refuse(t, "a \\ at the end is");
	else if (strchr("dDsSwWhH", c) != NULL)
		shorthand(t, c);
	else if (c == 'p' || c == 'P')
		property(t, c == 'P');
	else if (c == 'u' || c == 'x')
		number(t, c);
	else if (c == 'v')
		bd_buf_str(t->out, "\\x{b}");
	else if (!t->class && (c == 'b' || c == 'B'))
		boundary(t, c == 'B');
	else if (strchr("nrtfae", c) != NULL || (!t->class && strchr("AzZR", c) != NULL) ||
	         (t->class && c == 'b') || strchr(" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL)
		bd_buf_fmt(t->out, "\\%c", c);
	else if ((unsigned char)c >= 0x80)
		bd_buf_add(t->out, &c, 1);
	else
		refuse(t, bd_sprintf("\\%c is", c));
}

static void begin_class(struct translation *t)
{
	t->class = true;
	bd_buf_str(t->out, "[");
	if (*t->s == '^') {
		bd_buf_str(t->out, "^");
		t->s++;
	}
	if (*t->s == ']')
		refuse(t, "a class that begins with ] is");
}

/* A character of a class. */
static void member(struct translation *t, char c)
{
	if (c == '[' || (c == '&' && *t->s == '&'))
		refuse(t, "a class inside a class is");
	t->class = c != ']';
	bd_buf_add(t->out, &c, 1);
}

/* Options, from (? to : or ). */
static void options(struct translation *t)
{
	size_t n = strspn(t->s, "imx-");
	bool first = t->s == t->pattern + 2;

	if (n == 0 || (t->s[n] != ':' && t->s[n] != ')') || (t->s[n] == ')' && !first))
		refuse(t, "this kind of group is");
	t->caseless = t->caseless || memchr(t->s, 'i', n) != NULL;
	bd_buf_str(t->out, "(?");
	for (size_t i = 0; i <= n; i++) /* Ruby's m: . matches newlines */
		bd_buf_add(t->out, t->s[i] == 'm' ? "s" : t->s + i, 1);
	t->s += n + 1;
}

static void group(struct translation *t)
{
	if (*t->s == '*')
		refuse(t, "(* is");
	if (*t->s != '?') {
		bd_buf_str(t->out, "(");
		return;
	}
	t->s++;
	if (strchr(":=!>", *t->s) != NULL && *t->s != '\0') {
		bd_buf_fmt(t->out, "(?%c", *t->s++);
	} else if (t->s[0] == '<' && (t->s[1] == '=' || t->s[1] == '!')) {
		bd_buf_fmt(t->out, "(?<%c", t->s[1]);
		t->s += 2;
	} else {
		options(t);
	}
}

/* A repetition {n,m}, behind the {; other braces are themselves. */
static void interval(struct translation *t)
{
	size_t n = strspn(t->s, "0123456789"), comma = t->s[n] == ',',
	       m = strspn(t->s + n + comma, "0123456789");
	const char *end = t->s + n + comma + m;

	if (*end != '}' || n + m == 0) {
		bd_buf_str(t->out, "\\{");
		return;
	}
	if (end[1] == '+' || (end[1] == '?' && comma == 0))
		refuse(t, "+ or ? behind {n} is");
	bd_buf_fmt(t->out, "{%s%.*s}", n == 0 ? "0" : "", (int)(end - t->s), t->s);
	t->s = end + 1;
}

/* Without case, some letters are equal to two or three others in Oniguruma, in PCRE2 never. */
static void check_caseless(const struct translation *t)
{
	static const char *const folds[] = {"ss", "st", "ff", "fi", "fl"};

	for (const char *s = t->pattern; *s != '\0'; s++) {
		for (size_t i = 0; i < sizeof(folds) / sizeof(*folds); i++)
			if (strncasecmp(s, folds[i], 2) == 0)
				refuse(t, "these letters without their case are");
		if ((unsigned char)*s >= 0x80)
			refuse(t, "letters beyond ASCII without their case are");
	}
}

void bd_regex_translate(const char *pattern, const char *name, struct bd_buf *out)
{
	struct translation t = {.pattern = pattern, .name = name, .s = pattern, .out = out};

	bd_buf_str(out, "");
	while (*t.s != '\0') {
		char c = *t.s++;

		if (c == '\\')
			escape(&t);
		else if (t.class)
			member(&t, c);
		else if (c == '[')
			begin_class(&t);
		else if (c == '(')
			group(&t);
		else if (c == '{')
			interval(&t);
		else
			bd_buf_add(out, &c, 1);
	}
	if (t.caseless)
		check_caseless(&t);
}
