/* The vocabulary of a tokenizer: entries by id and by what they stand for. */
#ifndef BD_TOK_VOCAB_H
#define BD_TOK_VOCAB_H

#include "base/json.h"
#include "base/mem.h"

struct bd_entry {
	const char *text; /* its spelling, NUL-terminated; NULL: unused id */
	const char *key;  /* what it stands for: the spelling, or the bytes that its stand-ins mean */
	uint32_t text_n, key_n;
	bool bytes; /* key is bytes */
};

struct bd_vocab {
	bool byte_level; /* entries are spelled in GPT-2's printable stand-ins for bytes */
	struct bd_entry *entry;
	size_t size;    /* highest id + 1 */
	char *block;    /* all spellings and keys */
	uint64_t *slot; /* hash table of ids */
	size_t slots;
	uint64_t key; /* of the hash */
};
/* Bounds of the tables that are indexed by id: an id is at most BD_MAX_ID, and, in a vocabulary of n entries,
 * below the greater of 4 n and BD_FEW_IDS. An entry has at most BD_MAX_TOKEN bytes. */
#define BD_MAX_ID    ((1 << 24) - 1)
#define BD_FEW_IDS   (1 << 20)
#define BD_MAX_TOKEN (1 << 20)

void bd_vocab_read(struct bd_vocab *v, json_t *vocab, bool byte_level, const char *name);
void bd_vocab_free(struct bd_vocab *v);
/* Id of the entry that stands for key[n] (byte-level: for these bytes), or -1. */
int64_t bd_vocab_key(const struct bd_vocab *v, const char *key, size_t n);
/* Id of the entry that is spelled s[n], or -1. */
int64_t bd_vocab_find(const struct bd_vocab *v, const char *s, size_t n);

/* Appends the bytes that s[n], in GPT-2's stand-ins, means; false, and out as it was, if a character is not
 * one of them. */
bool bd_stand_ins(const char *s, size_t n, struct bd_buf *out);

#endif
