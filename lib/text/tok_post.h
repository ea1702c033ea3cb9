/* Post-processors of tokenizer.json: the tokens before and after every text. */
#ifndef BD_TOK_POST_H
#define BD_TOK_POST_H

#include "base/json.h"
#include "text/ids.h"

#define BD_POST_MAX 256 /* of front, and of back */
struct bd_post {
	struct bd_ids front, back;
};

void bd_post_parse(struct bd_post *p, const json_t *j, const char *name); /* unknown steps die, naming them */
void bd_post_free(struct bd_post *p);
/* Gives a tokenizer.json without a post_processor the one that add_bos_token and add_eos_token of the
 * tokenizer_config.json in dir request; false, and nothing done, if there is one already or none is
 * requested. (An existing one overrides them, as in transformers 5.) */
bool bd_post_complete(json_t *root, const char *dir);

#endif
