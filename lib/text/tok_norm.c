/* Normalisers: each step rewrites the whole text. */
#include "text/tok_norm.h"

#include "base/msg.h"
#include "text/unicode.h"

#include <string.h>

static struct bd_tok_norm_step *add(struct bd_tok_norm *r, const char *name)
{
	if (r->n == BD_TOK_NORM_STEPS)
		bd_die(BD_DATA, "%s: normalizer: more than %d steps", name, BD_TOK_NORM_STEPS);
	return &r->step[r->n++];
}

static void parse(struct bd_tok_norm *r, const json_t *j, const char *name)
{
	const char *type = bd_json_str(j, "type", "", name);
	struct bd_tok_norm_step *s;

	if (!strcmp(type, "Sequence")) {
		size_t i;
		json_t *e;

		json_array_foreach(bd_json_get(j, "normalizers"), i, e)
			parse(r, e, name);
	} else if (!strcmp(type, "NFC")) {
		add(r, name)->kind = BD_TOK_NORM_NFC;
	} else if (!strcmp(type, "Prepend")) {
		s = add(r, name);
		s->kind = BD_TOK_NORM_PREPEND;
		s->to = bd_strdup(bd_json_str(j, "prepend", "", name));
	} else if (!strcmp(type, "Replace")) {
		const char *from = bd_json_str(bd_json_get(j, "pattern"), "String", "", name);

		if (!*from)
			bd_die(BD_DATA,
			       "%s: normalizer: Replace is supported only with a String as its pattern",
			       name);
		s = add(r, name);
		s->kind = BD_TOK_NORM_REPLACE;
		s->from = bd_strdup(from);
		s->to = bd_strdup(bd_json_str(j, "content", "", name));
	} else
		bd_die(BD_DATA, "%s: normalizer: %s is not supported", name,
		       *type ? type : "a step without a type");
}

void bd_tok_norm_parse(struct bd_tok_norm *r, const json_t *j, const char *name)
{
	memset(r, 0, sizeof(*r));
	if (j != NULL)
		parse(r, j, name);
}

void bd_tok_norm_free(struct bd_tok_norm *r)
{
	for (size_t i = 0; i < r->n; i++) {
		bd_free(r->step[i].from);
		bd_free(r->step[i].to);
	}
	r->n = 0;
}

/* Short ones by the first byte: reads no further than the place found, which memmem does not promise. */
const char *bd_tok_find(const char *s, size_t n, const char *what)
{
	size_t len = strlen(what);
	const char *end = s + n;

	if (len > 32)
		return memmem(s, n, what, len);
	while ((s = memchr(s, *what, (size_t)(end - s))) != NULL) {
		if ((size_t)(end - s) >= len && !memcmp(s, what, len))
			return s;
		s++;
	}
	return NULL;
}

static void check_size(size_t n, size_t more, size_t max)
{
	if (n > max || more > max - n)
		bd_die(BD_DATA,
		       "tokenizer: a normalizer or decoder makes more than %d times as much of a text; it is "
		       "damaged, or made to exhaust memory",
		       BD_TOK_GROW);
}

void bd_tok_replace(const char *s, size_t n, const char *from, const char *to, size_t max, struct bd_buf *out)
{
	size_t from_n = strlen(from), to_n = strlen(to);
	const char *end = s + n;

	for (const char *hit; (hit = bd_tok_find(s, (size_t)(end - s), from)) != NULL; s = hit + from_n) {
		check_size(out->n, (size_t)(hit - s) + to_n, max);
		bd_buf_add(out, s, (size_t)(hit - s));
		bd_buf_add(out, to, to_n);
	}
	bd_buf_add(out, s, (size_t)(end - s));
}

const char *bd_tok_norm_run(const struct bd_tok_norm *r, const char *s, size_t *n, bool prepend,
                            struct bd_buf buf[2])
{
	size_t max = bd_add(bd_mul(BD_TOK_GROW, *n), BD_TOK_GROW);

	for (size_t i = 0; i < r->n && *n; i++) {
		const struct bd_tok_norm_step *step = &r->step[i];
		struct bd_buf *out = &buf[s == buf[0].p];

		bd_buf_clear(out);
		if (step->kind == BD_TOK_NORM_NFC) {
			if (bd_nfc_quick(s, *n))
				continue;
			bd_nfc(s, *n, out);
		} else if (step->kind == BD_TOK_NORM_PREPEND) {
			if (!prepend)
				continue;
			check_size(*n, strlen(step->to), max);
			bd_buf_str(out, step->to);
			bd_buf_add(out, s, *n);
		} else
			bd_tok_replace(s, *n, step->from, step->to, max, out);
		s = out->p;
		*n = out->n;
	}
	return s;
}
