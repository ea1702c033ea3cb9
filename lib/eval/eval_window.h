/* Sliding windows over long sequences: each window runs by itself and predicts what the previous one has not,
 * so that (except at a sequence's beginning) a token is predicted from at least window - stride and at most
 * window - 1 others. */
#ifndef BD_EVAL_WINDOW_H
#define BD_EVAL_WINDOW_H

#include "data/stream.h"

struct bd_windows {
	struct bd_source *src;
	size_t window, stride; /* tokens, stride <= window; window 0: whole sequences */
	/* internal: zero them */
	struct bd_record whole; /* the sequence that is being cut */
	size_t begin, done;     /* of the next window; positions predicted so far */
};
/* The next window that predicts anything, or a sequence that is no longer than a window, as bd_source_next;
 * with stride == window, the first token of a window that is not a sequence's first has no context and is not
 * predicted. */
bool bd_windows_next(struct bd_windows *w, struct bd_record *r);
void bd_windows_free(struct bd_windows *w); /* frees what is internal */

#endif
