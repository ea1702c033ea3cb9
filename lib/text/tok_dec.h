/* Decoders of tokenizer.json: from the spellings of tokens back to text. */
#ifndef BD_TOK_DEC_H
#define BD_TOK_DEC_H

#include "base/json.h"
#include "base/mem.h"

#define BD_DEC_REPLACES 4
struct bd_dec {
	enum {
		BD_DEC_BYTES,     /* ByteLevel: all tokens' bytes, then UTF-8 */
		BD_DEC_PIECES,    /* Replace, ByteFallback, Fuse, Strip */
		BD_DEC_METASPACE, /* U+2581 becomes " ", or nothing in the first token */
	} kind;
	char *from[BD_DEC_REPLACES], *to[BD_DEC_REPLACES];
	size_t replaces;
	bool fallback; /* <0xHH> is a byte */
	size_t strip;  /* maximum number of leading spaces to remove */
};

/* unknown decoders die, naming them */
void bd_dec_parse(struct bd_dec *d, const json_t *j, const char *name);
void bd_dec_free(struct bd_dec *d);

/* Text so far. Begin with zeroes; `out` gets what is complete. */
struct bd_dec_state {
	struct bd_buf held; /* bytes whose character, or whose run, is not complete */
	bool started;       /* a token has been seen */
	size_t stripped;
};
/* One token, spelled text[n]. whole: the text is decoded as a whole, so a run of byte tokens waits for its
 * end, as in Hugging Face's ByteFallback where one bad byte spoils the run; otherwise characters are output
 * as they become complete. */
void bd_dec_token(const struct bd_dec *d, struct bd_dec_state *s, const char *text, size_t n, bool whole,
                  struct bd_buf *out);
/* outputs what is still held; frees the state */
void bd_dec_end(const struct bd_dec *d, struct bd_dec_state *s, struct bd_buf *out);

#endif
