/* Added tokens: few patterns, found by their first byte. */
#include "tok_added.h"

#include <stdlib.h>
#include <string.h>

#include "msg.h"
#include "tok_vocab.h"
#include "unicode.h"

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct bd_added *)a)->id, y = ((const struct bd_added *)b)->id;
	return (x > y) - (x < y);
}

static int by_pattern(const void *a, const void *b)
{
	const struct bd_added *x = *(struct bd_added *const *)a, *y = *(struct bd_added *const *)b;
	int c = (unsigned char)*x->pattern - (unsigned char)*y->pattern;
	return c ? c : (x->pattern_n < y->pattern_n) - (x->pattern_n > y->pattern_n);
}

static void read_one(struct bd_added *a, const json_t *j, const struct bd_norm *norm, const char *name)
{
	struct bd_buf buf[2] = {{0}};
	const char *text = bd_json_str(j, "content", "", name);
	int64_t id = bd_json_int(j, "id", -1, 0, BD_MAX_ID, name);
	if (!*text || id < 0)
		bd_die(BD_DATA, "%s: added_tokens: a token without content or id", name);
	if (bd_json_bool(j, "single_word", false, name))
		bd_die(BD_DATA, "%s: added_tokens: \"%s\": single_word is not known", name, text);
	a->id = (uint32_t)id;
	a->n = strlen(text);
	a->text = bd_strdup(text);
	a->special = bd_json_bool(j, "special", false, name);
	a->normalized = bd_json_bool(j, "normalized", true, name);
	a->left = bd_json_bool(j, "lstrip", false, name);
	a->right = bd_json_bool(j, "rstrip", false, name);
	a->pattern_n = a->n;
	if (a->normalized)
		text = bd_norm_run(norm, text, &a->pattern_n, true, buf);
	a->pattern = bd_strndup(text, a->pattern_n);
	bd_buf_free(&buf[0]);
	bd_buf_free(&buf[1]);
}

static void index_patterns(struct bd_matcher *m, struct bd_addeds *a, bool normalized)
{
	m->list = bd_alloc(a->n, sizeof(struct bd_added *));
	for (size_t i = 0; i < a->n; i++)
		if (a->token[i].normalized == normalized && a->token[i].pattern_n)
			m->list[m->n++] = &a->token[i];
	if (m->n)
		qsort(m->list, m->n, sizeof(*m->list), by_pattern);
	for (size_t c = 0, i = 0; c <= 256; c++) {
		while (i < m->n && (unsigned char)*m->list[i]->pattern < c)
			i++;
		m->first[c] = i;
	}
}

void bd_added_read(struct bd_addeds *a, const json_t *list, const struct bd_norm *norm, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->n = json_array_size(list);
	a->token = bd_zalloc(a->n, sizeof(*a->token));
	for (size_t i = 0; i < a->n; i++)
		read_one(&a->token[i], json_array_get(list, i), norm, name);
	if (a->n)
		qsort(a->token, a->n, sizeof(*a->token), by_id);
	for (size_t i = 1; i < a->n; i++)
		if (a->token[i].id == a->token[i - 1].id)
			bd_die(BD_DATA, "%s: added_tokens: \"%s\" and \"%s\" have the same id", name,
			       a->token[i - 1].text, a->token[i].text);
	index_patterns(&a->raw, a, false);
	index_patterns(&a->normal, a, true);
}

void bd_added_free(struct bd_addeds *a)
{
	for (size_t i = 0; i < a->n; i++) {
		bd_free(a->token[i].text);
		bd_free(a->token[i].pattern);
	}
	bd_free(a->token);
	bd_free(a->raw.list);
	bd_free(a->normal.list);
	memset(a, 0, sizeof(*a));
}

const struct bd_added *bd_added_at(const struct bd_addeds *a, uint32_t id)
{
	struct bd_added key = {.id = id};
	return a->n ? bsearch(&key, a->token, a->n, sizeof(key), by_id) : NULL;
}

static size_t spaces_before(const char *s, size_t end, size_t from)
{
	size_t i = end, len;
	while (i > from) {
		size_t c = i - 1;
		while (c > from && ((unsigned char)s[c] & 0xc0) == 0x80)
			c--;
		if (bd_class(bd_utf8(s + c, &len)) != BD_SPACE)
			break;
		i = c;
	}
	return i;
}

static size_t spaces_after(const char *s, size_t n, size_t i)
{
	for (size_t len; i < n && bd_class(bd_utf8(s + i, &len)) == BD_SPACE; i += len)
		;
	return i;
}

bool bd_added_next(const struct bd_matcher *m, const char *s, size_t n, size_t from, struct bd_match *match)
{
	if (!m->n)
		return false;
	for (size_t i = from; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		for (size_t k = m->first[c]; k < m->first[c + 1]; k++) {
			const struct bd_added *a = m->list[k];
			if (a->pattern_n > n - i || memcmp(s + i, a->pattern, a->pattern_n))
				continue;
			match->token = a;
			match->start = a->left ? spaces_before(s, i, from) : i;
			match->end = i + a->pattern_n;
			if (a->right)
				match->end = spaces_after(s, n, match->end);
			return true;
		}
	}
	return false;
}
