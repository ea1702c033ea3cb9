/* The model of a byte-pair tokenizer: vocabulary and ranked merges. */
#ifndef BD_TOK_BPE_H
#define BD_TOK_BPE_H

#include "base/json.h"
#include "text/ids.h"
#include "text/tok_vocab.h"

struct bd_bpe;
/* `model` of a tokenizer.json. byte_level: entries are spelled in GPT-2's printable stand-ins for bytes. */
struct bd_bpe *bd_bpe_new(const json_t *model, bool byte_level, const char *name);
void bd_bpe_free(struct bd_bpe *b);

const struct bd_vocab *bd_bpe_vocab(const struct bd_bpe *b);
size_t bd_bpe_merges(const struct bd_bpe *b);
void bd_bpe_merge_at(const struct bd_bpe *b, size_t rank, uint32_t pair[2]);
bool bd_bpe_is_byte(const struct bd_bpe *b, uint32_t id); /* <0xHH> of byte fallback */

/* Scratch memory of bd_bpe_piece; zero it first. */
struct bd_bpe_work {
	struct bd_bpe_symbol *symbol; /* [cap] */
	uint64_t *heap;               /* [3 cap] */
	size_t cap;
};
void bd_bpe_work_free(struct bd_bpe_work *w);
/* Appends the ids of the piece s[n], valid UTF-8. */
void bd_bpe_piece(const struct bd_bpe *b, const char *s, size_t n, struct bd_bpe_work *w, struct bd_ids *out);

#endif
