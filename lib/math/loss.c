/* Losses over the vocabulary and attention-relation distillation. Probabilities are f32 in kern.h's order,
 * sums of the loss double. */
#include "math/loss.h"

#include <math.h>
#include <string.h>

#include "machine/gemm.h"
#include "machine/quant.h"

enum { CHUNK = 512 }; /* half-precision values converted at a time */

/* p[n] = softmax(z * s); returns the log-sum-exp. */
static float softmax_scaled(const struct bd_kern *k, float *p, const float *z, float s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = z[i] * s;
	return k->softmax(p, n);
}

static float softmax_f16(const struct bd_kern *k, float *p, const uint16_t *z, float s, size_t n)
{
	bd_f32_row(p, z, n);
	return softmax_scaled(k, p, p, s, n);
}

double bd_loss_ce(const struct bd_kern *k, float *dz, const float *z, uint32_t y, float w, size_t V,
                  float *scratch)
{
	float lse = softmax_scaled(k, scratch, z, 1, V);

	if (dz != NULL) {
		k->axpy(dz, w, scratch, V);
		dz[y] -= w;
	}
	return (double)lse - (double)z[y];
}

/* ---- the teacher's distribution ---- */

/* What a divergence sees of one position. */
struct pair {
	const struct bd_kern *k;
	const struct bd_soften *s;
	const struct bd_teacher_logits *t;
	float *dz; /* or NULL */
	const float *z;
	float w;
	size_t V;
	float *scratch; /* [2V] */
};

/* Of p, t[V], the probabilities of one position at temperature 1 / s, with shift = lse_p - lse_t. */
struct divergences {
	double tp, pt; /* KL(t || p), KL(p || t) */
};

/* log(t/p) = s (zt - z) + shift needs no logarithm. A class of probability zero adds nothing. */
static struct divergences kl_sums(const struct pair *x, const float *p, const float *t, float s, double shift)
{
	float a[CHUNK];
	double tp = 0, pt = 0;

	for (size_t v0 = 0; v0 < x->V; v0 += CHUNK) {
		size_t n = x->V - v0 < CHUNK ? x->V - v0 : CHUNK;

		bd_f32_row(a, x->t->zt + v0, n);
		for (size_t i = 0; i < n; i++) {
			double log_ratio = (double)(s * a[i] - s * x->z[v0 + i]) + shift;

			tp += t[v0 + i] == 0 ? 0 : (double)t[v0 + i] * log_ratio;
			pt -= p[v0 + i] == 0 ? 0 : (double)p[v0 + i] * log_ratio;
		}
	}
	return (struct divergences){tp, pt};
}

static double times_tau2(const struct bd_soften *s, double kl)
{
	return s->tau2 ? kl * (double)s->tau * (double)s->tau : kl;
}

static double kl(const struct pair *x)
{
	float *p = x->scratch, *t = p + x->V, s = 1 / x->s->tau, c = x->s->tau2 ? x->s->tau : s;
	float lse_p = softmax_scaled(x->k, p, x->z, s, x->V), lse_t = softmax_f16(x->k, t, x->t->zt, s, x->V);
	double loss = kl_sums(x, p, t, s, (double)lse_p - (double)lse_t).tp;

	for (size_t v = 0; x->dz != NULL && v < x->V; v++)
		x->dz[v] += x->w * c * (p[v] - t[v]);
	return times_tau2(x->s, loss);
}

/* log(exp(rest) + sum_i exp(s x_i)), i < K. */
static double lse_with_rest(const float *x, size_t K, double s, double rest)
{
	double max = rest, sum = 0;
	for (size_t i = 0; i < K; i++)
		max = max < s * (double)x[i] ? s * (double)x[i] : max;
	for (size_t i = 0; i < K; i++)
		sum += exp(s * (double)x[i] - max);
	return max + log(sum + exp(rest - max));
}

/* One class of log-probabilities a (student) and b (teacher): adds its share of KL(t || p), returns p - t. */
static double kl_class(double *kl, double a, double b)
{
	double p = exp(a), t = exp(b);
	*kl += t == 0 ? 0 : t * (b - a);
	return p - t;
}

/* The rest's log-sum-exp is r = log sum of exp(s z) over the ids not among the K, so dr/dz_v = s exp(s z_v -
 * r). */
