/* The tokenizer's keys in a packed file. */
#ifndef BD_PACK_TOK_H
#define BD_PACK_TOK_H

#include "format/gguf.h"
#include "model/config.h"
#include "text/tokenizer.h"

/* Writes tokenizer.ggml.*, tokenizer.huggingface.json and the chat template of the directory; nothing if
 * it has no tokenizer. pruned: in place of the directory's; NULL: that. */
void bd_pack_tokenizer(struct bd_gguf_writer *w, const char *dir, const struct bd_config *c,
                       const struct bd_tok *pruned);

#endif
