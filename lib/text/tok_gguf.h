/* The tokenizer of a GGUF file that another program wrote: from its keys tokenizer.ggml.*, the tokenizer.json
 * from which they were made, as far as they tell. */
#ifndef BD_TOK_GGUF_H
#define BD_TOK_GGUF_H

#include "base/json.h"
#include "format/gguf.h"

/* The definition, or NULL and in *why what is missing or unknown, for a message; the caller frees both. Lost
 * are flags of added tokens (lstrip, rstrip, single_word) and all but the usual normalisers. */
json_t *bd_tok_gguf_json(const struct bd_gguf *g, char **why);

#endif
