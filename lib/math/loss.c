/* Losses over the vocabulary and attention-relation distillation. Probabilities are f32 in kern.h's order,
 * sums of the loss double. */
#include "math/loss.h"

#include "machine/gemm.h"
#include "machine/quant.h"

#include <math.h>
#include <string.h>

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

double bd_loss_ce(const struct bd_kern *k, float *dz, const float *z, const uint32_t *y, float w, size_t P,
                  size_t V, float *scratch)
{
	double loss = 0;

	for (size_t i = 0; i < P; i++, z += V) {
		float lse = softmax_scaled(k, scratch, z, 1, V);

		loss += (double)lse - (double)z[y[i]];
		if (dz == NULL)
			continue;
		k->axpy(dz, w, scratch, V);
		dz[y[i]] -= w;
		dz += V;
	}
	return loss;
}

/* *kl_tp = KL(t || p), *kl_pt = KL(p || t) of one position: p, t[V] the probabilities, z, zt the logits they
 * came from, s = 1 / tau, shift = lse_p - lse_t. log(t/p) = s (zt - z) + shift needs no logarithm. A class of
 * probability zero adds nothing. */
static void kl_sums(double *kl_tp, double *kl_pt, const float *p, const float *t, const float *z,
                    const uint16_t *zt, float s, double shift, size_t V)
{
	float a[CHUNK];
	double tp = 0, pt = 0;

	for (size_t v0 = 0; v0 < V; v0 += CHUNK) {
		size_t n = V - v0 < CHUNK ? V - v0 : CHUNK;

		bd_f32_row(a, zt + v0, n);
		for (size_t i = 0; i < n; i++) {
			double log_ratio = (double)(s * a[i] - s * z[v0 + i]) + shift;

			tp += t[v0 + i] == 0 ? 0 : (double)t[v0 + i] * log_ratio;
			pt -= p[v0 + i] == 0 ? 0 : (double)p[v0 + i] * log_ratio;
		}
	}
	*kl_tp = tp;
	*kl_pt = pt;
}

double bd_loss_kl(const struct bd_kern *k, float *dz, const float *z, const uint16_t *zt, float tau, int tau2,
                  float w, size_t P, size_t V, float *scratch)
{
	float *p = scratch, *t = scratch + V, s = 1 / tau, c = tau2 ? tau : s;
	double loss = 0, kl, unused;

	for (size_t i = 0; i < P; i++, z += V, zt += V) {
		float lse_p = softmax_scaled(k, p, z, s, V), lse_t = softmax_f16(k, t, zt, s, V);

		kl_sums(&kl, &unused, p, t, z, zt, s, (double)lse_p - (double)lse_t, V);
		loss += kl;
		if (dz == NULL)
			continue;
		for (size_t v = 0; v < V; v++)
			dz[v] += w * c * (p[v] - t[v]);
		dz += V;
	}
	return tau2 ? loss * (double)tau * (double)tau : loss;
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

/* The rest's logit is r = log sum of exp z over the ids not among the K, so dr/dz_v = exp(z_v - r): its
 * softmax at tau = 1. */
double bd_loss_kl_topk(const struct bd_kern *k, float *dz, const float *z, const uint16_t *zt,
                       const uint32_t *zi, const float *zr, size_t K, float tau, int tau2, float w, size_t P,
                       size_t V, float *scratch)
{
	const float absent = -1e30f;
	float *rest = scratch, *x = scratch + V, c = tau2 ? tau : 1 / tau;
	double loss = 0, s = 1 / (double)tau;

	for (size_t i = 0; i < P; i++, z += V, zt += K, zi += K) {
		bd_f32_row(x, zt, K);
		double t_rest = s * (double)zr[i], lse_t = lse_with_rest(x, K, s, t_rest);
		memcpy(rest, z, V * sizeof(*z));
		for (size_t j = 0; j < K; j++) {
			x[j] = z[zi[j]];
			rest[zi[j]] = absent;
		}
		double p_rest = s * (double)k->softmax(rest, V), lse_p = lse_with_rest(x, K, s, p_rest);
		float d_rest = (float)kl_class(&loss, p_rest - lse_p, t_rest - lse_t);
		if (dz != NULL)
			k->axpy(dz, w * c * d_rest, rest, V);
		for (size_t j = 0; j < K; j++) {
			double b = s * (double)bd_f16_to_f32(zt[j]) - lse_t;
			float d = (float)kl_class(&loss, s * (double)x[j] - lse_p, b);

			if (dz != NULL)
				dz[zi[j]] += w * c * d;
		}
		if (dz != NULL)
			dz += V;
	}
	return tau2 ? loss * (double)tau * (double)tau : loss;
}

/* d KL(p || t) / dz = p (log(p/t) - KL(p || t)),  d KL(t || p) / dz = p - t. */
double bd_loss_cakld(const struct bd_kern *k, float *dz, const float *z, const uint16_t *zt, float beta,
                     float w, size_t P, size_t V, float *scratch)
{
	float a[CHUNK], *p = scratch, *t = scratch + V;
	double loss = 0, kl_tp, kl_pt;

	for (size_t i = 0; i < P; i++, z += V, zt += V) {
		float lse_p = softmax_scaled(k, p, z, 1, V), lse_t = softmax_f16(k, t, zt, 1, V);

		kl_sums(&kl_tp, &kl_pt, p, t, z, zt, 1, (double)lse_p - (double)lse_t, V);
		loss += (double)beta * kl_pt + (1 - (double)beta) * kl_tp;
		if (dz == NULL)
			continue;
		float shift = lse_t - lse_p - (float)kl_pt;
		for (size_t v0 = 0; v0 < V; v0 += CHUNK) {
			size_t n = V - v0 < CHUNK ? V - v0 : CHUNK;

			bd_f32_row(a, zt + v0, n);
			for (size_t j = 0, v = v0; j < n; j++, v++)
				dz[v] += w * ((1 - beta) * (p[v] - t[v]) +
				              (p[v] == 0 ? 0 : beta * p[v] * (z[v] - a[j] + shift)));
		}
		dz += V;
	}
	return loss;
}

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
		bd_gemm(NULL, BD_N, BD_T, n, n, d, beta_s, u, d, u, d, 0, ss, n);
		bd_gemm(NULL, BD_N, BD_T, n, n, dt, beta_t, ut, dt, ut, dt, 0, st, n);
		loss += relation_rows(k, ss, st, n, row);
		if (ds == NULL)
			continue;
		/* S = u u^T / T, so du = (G + G^T) u / T. */
		bd_gemm(NULL, BD_N, BD_N, n, d, n, w * beta_s, ss, n, u, d, 0, g, d);
		bd_gemm(NULL, BD_T, BD_N, n, d, n, w * beta_s, ss, n, u, d, 1, g, d);
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
