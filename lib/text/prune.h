/* Smaller vocabularies: a tokenizer with some of its tokens. Any text still encodes, and decodes to what it
 * did; texts whose tokens were all kept are encoded as the same tokens. */
#ifndef BD_PRUNE_H
#define BD_PRUNE_H

#include "text/tokenizer.h"

#define BD_NOT_KEPT UINT32_MAX

/* keep[V]: the tokens to keep, V >= bd_tok_vocab(t). Those that encoding needs are set as well: added tokens,
 * those of the post-processor, every byte (bd_bpe_units), and what merges make the kept ones of. Kept tokens
 * are numbered from 0 in their order: to[V] is the new id or BD_NOT_KEPT. Returns the tokenizer whose
 * tokenizer.json has these tokens and the merges between them, in their order. */
struct bd_tok *bd_tok_prune(const struct bd_tok *t, bool *keep, size_t V, uint32_t *to);

#endif
