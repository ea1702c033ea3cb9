/* The keys of a packed file that say what the model is; those of the tokenizer are in pack_tok.h. */
#ifndef BD_PACK_KEYS_H
#define BD_PACK_KEYS_H

#include "pack/pack_vocab.h"
#include "pack/target.h"

/* general.* and the architecture's, as the target's loader expects them. */
void bd_pack_keys(struct bd_gguf_writer *w, const struct bd_config *c, const struct bd_layout *l,
                  enum bd_ggml_type ternary, const char *name);
/* bd.*: what our reader needs and people may want to know. digest: of the checkpoint; vocab: NULL if it is
 * whole. */
void bd_pack_own_keys(struct bd_gguf_writer *w, const struct bd_config *c, const struct bd_layout *l,
                      const json_t *golden, const char *digest, const struct bd_pack_vocab *vocab);

#endif
