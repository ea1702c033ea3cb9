/* A model ready to answer: a directory (float, or ternary by its config) or a packed file, with
 * tokenizer and task. */
#ifndef BD_INFER_H
#define BD_INFER_H

#include "base/history.h"
#include "data/stream.h"
#include "data/template.h"
#include "net/net.h"
#include "text/tokenizer.h"

struct bd_infer {
	struct bd_net *net;
	struct bd_acts *acts; /* of bd_infer_batch */
	float *z, *z_copy;    /* [z_n,V] of bd_seq_feed_all; what bd_dev_view needs */
	size_t z_n;
	struct bd_tok *tok;       /* NULL when the model has no tokenizer */
	char *no_tok;             /* why a packed file has none */
	struct bd_template *task; /* NULL: not a task model */
	uint32_t *choice;         /* token of each class */
	size_t n_choice;
	bool packed; /* from GGUF */
	char *path;
	size_t file_bytes;   /* size on disk of the weights */
	char digest[BD_HEX]; /* of bd_infer_input */
};
/* ternary: run the linears of a directory as ternary even if its config does not say so. A ternary directory
 * has the codes, scales and kernels of the file that bd-pack makes from it: the same bits. */
struct bd_infer *bd_infer_open(const char *path, struct bd_dev *dev, bool ternary);
void bd_infer_close(struct bd_infer *m); /* NULL is fine */
/* The model for a history; for a directory, the digest costs a pass over the weights. Valid as long as m. */
struct bd_input bd_infer_input(struct bd_infer *m);
/* The tokenizer, or BD_DATA when there is none. */
const struct bd_tok *bd_infer_tok(const struct bd_infer *m);

/* Dies BD_DATA unless the stream was made with the model's tokenizer, or with the one that bd-pack
 * --vocab-from has taken the model's from: then it is renumbered (bd_source_renumber). */
void bd_infer_fits(const struct bd_infer *m, struct bd_source *src);

/* One growing sequence. */
struct bd_seq;
struct bd_seq *bd_seq_new(struct bd_infer *m, size_t room); /* positions at first: it grows */
/* Appends ids[n], n > 0, and returns the logits [V] after the last one (host memory,
 * owned by the session). */
float *bd_seq_feed(struct bd_seq *s, const uint32_t *ids, size_t n);
/* One token id[i] more of each sequence s[n] of m, in one pass over the weights: z[n,V], valid until the next
 * call for m. The same bits as one by one in a ternary model. */
float *bd_seq_feed_all(struct bd_infer *m, struct bd_seq *const *s, const uint32_t *id, size_t n);
size_t bd_seq_length(const struct bd_seq *s);
void bd_seq_rewind(struct bd_seq *s, size_t n); /* keep the first n positions */
void bd_seq_free(struct bd_seq *s);

/* Runs whole sequences together: fn(ctx, s, P, row, z) is called for each record s in order with
 * the logits z[P,V] (host memory) at its P target positions (z row j predicts ids[row[j]]), in pieces
 * when P is large. fn may destroy z. */
typedef void bd_logits_fn(void *ctx, size_t s, size_t P, const size_t *row, float *z);
void bd_infer_batch(struct bd_infer *m, const struct bd_record *r, size_t n, bd_logits_fn *fn, void *ctx);

/* The same over any net, for evaluation inside training. */
void bd_net_run(struct bd_net *net, struct bd_acts *a, const struct bd_record *r, size_t n, bd_logits_fn *fn,
                void *ctx);
/* Bytes of the device that it takes for T tokens and P positions in all, activations included. */
size_t bd_net_run_bytes(const struct bd_config *c, size_t T, size_t P);

/* Probabilities of the n_choice classes from the logits at the answer: p = softmax(z[choice]). Returns the
 * likeliest, first of equals. choice NULL: z holds these logits alone. */
size_t bd_infer_choose(const float *z, const uint32_t *choice, size_t n_choice, double *p);

#endif
