/* The losses of one position with their gradients, as the CPU computes them; op_loss.h runs them on a device.
 * (Method: arXiv 2510.13998 eq. 8-14, arXiv 2402.10631, arXiv 2012.15828.)
 *
 * Every function returns the unweighted loss in double and adds w times its gradient to dz (NULL: only the
 * value is wanted). Arrays are z, dz[V]; scratch has 2V floats. Ids are checked by the caller. */
#ifndef BD_LOSS_H
#define BD_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/word.h"
#include "machine/kern.h"

/* What LD minimises between the teacher's distribution t and the student's p, and its word as an option. The
 * functions are in a table of loss.c. */
#define BD_DIV_LIST(W) W(BD_DIV_KL, "kl") W(BD_DIV_CAKLD, "cakld")
#define BD_DIVERGENCES BD_WORDS(BD_DIV_LIST)
enum bd_divergence { BD_DIV_LIST(BD_WORD_ID) };
/* Whether it is defined for teachers that list only some ids. */
bool bd_divergence_of_listed(enum bd_divergence d);

/* CE: -log softmax(z)[y];  dz += w (softmax(z) - onehot(y)). */
double bd_loss_ce(const struct bd_kern *k, float *dz, const float *z, uint32_t y, float w, size_t V,
                  float *scratch);

/* The teacher at one position: its logits zt[V] in f16; or, K > 0, the ids zi[K] < V of its K largest logits
 * zt[K] (distinct), with zr = log sum exp(zt / tau) over the others; or, drawn, K ids of its distribution at
 * temperature tau, each expected t K times, with zr = sum t log t. */
struct bd_teacher_logits {
	const uint16_t *zt;
	const uint32_t *zi;
	size_t K;
	float zr;
	bool drawn;
};

/* How the two distributions are compared. */
struct bd_soften {
	enum bd_divergence kind;
	float tau;  /* temperature of KL */
	bool tau2;  /* KL times tau^2 */
	float beta; /* of CAKLD */
};

/* Of s->kind: KL(t || p), t = softmax(zt / tau), p = softmax(z / tau), times tau^2 when tau2; dz += w c (p
 * - t), c = tau2 ? tau : 1 / tau. With K largest logits there are K + 1 classes, the rest being one on
 * both sides: the KL of that is at most the full one, and its gradient leaves the shares within the rest
 * alone. With K drawn ids (arXiv 2503.16870) t is their frequency, so loss and gradient are expected to be
 * the full ones. CAKLD (BitDistiller), of full logits: beta KL(p || t) + (1 - beta) KL(t || p) at
 * temperature 1. V may be less than the student has: ids from V on are then in neither distribution. */
double bd_loss_divergence(const struct bd_kern *k, const struct bd_soften *s,
                          const struct bd_teacher_logits *t, float *dz, const float *z, float w, size_t V,
                          float *scratch);

/* Relations of one state (Q, K or V) of one sequence: s[n,ws] student, t[n,wt] teacher (f16), both split in A
 * contiguous heads of width ws/A and wt/A. R = softmax(u u^T / T), where
 *	cosine:      u = s / max(|s|, 1e-12),  T = temp
 *	scaled dot:  u = s,                    T = temp * sqrt(width)
 * Returns the sum over heads and rows of KL(R_t || R_s), probabilities clamped at 1e-8; ds[n,ws] += w *
 * gradient (NULL: not wanted), which ignores the clamp: cosines at temp 1 never come near it. Rows attend to
 * all n columns (no causal mask). scratch: bd_loss_relation_scratch floats. */
struct bd_relation {
	size_t n, ws, wt, A;
	float temp;
	bool cosine;
};
size_t bd_loss_relation_scratch(const struct bd_relation *r);
double bd_loss_relation(const struct bd_kern *k, const struct bd_relation *r, float *ds, const float *s,
                        const uint16_t *t, float w, float *scratch);

/* The teacher's largest probability, 1 / sum exp(zt - max zt); row: V floats of scratch. */
double bd_loss_confidence(const uint16_t *zt, float *row, size_t V);

#endif
