/* The tokens that have a meaning for a model: those that end a text, the one that begins it, padding. Every
 * tool learns them here, from the files of a model directory or from the keys of a GGUF file. */
#ifndef BD_SPECIAL_H
#define BD_SPECIAL_H

#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bd_gguf;

#define BD_EOS_MAX 16
struct bd_special {
	uint32_t eos[BD_EOS_MAX]; /* the first is written behind a text, each ends an answer */
	int n_eos;
	int64_t bos, pad; /* -1: none */
};
#define BD_SPECIAL_NONE ((struct bd_special){.bos = -1, .pad = -1})

/* eos_token_id (a number or a list), bos_token_id and pad_token_id of a config.json or
 * generation_config.json, where it has them, instead of those in s. An id that the vocabulary of `vocab`
 * tokens lacks is left out with a warning; what is not a whole number dies BD_DATA. */
void bd_special_config(struct bd_special *s, const json_t *config, size_t vocab, const char *name);
/* The other files of a model directory: generation_config.json, and if no id ends a text so far, the
 * eos_token of tokenizer_config.json (else special_tokens_map.json) as tokenizer.json numbers it. */
void bd_special_dir(struct bd_special *s, const char *dir, size_t vocab);
/* tokenizer.ggml.*: the ends of a text, of a turn and of a message all end an answer. */
void bd_special_gguf(struct bd_special *s, const struct bd_gguf *g, size_t vocab);
bool bd_special_ends(const struct bd_special *s, uint32_t id);
json_t *bd_special_eos_json(const struct bd_special *s); /* as config.json has it; NULL: none */

/* tokenizer_config.json of a directory; NULL: absent. */
json_t *bd_tokenizer_config(const char *dir);
/* config[key], a token: a string or an added token's object; NULL: none. */
const char *bd_token_of(const json_t *config, const char *key);
/* The id of a token in a tokenizer.json, -1. */
int64_t bd_token_id(const json_t *tokenizer, const char *token);

#endif
