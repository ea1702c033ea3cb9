/* Pre-tokenizers of tokenizer.json: cutting a text into the pieces that merges never cross. */
#ifndef BD_TOK_PRE_H
#define BD_TOK_PRE_H

#include "base/json.h"
#include "base/mem.h"
#include "text/tok_split.h"

/* Bytes of the first piece of s[n]: n > 0, valid UTF-8. */
typedef size_t bd_split(const char *s, size_t n);

/* A step: a function, or what to do with matches. */
struct bd_pre_step {
	bd_split *split; /* NULL: at */
	struct bd_split_at at;
};

#define BD_PRE_STEPS 8
struct bd_pre {
	struct bd_pre_step step[BD_PRE_STEPS]; /* each step cuts the pieces of the previous one */
	size_t n;
	bool byte_level;   /* the model sees bytes, not characters */
	bool prefix_space; /* a text that does not begin with " " gets one */
	/* " " becomes U+2581, which is prepended */
	enum { BD_META_NONE, BD_META_NEVER, BD_META_FIRST, BD_META_ALWAYS } metaspace;
	const char *ggml; /* llama.cpp's name for these rules */
};

/* Unknown steps and patterns die, naming them. */
void bd_pre_parse(struct bd_pre *p, const json_t *j, const char *name);
/* The pattern that llama.cpp calls "qwen2", "llama-bpe", "gpt-2", "gpt-4o" or "qwen35". */
const char *bd_pre_pattern(const char *ggml);
void bd_pre_free(struct bd_pre *p);

/* Where the piece is: the prefix rules depend on it. */
enum bd_place { BD_FIRST, BD_LATER, BD_CONTINUED };
/* s[*n] with the space that is put before it, or U+2581 for its spaces; *n is updated: s itself or in buf. */
const char *bd_pre_rewrite(const struct bd_pre *p, const char *s, size_t *n, enum bd_place place,
                           struct bd_buf *buf);
/* Calls emit with every piece of s[n]; buf and w are scratch. */
void bd_pre_run(const struct bd_pre *p, const char *s, size_t n, enum bd_place place, struct bd_buf *buf,
                struct bd_regex_work *w, bd_emit *emit, void *ctx);

#endif
