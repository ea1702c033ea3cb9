/* Windows: a long record becomes several short ones. */
#include "eval/eval_window.h"

#include "base/mem.h"

#include <string.h>

/* The window of `whole` at w->begin, predicting from position w->done on. */
static void cut(const struct bd_windows *w, size_t end, struct bd_record *r)
{
	size_t n = end - w->begin, known = w->done > w->begin ? w->done - w->begin : 1;

	bd_record_free(r);
	r->index = w->whole.index;
	r->label = w->whole.label;
	r->n = n;
	r->ids = bd_alloc(n, sizeof(*r->ids));
	r->target = bd_zalloc(n, 1);
	memcpy(r->ids, w->whole.ids + w->begin, n * sizeof(*r->ids));
	if (known < n)
		memcpy(r->target + known, w->whole.target + w->begin + known, n - known);
}

bool bd_windows_next(struct bd_windows *w, struct bd_record *r)
{
	for (;;) {
		if (w->done == w->whole.n) { /* the sequence is finished, or there was none */
			bd_record_free(&w->whole);
			w->begin = w->done = 0;
			if (!w->window)
				return bd_source_next(w->src, r);
			if (!bd_source_next(w->src, &w->whole))
				return false;
		}
		size_t left = w->whole.n - w->begin, end = w->begin + (left < w->window ? left : w->window);
		bool whole = w->begin == 0 && end == w->whole.n;
		cut(w, end, r);
		w->begin += w->stride;
		w->done = end;
		if (whole || memchr(r->target, 1, r->n) != NULL)
			return true;
	}
}

void bd_windows_free(struct bd_windows *w)
{
	bd_record_free(&w->whole);
}
