/* An ongoing conversation: its messages, of which the oldest are dropped when it exceeds the model's
 * context. */
#ifndef BD_TALK_H
#define BD_TALK_H

#include "run/answer.h"

struct bd_talk {
	struct bd_message *m; /* [n] user and assistant alternating; the talk owns the texts */
	size_t n, cap;
};
/* Sends text to the model, whose answer (as bd_answer_chat's) becomes part of the talk. The oldest turns are
 * dropped, with a warning, if less than a quarter of the context, or of max_tokens, would be left for the
 * answer. The next turn draws with the next seed. */
json_t *bd_talk_turn(struct bd_talk *t, struct bd_asked *a, const char *text, bd_gen_emit *emit, void *ctx);
void bd_talk_forget(struct bd_talk *t); /* everything */

#endif
