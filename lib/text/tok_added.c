/* Added tokens: sorted patterns, narrowed byte by byte. */
#include "text/tok_added.h"

#include "base/msg.h"
#include "text/tok_vocab.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct bd_added *)a)->id, y = ((const struct bd_added *)b)->id;

	return (x > y) - (x < y);
}

/* By bytes, shorter first; among equals, special ones first: the first one is found. */
static int by_pattern(const void *a, const void *b)
{
	const struct bd_added *x = *(struct bd_added *const *)a, *y = *(struct bd_added *const *)b;
	int c = memcmp(x->pattern, y->pattern, x->pattern_n < y->pattern_n ? x->pattern_n : y->pattern_n);

	if (!c)
		c = (x->pattern_n > y->pattern_n) - (x->pattern_n < y->pattern_n);
	if (!c)
		c = y->special - x->special;
	return c ? c : by_id(x, y);
}

static void read_one(struct bd_added *a, const json_t *j, const struct bd_tok_norm *norm, const char *name)
{
	struct bd_buf buf[2] = {{0}};
	const char *text = bd_json_str(j, "content", "", name);
	int64_t id = bd_json_int(j, "id", -1, 0, BD_MAX_ID, name);

	if (!*text || id < 0)
		bd_die(BD_DATA, "%s: added_tokens: a token without content or id", name);
	a->id = (uint32_t)id;
	a->n = strlen(text);
	a->text = bd_strdup(text);
	a->special = bd_json_bool(j, "special", false, name);
	a->normalized = bd_json_bool(j, "normalized", true, name);
	a->word = bd_json_bool(j, "single_word", false, name);
	a->left = bd_json_bool(j, "lstrip", false, name);
	a->right = bd_json_bool(j, "rstrip", false, name);
	a->pattern_n = a->n;
	if (a->normalized)
		text = bd_tok_norm_run(norm, text, &a->pattern_n, true, buf);
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

void bd_added_read(struct bd_addeds *a, const json_t *list, const struct bd_tok_norm *norm, const char *name)
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

static size_t previous(const char *s, size_t i)
{
	while (--i && ((unsigned char)s[i] & 0xc0) == 0x80)
		;
	return i;
}

static size_t spaces_before(const char *s, size_t i)
{
	size_t len, c;

	for (; i && bd_char_class(bd_utf8(s + (c = previous(s, i)), &len)) == BD_SPACE; i = c)
		;
	return i;
}

static size_t spaces_after(const char *s, size_t n, size_t i)
{
	for (size_t len; i < n && bd_char_class(bd_utf8(s + i, &len)) == BD_SPACE; i += len)
		;
	return i;
}

/* There is no word character before start or after end. */
static bool alone(const char *s, size_t n, size_t start, size_t end)
{
	size_t len;

	return !(start && bd_word_char(bd_utf8(s + previous(s, start), &len))) &&
	       !(end < n && bd_word_char(bd_utf8(s + end, &len)));
}

/* First of list[lo, hi), sorted by their bytes at k, whose byte there is not below c. */
static size_t lower(const struct bd_matcher *m, size_t lo, size_t hi, size_t k, unsigned c)
{
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if ((unsigned char)m->list[mid]->pattern[k] < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The longest pattern that s[n], n > 0, begins with, or NULL. */
static const struct bd_added *longest(const struct bd_matcher *m, const char *s, size_t n)
{
	const struct bd_added *best = NULL;
	size_t lo = m->first[(unsigned char)*s], hi = m->first[(unsigned char)*s + 1];

	for (size_t k = 1; lo < hi; k++) { /* list[lo, hi) begin with s[0, k) */
		if (m->list[lo]->pattern_n == k)
			best = m->list[lo];
		while (lo < hi && m->list[lo]->pattern_n == k)
			lo++;
		if (k == n)
			break;
		unsigned c = (unsigned char)s[k];
		lo = lower(m, lo, hi, k, c);
		hi = lower(m, lo, hi, k, c + 1);
	}
	return best;
}

/* The next match that counts, into scan->found. */
static bool find(const struct bd_matcher *m, const char *s, size_t n, struct bd_added_scan *scan)
{
	while (m->n && scan->from < n) {
		size_t start = scan->from;
		const struct bd_added *a = longest(m, s + start, n - start);

		scan->from += a != NULL ? a->pattern_n : 1;
		if (a == NULL || (scan->plain && a->special) || (a->word && !alone(s, n, start, scan->from)))
			continue;
		if (a->left)
			start = spaces_before(s, start);
		if (a->left && start < scan->done)
			start = scan->done;
		scan->found =
		    (struct bd_piece){start, a->right ? spaces_after(s, n, scan->from) : scan->from, a};
		return true;
	}
	return false;
}

bool bd_added_next(const struct bd_matcher *m, const char *s, size_t n, struct bd_added_scan *scan,
                   struct bd_piece *piece)
{
	bool hit = scan->found.token != NULL || find(m, s, n, scan);

	if (hit && scan->done >= scan->found.start) {
		*piece = scan->found;
		scan->found.token = NULL;
	} else {
		*piece = (struct bd_piece){scan->done, hit ? scan->found.start : n, NULL};
	}
	scan->done = piece->end;
	return piece->token != NULL || piece->start < n;
}
