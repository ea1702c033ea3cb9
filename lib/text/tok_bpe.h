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
uint32_t bd_bpe_merged(const struct bd_bpe *b, size_t rank); /* what the merge makes */
bool bd_bpe_is_byte(const struct bd_bpe *b, uint32_t id);    /* <0xHH> of byte fallback */

/* Scratch memory of bd_bpe_piece; zero it first. */
struct bd_bpe_work {
	struct bd_bpe_symbol *symbol; /* [cap] */
	uint64_t *heap;               /* [3 cap] */
	size_t cap;
	struct bd_ids *made; /* if set, every token that a merge makes is appended */
};
void bd_bpe_work_free(struct bd_bpe_work *w);
/* Appends the ids of the piece s[n], valid UTF-8. */
void bd_bpe_piece(const struct bd_bpe *b, const char *s, size_t n, struct bd_bpe_work *w, struct bd_ids *out);

/* Appends the tokens without which some text could not be encoded: all bytes; or ASCII, U+2581, the unknown
 * token and <0xHH>, or, where a <0xHH> is missing, all characters. */
void bd_bpe_units(const struct bd_bpe *b, struct bd_ids *out);
/* Appends what merging makes token `id` of: its units, and all that they become on the way, `id` included.
 * Nothing if merging does not end there: such a token stands for whole pieces only, or is never found. What
 * is around a token does not matter: no pair across its ends is ever merged, so the pairs between them are
 * merged as if they were alone. */
void bd_bpe_parts(const struct bd_bpe *b, uint32_t id, struct bd_bpe_work *w, struct bd_ids *out);

#endif
