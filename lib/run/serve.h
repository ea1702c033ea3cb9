/* Answering one request after another, of which one that fails ends nothing: each runs under a guard
 * (base/guard.h). */
#ifndef BD_SERVE_H
#define BD_SERVE_H

#include "base/guard.h"
#include "run/answer.h"

enum { BD_SERVE_LINE = 16 << 20 }; /* bytes of the longest line that is answered */

struct bd_serve {
	struct bd_asked *a;
	struct bd_scope model; /* what the device and the net acquire for good meanwhile */
	struct bd_scope
	    scope; /* a's gen, labels and chat, the net's activations: what a failure makes anew */
	uint64_t lines, refused;
	char *first; /* why the first one was refused */
};
void bd_serve_begin(struct bd_serve *s, struct bd_asked *a); /* a must not have answered anything yet */

/* Calls fn(ctx), which answers one request with s->a; counts it. NULL, or why it is refused: a copy, which
 * the caller frees. A failure of the system dies. */
char *bd_serve_call(struct bd_serve *s, void (*fn)(void *ctx), void *ctx);
/* The same for a step on the way to an answer: not counted. What fn acquires is gone after a failure, and at
 * the end. */
char *bd_serve_try(struct bd_serve *s, void (*fn)(void *ctx), void *ctx);
/* Counts a request that is refused for this reason, and returns {"id"?, "error"}. id, or NULL, is taken
 * over. */
json_t *bd_serve_refuse(struct bd_serve *s, json_t *id, const char *why);

/* Reports what was cut. Dies BD_DATA if something was refused, with the number and the first reason. */
void bd_serve_end(struct bd_serve *s);

#endif
