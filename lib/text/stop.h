/* Stop strings: how much of a growing text may be shown so that no part of a stop string ever is. */
#ifndef BD_STOP_H
#define BD_STOP_H

#include "base/mem.h"

struct bd_stop {
	const char *const *string; /* [n], none empty */
	size_t n;
	struct bd_buf held;          /* the end of the text: perhaps the beginning of a stop string */
	struct bd_stop_state *state; /* [n]; NULL at first */
};
/* Adds text[n]; appends to out what may be shown now. Returns the stop string that the text has reached, the
 * one that begins first if there are several (out then has the text before it; discard the rest), or NULL. */
const char *bd_stop_add(struct bd_stop *s, const char *text, size_t n, struct bd_buf *out);
void bd_stop_end(struct bd_stop *s, struct bd_buf *out); /* the text ends: what is held belongs to it */
void bd_stop_free(struct bd_stop *s);                    /* not the strings */

#endif