static double kl_topk(const struct pair *q)
{
	const float absent = -1e30f;
	const uint32_t *zi = q->t->zi;
	size_t K = q->t->K, V = q->V;
	float *rest = q->scratch, *x = rest + V, tau = q->s->tau, c = q->s->tau2 ? tau : 1 / tau;
	double loss = 0, s = 1 / (double)tau, t_rest = (double)q->t->zr, lse_t, p_rest, lse_p;

	bd_f32_row(x, q->t->zt, K);
	lse_t = lse_with_rest(x, K, s, t_rest);
	for (size_t v = 0; v < V; v++)
		rest[v] = q->z[v] * (float)s;
	for (size_t j = 0; j < K; j++) {
		x[j] = q->z[zi[j]];
		rest[zi[j]] = absent;
	}
	p_rest = (double)q->k->softmax(rest, V);
	lse_p = lse_with_rest(x, K, s, p_rest);
	float d_rest = (float)kl_class(&loss, p_rest - lse_p, t_rest - lse_t);

	if (q->dz != NULL)
		q->k->axpy(q->dz, q->w * c * d_rest, rest, V);
	for (size_t j = 0; j < K; j++) {
		double b = s * (double)bd_f16_to_f32(q->t->zt[j]) - lse_t;
		float d = (float)kl_class(&loss, s * (double)x[j] - lse_p, b);

		if (q->dz != NULL)
			q->dz[zi[j]] += q->w * c * d;
	}
	return times_tau2(q->s, loss);
}

/* sum t log t - sum t log p, with t the frequencies of the ids. */
static double kl_drawn(const struct pair *q)
{
	const uint32_t *zi = q->t->zi;
	size_t K = q->t->K;
	float *p = q->scratch, tau = q->s->tau, c = q->s->tau2 ? tau : 1 / tau;
	double lse = (double)softmax_scaled(q->k, p, q->z, 1 / tau, q->V), sum = 0;

	if (q->dz != NULL)
		q->k->axpy(q->dz, q->w * c, p, q->V);
	for (size_t j = 0; j < K; j++) {
		sum += (double)q->z[zi[j]];
		if (q->dz != NULL)
			q->dz[zi[j]] -= q->w * c / (float)K;
	}
	return times_tau2(q->s, (double)q->t->zr + lse - sum / ((double)K * (double)tau));
}

/* d KL(p || t) / dz = p (log(p/t) - KL(p || t)),  d KL(t || p) / dz = p - t. */
static double cakld(const struct pair *x)
{
	size_t V = x->V;
	float a[CHUNK], *p = x->scratch, *t = p + V, beta = x->s->beta, w = x->w;
	float lse_p = softmax_scaled(x->k, p, x->z, 1, V), lse_t = softmax_f16(x->k, t, x->t->zt, 1, V);
	struct divergences d = kl_sums(x, p, t, 1, (double)lse_p - (double)lse_t);
	float shift = lse_t - lse_p - (float)d.pt;

	for (size_t v0 = 0; x->dz != NULL && v0 < V; v0 += CHUNK) {
		size_t n = V - v0 < CHUNK ? V - v0 : CHUNK;

		bd_f32_row(a, x->t->zt + v0, n);
		for (size_t j = 0, v = v0; j < n; j++, v++)
			x->dz[v] += w * ((1 - beta) * (p[v] - t[v]) +
			                 (p[v] == 0 ? 0 : beta * p[v] * (x->z[v] - a[j] + shift)));
	}
	return (double)beta * d.pt + (1 - (double)beta) * d.tp;
}

/* Of full logits; of the K largest and of K drawn ids, NULL: not defined. */
static const struct {
	double (*full)(const struct pair *x), (*largest)(const struct pair *x),
	    (*drawn)(const struct pair *x);
} divergence[] = {
    [BD_DIV_KL] = {kl, kl_topk, kl_drawn},
    [BD_DIV_CAKLD] = {cakld, NULL, NULL},
};

double bd_loss_divergence(const struct bd_kern *k, const struct bd_soften *s,
                          const struct bd_teacher_logits *t, float *dz, const float *z, float w, size_t V,
                          float *scratch)
{
	struct pair x = {k, s, t, dz, z, w, V, scratch};

	if (t->K == 0)
		return divergence[s->kind].full(&x);
	return t->drawn ? divergence[s->kind].drawn(&x) : divergence[s->kind].largest(&x);
}

bool bd_divergence_of_listed(enum bd_divergence d)
{
	return divergence[d].largest != NULL && divergence[d].drawn != NULL;
}

double bd_loss_confidence(const uint16_t *zt, float *row, size_t V)
{
	float max = -INFINITY;
	double sum = 0;

	bd_f32_row(row, zt, V);
	for (size_t v = 0; v < V; v++)
		max = row[v] > max ? row[v] : max;
	for (size_t v = 0; v < V; v++)
		sum += exp((double)(row[v] - max));
	return 1 / sum;
}

