/* Stop strings by the automaton of Knuth, Morris and Pratt (SIAM J. Comput. 6(2), 1977), one for each: a text
 * takes time in proportion to its bytes and the number of strings, whatever the strings are. */
#include "text/stop.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One string in search of itself. */
struct bd_stop_state {
	const char *string;
	size_t n;
	size_t seen;  /* bytes at the end of the text that begin the string */
	size_t *edge; /* [n]: the longest end of string[0, i], shorter than it, that begins the string */
};

/* Bytes that begin the string, when c follows `seen` of them. */
static size_t follow(const struct bd_stop_state *a, size_t seen, char c)
{
	while (seen > 0 && a->string[seen] != c)
		seen = a->edge[seen - 1];
	return a->string[seen] == c ? seen + 1 : 0;
}

static void begin(struct bd_stop *s)
{
	s->state = bd_zalloc(s->n, sizeof(*s->state));
	for (size_t i = 0; i < s->n; i++) {
		struct bd_stop_state *a = &s->state[i];

		a->string = s->string[i];
		a->n = strlen(a->string);
		a->edge = bd_zalloc(a->n, sizeof(*a->edge));
		for (size_t k = 1; k < a->n; k++)
			a->edge[k] = follow(a, a->edge[k - 1], a->string[k]);
	}
}

/* Reads text[n]; true when the string is complete: *end is behind it. */
static bool read_on(struct bd_stop_state *a, const char *text, size_t n, size_t *end)
{
	for (size_t i = 0; i < n; i++) {
		a->seen = follow(a, a->seen, text[i]);
		if (a->seen == a->n) {
			*end = i + 1;
			return true;
		}
	}
	return false;
}

const char *bd_stop_add(struct bd_stop *s, const char *text, size_t n, struct bd_buf *out)
{
	const char *found = NULL;
	size_t before = s->held.n, first = SIZE_MAX, left = 0, show, end;

	if (s->state == NULL && s->n > 0)
		begin(s);
	bd_buf_add(&s->held, text, n);
	for (size_t i = 0; i < s->n; i++) {
		struct bd_stop_state *a = &s->state[i];

		if (read_on(a, text, n, &end) && before + end - a->n < first) {
			first = before + end - a->n;
			found = a->string;
		}
		left = a->seen > left ? a->seen : left;
	}
	for (size_t i = 0; found != NULL && i < s->n; i++)
		s->state[i].seen = 0;
	left = found != NULL ? 0 : left;
	show = found != NULL ? first : s->held.n - left;
	bd_buf_add(out, s->held.p, show);
	if (left > 0)
		memmove(s->held.p, s->held.p + show, left);
	s->held.n = left;
	return found;
}

void bd_stop_end(struct bd_stop *s, struct bd_buf *out)
{
	bd_buf_add(out, s->held.p, s->held.n);
	bd_buf_clear(&s->held);
	for (size_t i = 0; s->state != NULL && i < s->n; i++)
		s->state[i].seen = 0;
}

void bd_stop_free(struct bd_stop *s)
{
	for (size_t i = 0; s->state != NULL && i < s->n; i++)
		bd_free(s->state[i].edge);
	bd_free(s->state);
	s->state = NULL;
	bd_buf_free(&s->held);
}
