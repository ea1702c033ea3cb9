/* Tokenizers as Hugging Face's `tokenizers` computes them: byte-level BPE (GPT-2, Qwen, Llama-3)
 * and SentencePiece-style BPE with byte fallback (Llama-2, Gemma), from tokenizer.json.
 * Immutable after loading. */
#ifndef BD_TOKENIZER_H
#define BD_TOKENIZER_H

#include "base/mem.h"
#include "text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bd_tok;
struct bd_gguf;
/* path: tokenizer.json, a model directory, or a GGUF file: its tokenizer.huggingface.json, which bd-pack
 * writes, or what is rebuilt from its keys tokenizer.ggml.* (tok_gguf.h). In a directory, add_bos_token and
 * add_eos_token of tokenizer_config.json apply if tokenizer.json has no post_processor. */
struct bd_tok *bd_tok_open(const char *path);
struct bd_tok *bd_tok_parse(const char *json, size_t n, const char *name); /* name for messages */
/* Of an open GGUF file; NULL and in *why, which the caller frees, what is missing or unknown. */
struct bd_tok *bd_tok_gguf(const struct bd_gguf *g, char **why);
bool bd_tok_rebuilt(const struct bd_tok *t); /* from such keys: its digest is not the original's */
void bd_tok_free(struct bd_tok *t);          /* NULL is fine */
/* XXH3-128 hex of the definition (vocab, merges, added tokens, steps) */
const char *bd_tok_digest(const struct bd_tok *t);
const char *bd_tok_json(const struct bd_tok *t, size_t *n); /* the definition's text */
uint32_t bd_tok_vocab(const struct bd_tok *t);              /* highest id + 1 */

enum bd_tok_flag {
	BD_TOK_BOS = 1,   /* what the post-processor puts before the text (nothing for Qwen) */
	BD_TOK_CONT = 2,  /* a continuation: no "prepend" normaliser, no BOS */
	BD_TOK_EOS = 4,   /* what the post-processor puts after the text (nothing for most) */
	BD_TOK_PLAIN = 8, /* special tokens that are spelled in the text are plain text */
};
/* Appends the ids of text[n] (any bytes; invalid UTF-8 becomes U+FFFD as HF does). */
void bd_tok_encode(const struct bd_tok *t, const char *text, size_t n, unsigned flags, struct bd_ids *out);
/* The same, text valid UTF-8, and where given bytes of it went: the tokens that have bytes of span[k] are
 * those of out from found[k].begin to before found[k].end. Spans ascend and do not overlap. Unknown tokens do
 * not say which bytes they stand for: next to them, one token more or less. */
struct bd_span {
	size_t begin, end;
};
void bd_tok_encode_spans(const struct bd_tok *t, const char *text, size_t n, unsigned flags,
                         const struct bd_span *span, size_t spans, struct bd_ids *out, struct bd_span *found);
/* Appends the text of id[n]; special tokens are omitted unless requested. Whole sequence, lossy UTF-8 as HF's
 * decoders. */
void bd_tok_decode(const struct bd_tok *t, const uint32_t *id, size_t n, bool special, struct bd_buf *out);
/* Streaming decode: appends what is complete after one more id and holds back incomplete UTF-8 in
 * *s (zero it first). */
struct bd_tok_stream {
	char held[64];
	size_t n;
	bool started; /* set it if the text continues another: a leading space is then kept */
};
void bd_tok_stream(const struct bd_tok *t, struct bd_tok_stream *s, uint32_t id, struct bd_buf *out);

int64_t bd_tok_id(const struct bd_tok *t, const char *token); /* -1 if there is none */
/* raw vocabulary entry, NULL for an unused id */
const char *bd_tok_text(const struct bd_tok *t, uint32_t id);
bool bd_tok_special(const struct bd_tok *t, uint32_t id);
bool bd_tok_added(const struct bd_tok *t, uint32_t id); /* one of added_tokens, special or not */
int64_t bd_tok_bos(const struct bd_tok *t);             /* the first id BD_TOK_BOS puts in front, -1: none */
/* For GGUF: kind of model ("gpt2" or "llama"), pre-tokenizer name ("qwen2", "llama-bpe", "gpt-2",
 * "default"), merges. */
const char *bd_tok_ggml_model(const struct bd_tok *t);
const char *bd_tok_ggml_pre(const struct bd_tok *t);
size_t bd_tok_merges(const struct bd_tok *t);
char *bd_tok_merge_at(const struct bd_tok *t, size_t i);  /* "a b"; caller frees */
bool bd_tok_is_byte(const struct bd_tok *t, uint32_t id); /* <0xHH> of a byte-fallback vocabulary */

#endif
