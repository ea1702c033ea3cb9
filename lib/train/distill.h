/* The losses of one micro-batch and their gradients, on top of net.h and loss.h:
 *
 *	L = ce CE + lambda LD + gamma AD                                              (arXiv 2510.13998 eq. 8)
 *	CE: mean over target positions;  LD: mean over the positions that have teacher logits;
 *	AD: sum over states, heads and rows of KL(R_t || R_s) / (A_r rows), or / (A_r^2 rows)
 *
 * The denominators are those of the whole step, given by the caller, so that any division into micro-batches
 * is the same mathematics. Logits exist only for one chunk of positions at a time. */
#ifndef BD_DISTILL_H
#define BD_DISTILL_H

#include "math/loss.h"
#include "net/net.h"
#include "data/stream.h"

struct bd_objective {
	double ce;   /* weight of CE */
	bool ld, ad; /* which teacher terms there are */
	enum bd_divergence kind;
	double tau;
	bool tau2;
	int layer;    /* student layer of AD */
	size_t heads; /* A_r */
	double relation_temp;
	bool cosine, code_norm;            /* AD / (A_r^2 rows) */
	bool states[3];                    /* which of Q, K, V */
	size_t common;                     /* ids of both vocabularies, the first ones */
	const struct bd_stream_head *head; /* of the stream; borrowed */
};

/* Sums over micro-batches. The norms are of the terms with weight 1, at the logits (ce2, ld2) and at the
 * states that AD sees (ad2; other2: what arrives there from ce CE + lambda LD). */
struct bd_sums {
	double ce, ld, ad;            /* unweighted sums */
	double ce2, ld2, ad2, other2; /* squared norms */
};

/* Denominators: target positions, positions with teacher logits, tokens. */
struct bd_counts {
	size_t targets, ld, rows;
};
void bd_counts_add(struct bd_counts *c, const struct bd_objective *o, const struct bd_record *r);

struct bd_distill;
struct bd_distill *bd_distill_new(const struct bd_objective *o, struct bd_net *net);
/* Bytes of the device that a micro-batch of T tokens takes beside the activations. */
size_t bd_distill_bytes(const struct bd_objective *o, const struct bd_config *c, size_t T);
void bd_distill_free(struct bd_distill *d); /* NULL is fine */
size_t bd_distill_chunk(size_t vocab);      /* positions whose logits are held at a time */

/* The weights of the teacher terms, and beta of CAKLD. */
struct bd_mix {
	double lambda, gamma, beta;
};
/* Forward, losses and backward of records r[n]: adds to *s and to grad (layout of m->data, the device's). */
struct bd_micro_batch {
	const struct bd_record *r;
	size_t n;
	const struct bd_counts *step;
	const struct bd_mix *mix;
	const struct bd_model *m;
	float *grad;
};
void bd_distill_run(struct bd_distill *d, struct bd_acts *a, const struct bd_micro_batch *b,
                    struct bd_sums *s);
/* AD as a loss: sums.ad times this. */
double bd_distill_ad_unit(const struct bd_objective *o, const struct bd_counts *step);
/* Sum over positions of the teacher's largest probability, for CAKLD's beta; *P positions are added. */
double bd_distill_confidence(struct bd_distill *d, const struct bd_record *r, size_t n, size_t *P);

#endif
