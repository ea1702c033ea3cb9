/* The split patterns of the known families, written by hand: each function below quotes the regular
 * expression that it implements. */
#include "text/tok_pre.h"

#include "base/msg.h"
#include "text/tok_norm.h"
#include "text/unicode.h"

#include <string.h>

static enum bd_char_class class_at(const char *s, size_t *len)
{
	return bd_char_class(bd_utf8(s, len));
}

/* Bytes of the run of class c that begins s[n], at most `max` characters. */
static size_t run(const char *s, size_t n, enum bd_char_class c, size_t max)
{
	size_t i = 0, len;

	for (; i < n && max-- && class_at(s + i, &len) == c; i += len)
		;
	return i;
}

static bool newline(char c)
{
	return c == '\r' || c == '\n';
}

/* 's|'t|'re|'ve|'m|'ll|'d ; fold: with (?i:), which besides ASCII case adds U+017F in 's. */
static size_t contraction(const char *s, size_t n, bool fold)
{
	if (n < 2 || s[0] != '\'')
		return 0;
	char a = s[1], b = n > 2 ? s[2] : '\0';
	if (fold && n > 2 && a == '\xc5' && b == '\xbf')
		return 3;
	if (fold) {
		a = a >= 'A' && a <= 'Z' ? (char)(a + 32) : a;
		b = b >= 'A' && b <= 'Z' ? (char)(b + 32) : b;
	}
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+ : white space leaves its last character to the word that follows. */
static size_t white(const char *s, size_t n)
{
	size_t i = 0, last = 0, len;

	for (; i < n && class_at(s + i, &len) == BD_SPACE; i += len)
		last = i;
	return i < n && last ? last : i;
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
 * ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t words(const char *s, size_t n, size_t digits)
{
	size_t len, i = contraction(s, n, true);

	if (i)
		return i;
	enum bd_char_class c = class_at(s, &len);
	if (c == BD_LETTER)
		return run(s, n, BD_LETTER, n);
	if (c == BD_NUMBER)
		return run(s, n, BD_NUMBER, digits);
	if (!newline(*s) && (i = run(s + len, n - len, BD_LETTER, n)))
		return len + i;
	i = *s == ' ';
	len = run(s + i, n - i, BD_OTHER, n);
	if (len) {
		for (i += len; i < n && newline(s[i]); i++)
			;
		return i;
	}
	/* White space: up to its last newline if it has one. */
	for (i = run(s, n, BD_SPACE, n); i && !newline(s[i - 1]); i--)
		;
	return i ? i : white(s, n);
}

static size_t split_qwen2(const char *s, size_t n)
{
	return words(s, n, 1);
}

static size_t split_llama3(const char *s, size_t n)
{
	return words(s, n, 3);
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t split_gpt2(const char *s, size_t n)
{
	size_t len, i = contraction(s, n, false);

	if (i)
		return i;
	i = *s == ' ' && n > 1;
	enum bd_char_class c = class_at(s + i, &len);
	return c == BD_SPACE ? white(s, n) : i + run(s + i, n - i, c, n);
}

/* Single digits, and the text between them. */
static size_t split_digits(const char *s, size_t n)
{
	size_t i, len;

	if (class_at(s, &len) == BD_NUMBER)
		return len;
	for (i = len; i < n && class_at(s + i, &len) != BD_NUMBER; i += len)
		;
	return i;
}

/* Runs of digits, and the text between them. */
static size_t split_numbers(const char *s, size_t n)
{
	size_t i = run(s, n, BD_NUMBER, n), len;

	if (!i)
		for (; i < n && class_at(s + i, &len) != BD_NUMBER; i += len)
			;
	return i;
}

/* " ", merged with what precedes it. */
static size_t split_after_space(const char *s, size_t n)
{
	const char *space = memchr(s, ' ', n);

	return space != NULL ? (size_t)(space - s) + 1 : n;
}

/* U+2581, merged with what follows it. */
static size_t split_metaspace(const char *s, size_t n)
{
	size_t len;

	bd_utf8(s, &len);
	const char *mark = bd_tok_find(s + len, n - len, BD_METASPACE);
	return mark != NULL ? (size_t)(mark - s) : n;
}

static const struct {
	const char *regex, *ggml;
	bd_split *split;
} patterns[] = {
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
     "\\s+(?!\\S)|\\s+",
     "qwen2", split_qwen2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
     "\\s+(?!\\S)|\\s+",
     "llama-bpe", split_llama3},
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "gpt-2",
     split_gpt2},
    /* These have no function: they are searched for. */
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
     "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
     "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "gpt-4o", NULL},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
     "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "qwen35", NULL},
};

const char *bd_pre_pattern(const char *ggml)
{
	size_t i = 0;

	while (strcmp(patterns[i].ggml, ggml) != 0)
		i++;
	return patterns[i].regex;
}

static void add(struct bd_pre *p, struct bd_pre_step step, const char *name)
{
	if (p->byte_level || p->n == BD_PRE_STEPS)
		bd_die(BD_DATA, "%s: pre_tokenizer: this combination of steps is not supported", name);
	p->step[p->n++] = step;
}

static void add_split(struct bd_pre *p, bd_split *split, const char *name)
{
	add(p, (struct bd_pre_step){.split = split}, name);
}

static enum bd_behavior behavior_of(const json_t *j, const char *name)
{
	static const char *const words[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
	                                    "Contiguous"};
	const char *word = bd_json_str(j, "behavior", "", name);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(word, words[i]) == 0)
			return (enum bd_behavior)i;
	bd_die(BD_DATA, "%s: pre_tokenizer: Split has the unknown behavior \"%s\"", name, word);
}

