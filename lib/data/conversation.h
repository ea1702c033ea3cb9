/* Conversations as sequences to train on. */
#ifndef BD_CONVERSATION_H
#define BD_CONVERSATION_H

#include "text/chat.h"

#include <stdint.h>

/* The tokens of the conversation in text[n], appended to ids, and in *target, which the caller frees, 1 for
 * each that is the assistant's. The text is a JSON array of messages, {"role", "content"}, or {"from",
 * "value"} as ShareGPT has them ("human" and "gpt" for user and assistant). Dies BD_DATA if it is none, or if
 * the chat template does not allow it. */
void bd_conversation_ids(const struct bd_chat *chat, const struct bd_tok *tok, const char *text, size_t n,
                         const char *where, struct bd_ids *ids, uint8_t **target);

#endif
