/* A conversation that goes on: what was said, and forgetting its beginning when it outgrows the model's
 * context. */
#ifndef BD_TALK_H
#define BD_TALK_H

#include "run/answer.h"

struct bd_talk {
	struct bd_message *m; /* [n] user and assistant in turn; the texts are the talk's */
	size_t n, cap;
};
/* Says text to the model, whose answer (as bd_answer_chat's) becomes part of the talk. The oldest turns are
 * forgotten, with a warning, where the context would leave less than a quarter of itself, or of max_tokens,
 * for the answer. The next turn draws with the next seed. */
json_t *bd_talk_turn(struct bd_talk *t, struct bd_asked *a, const char *text, bd_gen_emit *emit, void *ctx);
void bd_talk_forget(struct bd_talk *t); /* everything */

#endif