/* Known patterns have functions, which are quicker. */
static void parse_split(struct bd_pre *p, const json_t *j, const char *name)
{
	const json_t *pattern = bd_json_get(j, "pattern");
	const char *regex = bd_json_str(pattern, "Regex", NULL, name);
	const char *string = bd_json_str(pattern, "String", NULL, name);
	struct bd_split_at at = {.behavior = behavior_of(j, name),
	                         .invert = bd_json_bool(j, "invert", false, name)};

	if (regex == NULL && (string == NULL || *string == '\0'))
		bd_die(BD_DATA, "%s: pre_tokenizer: Split without a pattern", name);
	if (regex == NULL && !at.invert && strcmp(string, " ") == 0 && at.behavior == BD_WITH_PREVIOUS) {
		add_split(p, split_after_space, name);
		return;
	}
	for (size_t i = 0; regex != NULL && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (strcmp(regex, patterns[i].regex) || at.behavior != BD_ISOLATED || at.invert)
			continue;
		p->ggml = p->n ? "default" : patterns[i].ggml;
		if (patterns[i].split == NULL)
			break;
		add_split(p, patterns[i].split, name);
		return;
	}
	if (regex != NULL)
		at.regex = bd_regex_new(regex, name);
	else
		at.string = bd_strdup(string);
	add(p, (struct bd_pre_step){.at = at}, name);
}

static void parse_byte_level(struct bd_pre *p, const json_t *j, const char *name)
{
	if (bd_json_bool(j, "use_regex", true, name)) {
		p->ggml = !p->n                                           ? "gpt-2"
		          : p->n == 1 && p->step[0].split == split_digits ? "smollm"
		                                                          : "default";
		add_split(p, split_gpt2, name);
	}
	p->prefix_space = bd_json_bool(j, "add_prefix_space", true, name);
	if (p->prefix_space && p->n > 1)
		bd_die(
		    BD_DATA,
		    "%s: pre_tokenizer: ByteLevel with add_prefix_space is not supported after another step",
		    name);
	p->byte_level = true;
}

