/* Regular expressions: compiling and searching. */
#include "text/tok_regex.h"

#include "base/guard.h"
#include "base/msg.h"
#include "text/tok_regex_in.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

enum { WINDOW = 256 }; /* bytes that a search sees at first */

struct bd_regex {
	char *pattern; /* for messages */
	pcre2_code *code;
};

struct match {
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

/* PCRE2's memory is recorded as a whole, in code and match, so that it is released by PCRE2 (guard.h). */
static void *take(size_t n, void *ctx)
{
	(void)ctx;
	return bd_guard_fails() ? NULL : malloc(n);
}

static void give_back(void *p, void *ctx)
{
	(void)ctx;
	free(p);
}

static void release_code(void *p, size_t n)
{
	(void)n;
	pcre2_code_free(p);
}

static void release_data(void *p, size_t n)
{
	(void)n;
	pcre2_match_data_free(p);
}

static void release_limits(void *p, size_t n)
{
	(void)n;
	pcre2_match_context_free(p);
}

/* Oniguruma as `tokenizers` calls it has ^ and $ at every line, which ends with \n only. */
static pcre2_code *compile(const struct bd_buf *text, int *error, size_t *at)
{
	pcre2_general_context *memory = pcre2_general_context_create(take, give_back, NULL);
	pcre2_compile_context *c = memory != NULL ? pcre2_compile_context_create(memory) : NULL;
	pcre2_code *code = NULL;

	*error = PCRE2_ERROR_NOMEMORY;
	if (c != NULL) {
		pcre2_set_newline(c, PCRE2_NEWLINE_LF);
		code = pcre2_compile((PCRE2_SPTR)text->p, text->n,
		                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, error,
		                     at, c);
	}
	pcre2_compile_context_free(c);
	pcre2_general_context_free(memory);
	return code;
}

struct bd_regex *bd_regex_new(const char *pattern, const char *name)
{
	struct bd_regex *r = bd_zalloc(1, sizeof(*r));
	struct bd_buf text = {0};
	unsigned char why[128] = "";
	int error = 0;
	size_t at = 0;

	r->pattern = bd_strdup(pattern);
	bd_regex_translate(pattern, name, &text);
	r->code = compile(&text, &error, &at);
	if (r->code == NULL && (error == PCRE2_ERROR_NOMEMORY || error == PCRE2_ERROR_HEAP_FAILED))
		bd_die(BD_SYS, "out of memory");
	if (r->code == NULL) {
		pcre2_get_error_message(error, why, sizeof(why));
		bd_die(BD_DATA, "%s: pre_tokenizer: the pattern %s: %s", name, pattern, (const char *)why);
	}
	bd_guard_keep(r->code, 0, release_code);
	pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD); /* without it: slower */
	bd_buf_free(&text);
	return r;
}

void bd_regex_free(struct bd_regex *r)
{
	if (r == NULL)
		return;
	bd_guard_drop(r->code);
	pcre2_code_free(r->code);
	bd_free(r->pattern);
	bd_free(r);
}

static struct match *begin(struct bd_regex_work *w)
{
	pcre2_general_context *memory;
	struct match *m;

	if (w->match != NULL)
		return w->match;
	w->match = m = bd_zalloc(1, sizeof(*m));
	memory = pcre2_general_context_create(take, give_back, NULL);
	if (memory != NULL) {
		m->data = pcre2_match_data_create(1, memory);
		bd_guard_keep(m->data, 0, release_data);
		m->limits = pcre2_match_context_create(memory);
		bd_guard_keep(m->limits, 0, release_limits);
	}
	pcre2_general_context_free(memory);
	if (m->data == NULL || m->limits == NULL)
		bd_die(BD_SYS, "out of memory");
	return m;
}

void bd_regex_work_free(struct bd_regex_work *w)
{
	struct match *m = w->match;

	if (m == NULL)
		return;
	bd_guard_drop(m->data);
	bd_guard_drop(m->limits);
	pcre2_match_data_free(m->data);
	pcre2_match_context_free(m->limits);
	bd_free(m);
	w->match = NULL;
}

/* Searches s[from, to). PCRE2_ERROR_PARTIAL: it would have to read on. */
static int search(const struct bd_regex *r, const char *s, size_t n, size_t from, size_t to,
                  const struct match *m)
{
	uint32_t options = PCRE2_NO_UTF_CHECK | (to < n ? PCRE2_PARTIAL_HARD : 0);
	size_t steps = 10000 + 100 * (to - from);
	int k;

	pcre2_set_match_limit(m->limits, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
	k = pcre2_match(r->code, (PCRE2_SPTR)s, to, from, options, m->data, m->limits);
	if (k == PCRE2_ERROR_JIT_STACKLIMIT)
		k = pcre2_match(r->code, (PCRE2_SPTR)s, to, from, options | PCRE2_NO_JIT, m->data, m->limits);
	return k;
}

static size_t window(const char *s, size_t n, size_t from, size_t length)
{
	size_t to = n - from > length ? from + length : n;

	while (to < n && ((unsigned char)s[to] & 0xc0) == 0x80)
		to++;
	return to;
}

/* A window that moves along the text, and grows where a match does not end in it: what is found, and what is
 * not, is so whatever follows. */
bool bd_regex_find(const struct bd_regex *r, const char *s, size_t n, size_t from, struct bd_regex_work *w,
                   size_t *start, size_t *end)
{
	struct match *m = begin(w);
	const size_t *at = pcre2_get_ovector_pointer(m->data);
	size_t length = WINDOW;

	for (;;) {
		size_t to = window(s, n, from, length);
		int k;

		if (to - from > WINDOW + 3 && to - from > w->budget)
			bd_die(BD_DATA, "tokenizer: the pattern %s reads too much of a text over and over",
			       r->pattern);
		w->budget -= to - from > WINDOW + 3 ? to - from : 0;
		k = search(r, s, n, from, to, m);
		if (k >= 0) {
			*start = at[0];
			*end = at[1];
			return true;
		}
		if (k == PCRE2_ERROR_NOMATCH && to == n)
			return false;
		if (k == PCRE2_ERROR_NOMATCH) {
			from = to;
			length = WINDOW;
		} else if (k == PCRE2_ERROR_PARTIAL) {
			from = at[0];
			length = 4 * (to - from) > WINDOW ? 4 * (to - from) : WINDOW;
		} else if (k == PCRE2_ERROR_NOMEMORY) {
			bd_die(BD_SYS, "out of memory");
		} else {
			bd_die(BD_DATA, "tokenizer: the pattern %s takes too many steps", r->pattern);
		}
	}
}
