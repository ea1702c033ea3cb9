/* Added tokens: all matches of a text are found first, then those that count. */
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

static void read_one(struct bd_added *a, const json_t *j, const struct bd_tok_norm *norm, const char *name)
{
	struct bd_buf buf[2] = {{0}};
	const char *text = bd_json_str(j, "content", "", name);
	int64_t id = bd_json_int(j, "id", -1, 0, BD_MAX_ID, name);

	if (!*text || id < 0)
		bd_die(BD_DATA, "%s: added_tokens: a token without content or id", name);
	a->id = (uint32_t)id;
	a->n = strlen(text);
	if (a->n > BD_MAX_TOKEN)
		bd_die(BD_DATA, "%s: added_tokens: the token with id %lld has %zu bytes; at most %d", name,
		       (long long)id, a->n, BD_MAX_TOKEN);
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

/* Special tokens first, and by id: of tokens with the same pattern the first one is found. */
static void index_patterns(struct bd_matcher *m, const struct bd_addeds *a, bool normalized)
{
	const char **pattern = bd_alloc(a->n, sizeof(*pattern));
	size_t *len = bd_alloc(a->n, sizeof(*len));

	m->list = bd_alloc(a->n, sizeof(*m->list));
	for (int special = 1; special >= 0; special--)
		for (size_t i = 0; i < a->n; i++) {
			const struct bd_added *t = &a->token[i];

			if (t->normalized != normalized || t->special != special || t->pattern_n == 0)
				continue;
			pattern[m->n] = t->pattern;
			len[m->n] = t->pattern_n;
			m->list[m->n++] = t;
		}
	if (m->n > 0)
		m->match = bd_match_new(pattern, len, m->n);
	bd_free(pattern);
	bd_free(len);
}

static int by_text(const void *a, const void *b)
{
	const struct bd_added *x = *(struct bd_added *const *)a, *y = *(struct bd_added *const *)b;
	int c = strcmp(x->text, y->text);

	return c != 0 ? c : by_id(x, y);
}

static void index_texts(struct bd_addeds *a)
{
	a->by_text = bd_alloc(a->n, sizeof(*a->by_text));
	for (size_t i = 0; i < a->n; i++)
		a->by_text[i] = &a->token[i];
	if (a->n > 0)
		qsort(a->by_text, a->n, sizeof(*a->by_text), by_text);
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
	index_texts(a);
	index_patterns(&a->raw, a, false);
	index_patterns(&a->normal, a, true);
}

const struct bd_added *bd_added_spelled(const struct bd_addeds *a, const char *text)
{
	size_t lo = 0, hi = a->n;

	while (lo < hi) { /* the first that is not before text */
		size_t mid = (lo + hi) / 2;

		if (strcmp(a->by_text[mid]->text, text) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < a->n && strcmp(a->by_text[lo]->text, text) == 0 ? a->by_text[lo] : NULL;
}

void bd_added_free(struct bd_addeds *a)
{
	for (size_t i = 0; i < a->n; i++) {
		bd_free(a->token[i].text);
		bd_free(a->token[i].pattern);
	}
	bd_free(a->token);
	bd_free(a->by_text);
	bd_free(a->raw.list);
	bd_free(a->normal.list);
	bd_match_free(a->raw.match);
	bd_match_free(a->normal.match);
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

/* Where the white space before s[i] begins, at `from` or behind it. */
static size_t spaces_before(const char *s, size_t from, size_t i)
{
	size_t len, c;

	for (; i > from && bd_char_class(bd_utf8(s + (c = previous(s, i)), &len)) == BD_SPACE; i = c)
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

/* The end of the match, with the white space that follows it. */
static size_t right_end(const char *s, size_t n, struct bd_added_scan *scan)
{
	if (scan->from >= scan->white) /* or this white space has been passed before */
		scan->white = spaces_after(s, n, scan->from);
	return scan->white;
}

/* The next match that counts, into scan->found. */
static bool find(const struct bd_matcher *m, const char *s, size_t n, struct bd_added_scan *scan)
{
	while (scan->hits.n > 0) {
		struct bd_hit hit = scan->hits.hit[--scan->hits.n];
		const struct bd_added *a = m->list[hit.which];
		size_t start = hit.at;

		if (start < scan->from)
			continue;
		scan->from = start + a->pattern_n;
		if ((scan->plain && a->special) || (a->word && !alone(s, n, start, scan->from)))
			continue;
		if (a->left)
			start = start < scan->done ? scan->done : spaces_before(s, scan->done, start);
		scan->found = (struct bd_piece){start, a->right ? right_end(s, n, scan) : scan->from, a};
		return true;
	}
	return false;
}

bool bd_added_next(const struct bd_matcher *m, const char *s, size_t n, struct bd_added_scan *scan,
                   struct bd_piece *piece)
{
	bool hit;

	if (!scan->begun && m->n > 0)
		bd_match_find(m->match, s, n, &scan->hits);
	scan->begun = true;
	hit = scan->found.token != NULL || find(m, s, n, scan);
	if (hit && scan->done >= scan->found.start) {
		*piece = scan->found;
		scan->found.token = NULL;
	} else {
		*piece = (struct bd_piece){scan->done, hit ? scan->found.start : n, NULL};
	}
	scan->done = piece->end;
	if (piece->token != NULL || piece->start < n)
		return true;
	bd_free(scan->hits.hit);
	return false;
}