static void parse_metaspace(struct bd_pre *p, const json_t *j, const char *name)
{
	const char *scheme = bd_json_str(j, "prepend_scheme", NULL, name);

	if (scheme == NULL)
		scheme = bd_json_bool(j, "add_prefix_space", true, name) ? "always" : "never";
	if (strcmp(bd_json_str(j, "replacement", BD_METASPACE, name), BD_METASPACE) || p->n)
		bd_die(BD_DATA,
		       "%s: pre_tokenizer: Metaspace is supported only with U+2581 and as the first step",
		       name);
	if (!strcmp(scheme, "always"))
		p->metaspace = BD_META_ALWAYS;
	else if (!strcmp(scheme, "first"))
		p->metaspace = BD_META_FIRST;
	else if (!strcmp(scheme, "never"))
		p->metaspace = BD_META_NEVER;
	else
		bd_die(BD_DATA, "%s: pre_tokenizer: Metaspace with prepend_scheme %s is not supported", name,
		       scheme);
	if (bd_json_bool(j, "split", true, name))
		add_split(p, split_metaspace, name);
}

static void parse(struct bd_pre *p, const json_t *j, const char *name)
{
	const char *type = bd_json_str(j, "type", "", name);

	if (!strcmp(type, "Sequence")) {
		size_t i;
		json_t *e;

		json_array_foreach(bd_json_get(j, "pretokenizers"), i, e)
			parse(p, e, name);
	} else if (!strcmp(type, "Split"))
		parse_split(p, j, name);
	else if (!strcmp(type, "ByteLevel"))
		parse_byte_level(p, j, name);
	else if (!strcmp(type, "Digits"))
		add_split(p, bd_json_bool(j, "individual_digits", false, name) ? split_digits : split_numbers,
		          name);
	else if (!strcmp(type, "Metaspace"))
		parse_metaspace(p, j, name);
	else
		bd_die(BD_DATA, "%s: pre_tokenizer: %s is not supported", name,
		       *type ? type : "a step without a type");
}

void bd_pre_parse(struct bd_pre *p, const json_t *j, const char *name)
{
	memset(p, 0, sizeof(*p));
	p->ggml = "default";
	if (j != NULL)
		parse(p, j, name);
}

void bd_pre_free(struct bd_pre *p)
{
	for (size_t i = 0; i < p->n; i++) {
		bd_regex_free(p->step[i].at.regex);
		bd_free(p->step[i].at.string);
	}
	p->n = 0;
}

/* What becomes of the pieces that a step makes. */
struct rest {
	const struct bd_pre_step *step;
	size_t n;
	struct bd_regex_work *w;
	bd_emit *emit;
	void *ctx;
};

static void pieces(void *ctx, const char *s, size_t n)
{
	const struct rest *r = ctx;
	struct rest rest = *r;

	if (r->n == 0) {
		r->emit(r->ctx, s, n);
		return;
	}
	rest.step++;
	rest.n--;
	if (r->step->split == NULL) {
		bd_split_run(&r->step->at, s, n, r->w, pieces, &rest);
		return;
	}
	for (size_t len; n; s += len, n -= len) {
		len = r->step->split(s, n);
		pieces(&rest, s, len);
	}
}

const char *bd_pre_rewrite(const struct bd_pre *p, const char *s, size_t *n, enum bd_place place,
                           struct bd_buf *buf)
{
	if (!*n)
		return s;
	if (p->metaspace) {
		bool prepend = p->metaspace == BD_META_ALWAYS
		                   ? place != BD_CONTINUED
		                   : p->metaspace == BD_META_FIRST && place == BD_FIRST;
		size_t mark = strlen(BD_METASPACE);

		bd_buf_clear(buf);
		if (prepend && *s != ' ' && (*n < mark || memcmp(s, BD_METASPACE, mark)))
			bd_buf_str(buf, BD_METASPACE);
		bd_tok_replace(s, *n, " ", BD_METASPACE, SIZE_MAX, buf);
	} else if (p->prefix_space && *s != ' ' && place != BD_CONTINUED) {
		bd_buf_clear(buf);
		bd_buf_str(buf, " ");
		bd_buf_add(buf, s, *n);
	} else {
		return s;
	}
	*n = buf->n;
	return buf->p;
}

void bd_pre_run(const struct bd_pre *p, const char *s, size_t n, enum bd_place place, struct bd_buf *buf,
                struct bd_regex_work *w, bd_emit *emit, void *ctx)
{
	s = bd_pre_rewrite(p, s, &n, place, buf);
	if (n)
		pieces(&(struct rest){p->step, p->n, w, emit, ctx}, s, n);
}
