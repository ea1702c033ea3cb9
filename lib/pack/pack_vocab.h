/* Packing with a part of the vocabulary: the tokens that example streams need (bd-pack --vocab-from). */
#ifndef BD_PACK_VOCAB_H
#define BD_PACK_VOCAB_H

#include "base/opt.h"
#include "data/stream.h"
#include "format/gguf.h"
#include "net/net.h"
#include "text/tokenizer.h"

struct bd_pack_vocab {
	size_t n, of;              /* tokens kept, of how many */
	uint32_t *id;              /* [n] what they were, ascending */
	uint32_t *to;              /* [of] what they are now; BD_NOT_KEPT */
	struct bd_tok *tok;        /* with the kept tokens */
	char tokenizer[BD_HEX];    /* digest of the whole one */
	struct bd_source **stream; /* [streams] read to the end: inputs for a history */
	size_t streams;
};
/* Those of dir's tokenizer that the streams, which were made with it, need: their tokens and labels, the
 * config's special tokens, labels and golden prompts, what the chat template writes, and what bd_tok_prune
 * adds. Dies BD_DATA without a tokenizer. */
struct bd_pack_vocab *bd_pack_vocab_new(const char *dir, const struct bd_config *c,
                                        const struct bd_list *streams);
void bd_pack_vocab_free(struct bd_pack_vocab *v); /* NULL is fine */
/* Rows of embedding and head, and every id of the config. */
void bd_pack_vocab_apply(const struct bd_pack_vocab *v, struct bd_net *net);

#define BD_PACKED_VOCAB     "bd.vocab"     /* JSON: "kept", "of", "tokenizer": the digest of the whole one */
#define BD_PACKED_VOCAB_IDS "bd.vocab_ids" /* u32: what the kept tokens were */
void bd_pack_vocab_keys(const struct bd_pack_vocab *v, struct bd_gguf_writer *w);

/* Reading: false for a file with a whole vocabulary. n: tokens of the model. id is the file's. */
struct bd_packed_vocab {
	char tokenizer[BD_HEX];
	const uint32_t *id; /* [n] */
};
bool bd_packed_vocab(const struct bd_gguf *g, size_t n, struct bd_packed_vocab *v);

#endif
