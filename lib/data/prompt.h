/* Prompts as tokens, and how they are cut to fit: the same for training and for answering. */
#ifndef BD_PROMPT_H
#define BD_PROMPT_H

#include "base/word.h"
#include "data/template.h"
#include "text/tokenizer.h"

/* Which end of a text that is too long is cut off. */
#define BD_CUT_LIST(W) W(BD_CUT_NO, "no") W(BD_CUT_RIGHT, "right") W(BD_CUT_LEFT, "left")
enum bd_cut { BD_CUT_LIST(BD_WORD_ID) };
#define BD_CUT_WORDS BD_WORDS(BD_CUT_LIST)

/* Appends the tokens of the row's prompt, as the beginning of a text. Dies as bd_template_prompt does. */
void bd_prompt_ids(const struct bd_template *t, const struct bd_tok *tok, const char *const *row,
                   const char *where, struct bd_ids *ids);
/* Shortens the longest fields at this end, never the template's words, until the prompt, whose tokens ids has
 * and gets, fits into `room` tokens; false if even empty fields do not help. */
bool bd_prompt_fit(const struct bd_template *t, const struct bd_tok *tok, const char *const *row,
                   const char *where, size_t room, enum bd_cut end, struct bd_ids *ids);

#endif
