/* Splitting at the matches of a pattern: Hugging Face's behaviors. */
#include "text/tok_split.h"

#include "text/tok_norm.h"
#include "text/unicode.h"

#include <string.h>

/* A match, or the text between two; or several of them that stay together. */
struct part {
	size_t start, end;
	bool match;
};

struct run {
	const struct bd_split_at *at;
	const char *s;
	bd_emit *emit;
	void *ctx;
	struct part held; /* not passed on yet; nothing if start is end */
	bool any;         /* something has been held */
	bool last;        /* the last part was a match */
};

static void flush(struct run *r)
{
	if (r->held.end > r->held.start)
		r->emit(r->ctx, r->s + r->held.start, r->held.end - r->held.start);
	r->held.start = r->held.end;
}

/* Does the part belong to what is held? */
static bool together(const struct run *r, bool match)
{
	switch (r->at->behavior) {
	case BD_CONTIGUOUS:
		return match == r->last;
	case BD_WITH_PREVIOUS:
		return match && !r->last;
	case BD_WITH_NEXT:
		return !match && r->last;
	default:
		return false;
	}
}

static void put(struct run *r, size_t start, size_t end, bool match)
{
	match = match != r->at->invert;
	if (r->any && together(r, match)) {
		r->held.end = end;
	} else {
		flush(r);
		if (match && r->at->behavior == BD_REMOVED)
			start = end;
		r->held = (struct part){start, end, match};
	}
	r->any = true;
	r->last = match;
}

static bool find(const struct bd_split_at *at, const char *s, size_t n, size_t from, struct bd_regex_work *w,
                 size_t *start, size_t *end)
{
	const char *hit;

	if (at->regex != NULL)
		return bd_regex_find(at->regex, s, n, from, w, start, end);
	hit = bd_tok_find(s + from, n - from, at->string);
	*start = hit != NULL ? (size_t)(hit - s) : n;
	*end = *start + strlen(at->string);
	return hit != NULL;
}

/* An empty match right behind another one does not count. */
void bd_split_run(const struct bd_split_at *at, const char *s, size_t n, struct bd_regex_work *w,
                  bd_emit *emit, void *ctx)
{
	struct run r = {.at = at, .s = s, .emit = emit, .ctx = ctx};
	size_t from = 0, done = 0, start, end, len;
	bool matched = false;

	while (from <= n && find(at, s, n, from, w, &start, &end)) {
		if (start == end && matched && end == done) {
			if (from == n)
				break;
			bd_utf8(s + from, &len);
			from += len;
			continue;
		}
		if (start > done)
			put(&r, done, start, false);
		put(&r, start, end, true);
		from = done = end;
		matched = true;
	}
	if (done < n)
		put(&r, done, n, false);
	flush(&r);
}