/* ---- relations ---- */

/* Student and teacher vectors, their gradient, two matrices of scores, two rows, and the student's norms. */
size_t bd_loss_relation_scratch(const struct bd_relation *r)
{
	return r->n * (2 * (r->ws / r->A) + r->wt / r->A + 2 * r->n + 1) + 2 * r->n;
}

/* u[n,d] /= max(|u|, 1e-12) row by row; norm[n] (or NULL) gets the divisors. */
static void normalise(const struct bd_kern *k, float *u, float *norm, size_t n, size_t d)
{
	for (size_t i = 0; i < n; i++, u += d) {
		float l = sqrtf(k->dot(u, u, d));
		l = l < 1e-12f ? 1e-12f : l;
		for (size_t j = 0; j < d; j++)
			u[j] /= l;
		if (norm != NULL)
			norm[i] = l;
	}
}

/* ds[d] += (g - u (g.u)) / norm: the gradient passes through u = s / norm. */
static void normalise_backward(const struct bd_kern *k, float *ds, const float *g, const float *u, float norm,
                               size_t d)
{
	float gu = k->dot(g, u, d);
	for (size_t j = 0; j < d; j++)
		ds[j] += (g[j] - u[j] * gu) / norm;
}

static double at_least(double x, double floor)
{
	return x < floor ? floor : x; /* NaN stays: fmax would hide it */
}

/* sum over rows of KL(R_t || R_s) from the scores S_s, S_t[n,n]; S_s becomes R_s - R_t, the gradient of the
 * loss to it. row[2n]. */
static double relation_rows(const struct bd_kern *k, float *ss, const float *st, size_t n, float *row)
{
	const double floor = log(1e-8);
	float *p = row, *t = row + n;
	double loss = 0;
	for (size_t i = 0; i < n; i++, ss += n, st += n) {
		double lse_p = (double)softmax_scaled(k, p, ss, 1, n),
		       lse_t = (double)softmax_scaled(k, t, st, 1, n);
		for (size_t j = 0; j < n; j++) {
			double log_t = at_least((double)st[j] - lse_t, floor),
			       log_p = at_least((double)ss[j] - lse_p, floor);
			loss += at_least((double)t[j], 1e-8) * (log_t - log_p);
			ss[j] = p[j] - t[j];
		}
	}
	return loss;
}

double bd_loss_relation(const struct bd_kern *k, const struct bd_relation *r, float *ds, const float *s,
                        const uint16_t *t, float w, float *scratch)
{
	size_t n = r->n, d = r->ws / r->A, dt = r->wt / r->A;
	float *u = scratch, *g = u + n * d, *ut = g + n * d, *ss = ut + n * dt, *st = ss + n * n,
	      *row = st + n * n, *norm = row + 2 * n;
	float beta_s = 1 / (r->cosine ? r->temp : r->temp * sqrtf((float)d));
	float beta_t = 1 / (r->cosine ? r->temp : r->temp * sqrtf((float)dt));
	double loss = 0;
	for (size_t a = 0; a < r->A; a++) {
		for (size_t i = 0; i < n; i++) {
			memcpy(u + i * d, s + i * r->ws + a * d, d * sizeof(*u));
			bd_f32_row(ut + i * dt, t + i * r->wt + a * dt, dt);
		}
		if (r->cosine) {
			normalise(k, u, norm, n, d);
			normalise(k, ut, NULL, n, dt);
		}
		bd_gemm(NULL, &(struct bd_product){BD_N, BD_T, n, n, d, beta_s, u, d, u, d, 0, ss, n});
		bd_gemm(NULL, &(struct bd_product){BD_N, BD_T, n, n, dt, beta_t, ut, dt, ut, dt, 0, st, n});
		loss += relation_rows(k, ss, st, n, row);
		if (ds == NULL)
			continue;
		/* S = u u^T / T, so du = (G + G^T) u / T. */
		bd_gemm(NULL, &(struct bd_product){BD_N, BD_N, n, d, n, w * beta_s, ss, n, u, d, 0, g, d});
		bd_gemm(NULL, &(struct bd_product){BD_T, BD_N, n, d, n, w * beta_s, ss, n, u, d, 1, g, d});
		for (size_t i = 0; i < n; i++) {
			float *to = ds + i * r->ws + a * d;
			if (r->cosine)
				normalise_backward(k, to, g + i * d, u + i * d, norm[i], d);
			else
				k->axpy(to, 1, g + i * d, d);
		}
	}
	return loss;
}
