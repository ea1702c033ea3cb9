/* The losses with their gradients (method: arXiv 2510.13998 eq. 8-14, arXiv 2402.10631, arXiv 2012.15828).
 * Logits z[P,V]; every function returns the unweighted sum over its positions (in double) and adds w times
 * its gradient to dz (NULL: only the value is wanted). Ids are checked by the caller. */
#ifndef BD_LOSS_H
#define BD_LOSS_H

#include "machine/kern.h"

#include <stddef.h>
#include <stdint.h>

/* CE: -log softmax(z)[y];  dz += w (softmax(z) - onehot(y)). y[P]. scratch[V]. */
double bd_loss_ce(const struct bd_kern *k, float *dz, const float *z, const uint32_t *y, float w, size_t P,
                  size_t V, float *scratch);

/* KL(t || p), t = softmax(zt / tau), p = softmax(z / tau); times tau^2 when tau2.
 * dz += w c (p - t), c = tau2 ? tau : 1 / tau. zt[P,V] in f16. scratch[2V]. */
double bd_loss_kl(const struct bd_kern *k, float *dz, const float *z, const uint16_t *zt, float tau, int tau2,
                  float w, size_t P, size_t V, float *scratch);
/* The same against a truncated teacher: zt, zi[P,K] its K largest logits and their ids (distinct), zr[P] the
 * log-sum-exp of the rest at tau = 1. K + 1 classes: the rest is one class on both sides, its logit the
 * log-sum-exp at tau = 1; tau divides all K + 1 logits. K <= V. scratch[2V]. */
double bd_loss_kl_topk(const struct bd_kern *k, float *dz, const float *z, const uint16_t *zt,
                       const uint32_t *zi, const float *zr, size_t K, float tau, int tau2, float w, size_t P,
                       size_t V, float *scratch);
/* CAKLD (BitDistiller): beta KL(p || t) + (1 - beta) KL(t || p) at temperature 1. scratch[2V]. */
double bd_loss_cakld(const struct bd_kern *k, float *dz, const float *z, const uint16_t *zt, float beta,
                     float w, size_t P, size_t V, float *scratch);

/* Relations of one state (Q, K or V) of one sequence: s[n,ws] student, t[n,wt] teacher (f16), both split in A
 * contiguous heads of width ws/A and wt/A. R = softmax(u u^T / T), where
 *	cosine:      u = s / max(|s|, 1e-12),  T = temp
 *	scaled dot:  u = s,                    T = temp * sqrt(width)
 * Returns the sum over heads and rows of KL(R_t || R_s), probabilities clamped at 1e-8; ds[n,ws] += w *
 * gradient (ds NULL: not wanted), which ignores the clamp: cosines at temp 1 never come near it. Rows attend
 * to all n columns (no causal mask). scratch: bd_loss_relation_scratch floats. */
struct bd_relation {
	size_t n, ws, wt, A;
	float temp;
	int cosine;
};
size_t bd_loss_relation_scratch(const struct bd_relation *r);
double bd_loss_relation(const struct bd_kern *k, const struct bd_relation *r, float *ds, const float *s,
                        const uint16_t *t, float w, float *scratch);

#endif
