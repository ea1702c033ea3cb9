/* bds: the MessagePack stream between the tools (bd-stream(5)): header, records, check records, end. */
#ifndef BD_STREAM_H
#define BD_STREAM_H

#include "base/history.h"
#include "base/io.h"
#include "base/json.h"
#include "base/word.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whose logits a teacher stream has: positions of the answer, or all. */
#define BD_POSITIONS_LIST(W) W(BD_POSITIONS_ANSWER, "answer") W(BD_POSITIONS_ALL, "all")
enum bd_positions { BD_POSITIONS_LIST(BD_WORD_ID) };
const char *bd_positions_name(bool all);

/* The header. JSON objects are owned by it. */
struct bd_stream_head {
	bool teacher;       /* "teacher", else "examples" */
	char tokenizer[33]; /* XXH3-128 of the tokenizer definition, hex */
	uint32_t vocab;
	json_t *template_; /* the template object, or NULL */
	uint32_t *choice;  /* token id of each label; NULL without classification */
	size_t n_choice;
	/* teacher streams */
	char teacher_digest[33];
	int layer;                   /* 0-based layer the states come from, -1: no states */
	int teacher_layers;          /* the teacher's number of layers */
	uint32_t width[3], heads[3]; /* of q, k, v */
	bool states_f16;
	bool after_rope;    /* q, k taken after q/k norm and rope */
	uint32_t top_k;     /* the largest logits only; 0: not so */
	uint32_t sample;    /* ids drawn, and no logits; 0: not so; both 0: full logits */
	double tau;         /* temperature of top_k's rest, and of the distribution drawn from */
	bool logits;        /* any logits at all */
	bool all_positions; /* else those of the answer */
	json_t *history;    /* provenance: array of strings, or NULL */
	uint64_t examples;  /* records in the stream, if its writer knew; 0: unknown */
	/* which part of a whole it is, from 1, of how many; 0: a whole */
	uint32_t shard, shards;
};
size_t bd_stream_listed(const struct bd_stream_head *h); /* ids listed for a position; 0: all */
void bd_stream_head_free(struct bd_stream_head *h);      /* frees the members */

/* One example. A position i with target[i] = 1 is predicted from position i - 1 and counts in
 * the loss; target[0] is always 0. P = number of such positions (all_positions: n - 1, every
 * position but the first). */
struct bd_record {
	uint64_t index;
	size_t n;        /* tokens */
	uint32_t *ids;   /* [n] */
	uint8_t *target; /* [n] */
	int32_t label;   /* class, or -1 */
	char *ref;       /* reference text or NULL */
	/* teacher */
	size_t positions;   /* P */
	uint16_t *z;        /* f16 [P, vocab] or [P, top_k]; NULL with sample */
	uint32_t *zi;       /* [P, listed] token ids */
	float *zr;          /* [P] of logits / tau: log-sum-exp of the rest; or sum t log t */
	uint16_t *state[3]; /* f16 [n, width] of q, k, v, or NULL */
};
void bd_record_free(struct bd_record *r); /* frees the members, zeroes the struct */
/* The key of a tensor of the teacher's that has a number that is not finite; NULL: none has. */
const char *bd_record_broken(const struct bd_stream_head *h, const struct bd_record *r);
/* Dies BD_DATA if the model has no row for one of its tokens. */
void bd_record_fits(const struct bd_record *r, uint32_t vocab, const char *stream, const char *model);

/* Writing. level < 0: the default (3 when the output is a regular file, none when it is a pipe). */
struct bd_sink;
struct bd_sink *bd_sink_open(const char *path, int level, const struct bd_stream_head *h);
void bd_sink_put(struct bd_sink *s, const struct bd_record *r); /* index is assigned by the sink */
void bd_sink_close(struct bd_sink *s);                          /* end record, flush */

/* Reading. Every check is verified; a stream that stops before its end record dies BD_DATA. */
struct bd_source;
struct bd_source *bd_source_open(const char *path); /* "-" or NULL: stdin */
/* Several streams read as one, in order; indices go on from one to the next. n = 0: stdin. Dies BD_DATA
 * unless they belong together: the same kind, tokenizer, vocabulary, template and teacher, no file twice, and
 * of shards all, in order. */
struct bd_parts {
	char *const *path;
	size_t n;
};
#define BD_PART(p) ((struct bd_parts){(char *const[]){(char *)(uintptr_t)(p)}, 1})
struct bd_source *bd_source_join(struct bd_parts parts);
/* The header of all: `examples` are those of all parts, 0: unknown; the history is that of the first. */
const struct bd_stream_head *bd_source_head(const struct bd_source *s);
const char *bd_source_name(const struct bd_source *s);
/* false at the end record; r's old members are freed */
bool bd_source_next(struct bd_source *s, struct bd_record *r);
bool bd_source_seekable(const struct bd_source *s);
void bd_source_rewind(struct bd_source *s); /* back to the first record */
void bd_source_close(struct bd_source *s);
/* The parts as inputs for a history, valid as long as s: the digest is XXH3-64 hex of the whole stream,
 * decompressed; "" before its end was read. Of all parts, an array that the caller frees. */
struct bd_input *bd_source_inputs(const struct bd_source *s, const char *kind, size_t *n);

/* From now on, a record of more tokens than the model's context dies BD_DATA with both numbers. */
void bd_source_limit(struct bd_source *s, size_t context);

/* For a model that kept id[n], ascending, of the tokens that this stream was made with, and has numbered them
 * from 0, under the digest `tokenizer`: from now on head and records are as if made for it, but have no
 * logits. A label that was not kept dies BD_DATA; so does a record with such a token, when it is read, saying
 * how many there are. To be called before the first record. */
void bd_source_renumber(struct bd_source *s, const uint32_t *id, size_t n, const char tokenizer[33],
                        const char *model);
/* Dies BD_DATA unless the stream's tokenizer digest and vocabulary match the model's. */
void bd_source_fits(const struct bd_source *s, const char tokenizer[33], uint32_t vocab, const char *model);

#endif
