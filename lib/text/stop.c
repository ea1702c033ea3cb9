/* Stop strings: the held text is searched for complete ones, and its longest end that could become one stays
 * held. */
#include "text/stop.h"

#include <stdbool.h>
#include <string.h>

static bool begins(const char *string, const char *s, size_t n)
{
	return n < strlen(string) && memcmp(string, s, n) == 0;
}

/* Bytes at the end of the held text that are the beginning of a stop string. */
static size_t unsure(const struct bd_stop *s)
{
	for (size_t from = 0; from < s->held.n; from++)
		for (size_t i = 0; i < s->n; i++)
			if (begins(s->string[i], s->held.p + from, s->held.n - from))
				return s->held.n - from;
	return 0;
}

const char *bd_stop_add(struct bd_stop *s, const char *text, size_t n, struct bd_buf *out)
{
	const char *found = NULL, *at, *first = NULL;
	size_t show, left;

	bd_buf_add(&s->held, text, n);
	for (size_t i = 0; i < s->n; i++) {
		at = memmem(s->held.p, s->held.n, s->string[i], strlen(s->string[i]));
		if (at != NULL && (first == NULL || at < first)) {
			first = at;
			found = s->string[i];
		}
	}
	left = found != NULL ? 0 : unsure(s);
	show = found != NULL ? (size_t)(first - s->held.p) : s->held.n - left;
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
}

void bd_stop_free(struct bd_stop *s)
{
	bd_buf_free(&s->held);
}
