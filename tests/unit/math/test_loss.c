/* The losses against their formulas in double, and their gradients against central differences of those
 * formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "math/loss.h"
#include "near.h"
#include "machine/quant.h"

#define EACH_KERN(k) for (const struct bd_kern *const *each = bd_kern_all(), *k = *each; k; k = *++each)

enum loss { CE, KL, TOPK, DRAWN, CAKLD };

/* One loss over P positions: student logits z in double, teacher's as the half-precision values say. */
struct over_vocab {
	enum loss kind;
	size_t P, V, K;
	double *z, *zt, *zr, tau, beta;
	const uint32_t *y, *zi;
	int tau2;
};

static double lse(const double *x, size_t n, double tau)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += exp(x[i] / tau);
	return log(sum);
}

/* KL(softmax(a / tau) || softmax(b / tau)) */
static double kl(const double *a, const double *b, size_t n, double tau)
{
	double la = lse(a, n, tau), lb = lse(b, n, tau), sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += exp(a[i] / tau - la) * ((a[i] / tau - la) - (b[i] / tau - lb));
	return sum;
}

/* Both sides as K + 1 classes, the last one being everything else. */
static double kl_topk(const struct over_vocab *c, const double *z, const double *zt, const uint32_t *zi,
                      double zr)
{
	double s[32], t[32], rest = 0;
	for (size_t v = 0; v < c->V; v++) {
		bool chosen = false;
		for (size_t j = 0; j < c->K; j++)
			chosen |= zi[j] == v;
		rest += chosen ? 0 : exp(z[v] / c->tau);
	}
	for (size_t j = 0; j < c->K; j++) {
		s[j] = z[zi[j]];
		t[j] = zt[j];
	}
	s[c->K] = c->tau * log(rest), t[c->K] = c->tau * zr;
	return kl(t, s, c->K + 1, c->tau);
}

/* sum t log t, which is given, less sum t log p with the ids' frequencies t. */
static double kl_drawn(const struct over_vocab *c, const double *z, const uint32_t *zi, double zr)
{
	double sum = zr;
	for (size_t j = 0; j < c->K; j++)
		sum -= (z[zi[j]] / c->tau - lse(z, c->V, c->tau)) / (double)c->K;
	return sum;
}

static double formula(void *ctx)
{
	const struct over_vocab *c = ctx;
	double sum = 0, t2 = c->tau2 ? c->tau * c->tau : 1;
	for (size_t i = 0; i < c->P; i++) {
		const double *z = c->z + i * c->V, *t = c->zt + i * (c->kind == TOPK ? c->K : c->V);
		if (c->kind == CE)
			sum += lse(z, c->V, 1) - z[c->y[i]];
		else if (c->kind == KL)
			sum += t2 * kl(t, z, c->V, c->tau);
		else if (c->kind == TOPK)
			sum += t2 * kl_topk(c, z, t, c->zi + i * c->K, c->zr[i]);
		else if (c->kind == DRAWN)
			sum += t2 * kl_drawn(c, z, c->zi + i * c->K, c->zr[i]);
		else
			sum += c->beta * kl(z, t, c->V, 1) + (1 - c->beta) * kl(t, z, c->V, 1);
	}
	return sum;
}

/* The sum over the positions. */
static double run(const struct bd_kern *k, const struct over_vocab *c, float *dz, const float *z,
                  const uint16_t *zt, const float *zr, float w, float *scratch)
{
	struct bd_soften s = {c->kind == CAKLD ? BD_DIV_CAKLD : BD_DIV_KL, (float)c->tau, c->tau2 != 0,
	                      (float)c->beta};
	double sum = 0;
	for (size_t i = 0; i < c->P; i++) {
		struct bd_teacher_logits t = {.zt = zt + i * (c->kind == TOPK ? c->K : c->V)};
		float *g = dz != NULL ? dz + i * c->V : NULL;
		if (c->kind == TOPK || c->kind == DRAWN)
			t.zi = c->zi + i * c->K, t.zr = zr[i], t.K = c->K, t.drawn = c->kind == DRAWN;
		if (c->kind == CE)
			sum += bd_loss_ce(k, g, z + i * c->V, c->y[i], w, c->V, scratch);
		else
			sum += bd_loss_divergence(k, &s, &t, g, z + i * c->V, w, c->V, scratch);
	}
	return sum;
}

/* Value, gradient with weight w added to what is there, and value without gradient. */
static void check_loss(const char *what, struct over_vocab c)
{
	const double w = 0.25;
	size_t n = c.P * c.V, m = c.kind == TOPK ? c.P * c.K : n;
	float *z = normal(n, 3), *t = normal(m, 3), *zr = normal(c.P, 1), *start = normal(n, 0.5),
	      *scratch = normal(2 * c.V, 1);
	uint16_t *zt = bd_alloc(m, sizeof(*zt));
	for (size_t i = 0; i < c.P; i++)
		zr[i] += 2;
	bd_f16_row(zt, t, m);
	bd_f32_row(t, zt, m);
	c.z = doubles(z, n), c.zt = doubles(t, m), c.zr = doubles(zr, c.P);

	double want = formula(&c), *g = gradient(formula, &c, c.z, n, NULL);
	for (size_t i = 0; i < n; i++)
		g[i] = w * g[i] + (double)start[i];
	EACH_KERN(k)
	{
		float *dz = copy_of(start, n);
		assert_near1(what, run(k, &c, NULL, z, zt, zr, (float)w, scratch), want, 2e-6);
		assert_near1(what, run(k, &c, dz, z, zt, zr, (float)w, scratch), want, 2e-6);
		assert_near(what, dz, g, n, 2e-6);
		bd_free(dz);
	}
	void *all[] = {z, t, zr, start, scratch, zt, c.z, c.zt, c.zr, g};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_free(all[i]);
}

enum { P = 2, V = 600, TOP = 4 }; /* V spans chunks of the implementation */
static const uint32_t answers[P] = {0, 599};
static const uint32_t top[P * TOP] = {5, 0, 599, 31, 1, 2, 3, 598};

static void test_ce(void **state)
{
	(void)state;
	check_loss("ce", (struct over_vocab){.kind = CE, .P = P, .V = V, .y = answers});
}

static void test_kl(void **state)
{
	(void)state;
	check_loss("kl", (struct over_vocab){.kind = KL, .P = P, .V = V, .tau = 1});
	check_loss("kl tau 5", (struct over_vocab){.kind = KL, .P = P, .V = V, .tau = 5});
	check_loss("kl tau 5 squared", (struct over_vocab){.kind = KL, .P = P, .V = V, .tau = 5, .tau2 = 1});
}

static void test_kl_topk(void **state)
{
	struct over_vocab c = {.kind = TOPK, .P = P, .V = V, .K = TOP, .zi = top, .tau = 1};
	(void)state;
	check_loss("topk", c);
	c.tau = 5;
	check_loss("topk tau 5", c);
	c.tau2 = 1;
	check_loss("topk tau 5 squared", c);
}

static void test_kl_drawn(void **state)
{
	static const uint32_t drawn[P * TOP] = {5, 5, 5, 31, 0, 17, 599, 599};
	struct over_vocab c = {.kind = DRAWN, .P = P, .V = V, .K = TOP, .zi = drawn, .tau = 1};
	(void)state;
	check_loss("drawn", c);
	c.tau = 5;
	check_loss("drawn tau 5", c);
	c.tau2 = 1;
	check_loss("drawn tau 5 squared", c);
}

static void test_cakld(void **state)
{
	(void)state;
	check_loss("cakld", (struct over_vocab){.kind = CAKLD, .P = P, .V = V, .beta = 0});
	check_loss("cakld", (struct over_vocab){.kind = CAKLD, .P = P, .V = V, .beta = 0.75});
	check_loss("cakld", (struct over_vocab){.kind = CAKLD, .P = P, .V = V, .beta = 1});
}

/* With all the vocabulary among the K and no rest, the truncated loss is the full one. */
static void test_topk_is_kl(void **state)
{
	enum { N = 24 };
	uint32_t all[N];
	uint16_t zt[N], chosen[N];
	float *z = normal(N, 3), *t = normal(N, 3), *a = normal(2 * N, 1), dz[2][N] = {{0}}, rest = -INFINITY;
	(void)state;
	bd_f16_row(zt, t, N);
	for (uint32_t i = 0; i < N; i++) {
		all[i] = (i * 7 + 3) % N;
		chosen[i] = zt[all[i]];
	}
	struct bd_soften s = {BD_DIV_KL, 2, true, 0};
	struct bd_teacher_logits whole = {.zt = zt}, listed = {chosen, all, N, rest, false};
	double full = bd_loss_divergence(bd_kern(), &s, &whole, dz[0], z, 1, N, a);
	double *want = doubles(dz[0], N);
	assert_near1("topk of all", bd_loss_divergence(bd_kern(), &s, &listed, dz[1], z, 1, N, a), full,
	             2e-6);
	assert_near("topk of all, gradient", dz[1], want, N, 2e-6);
	bd_free(z), bd_free(t), bd_free(a), bd_free(want);
}

/* Equal logits, and logits certain to the last bit, in a large vocabulary: no loss, no gradient, no NaN. */
static void test_kl_edges(void **state)
{
	enum { N = 50000 };
	float *z = normal(N, 4), *dz = bd_zalloc(N, sizeof(*dz)), *scratch = normal(2 * N, 1);
	uint16_t *zt = bd_alloc(N, sizeof(*zt));
	struct bd_soften kl1 = {BD_DIV_KL, 1, false, 0}, half = {BD_DIV_CAKLD, 1, false, 0.5f};
	struct bd_teacher_logits t = {.zt = zt};
	(void)state;
	for (int certain = 0; certain < 2; certain++) {
		if (certain)
			z[N / 3] = 300;
		bd_f16_row(zt, z, N);
		bd_f32_row(z, zt, N);
		assert_true(fabs(bd_loss_divergence(bd_kern(), &kl1, &t, dz, z, 1, N, scratch)) < 1e-6);
		assert_true(fabs(bd_loss_divergence(bd_kern(), &half, &t, dz, z, 1, N, scratch)) < 1e-6);
		for (size_t i = 0; i < N; i++)
			assert_true(fabsf(dz[i]) < 1e-6f);
	}
	uint16_t keep = zt[1];
	zt[1] = 0x7e00; /* a teacher's NaN is not hidden */
	assert_true(isnan(bd_loss_divergence(bd_kern(), &kl1, &t, NULL, z, 1, N, scratch)));
	assert_true(isnan(bd_loss_divergence(bd_kern(), &half, &t, NULL, z, 1, N, scratch)));
	zt[1] = keep;
	z[0] += 1000; /* the comparison above sees a difference */
	assert_true(bd_loss_divergence(bd_kern(), &kl1, &t, dz, z, 1, N, scratch) > 100);
	bd_free(z), bd_free(dz), bd_free(scratch), bd_free(zt);
}

/* Relations */

struct relation {
	struct bd_relation r;
	double *s, *t, floor;
};

/* R[n,n] of head a of x[n,w]. */
static void relation_of(double *R, const double *x, size_t w, size_t a, const struct bd_relation *r,
                        double floor)
{
	size_t n = r->n, d = w / r->A;
	double T = (double)r->temp * (r->cosine ? 1 : sqrt((double)d));
	for (size_t i = 0; i < n; i++) {
		double sum = 0;
		for (size_t j = 0; j < n; j++) {
			const double *u = x + i * w + a * d, *v = x + j * w + a * d;
			double uv = 0, uu = 0, vv = 0;
			for (size_t e = 0; e < d; e++)
				uv += u[e] * v[e], uu += u[e] * u[e], vv += v[e] * v[e];
			R[i * n + j] = exp((r->cosine ? uv / sqrt(uu * vv) : uv) / T);
			sum += R[i * n + j];
		}
		for (size_t j = 0; j < n; j++)
			R[i * n + j] = fmax(R[i * n + j] / sum, floor);
	}
}

static double relation_formula(void *ctx)
{
	const struct relation *c = ctx;
	size_t n = c->r.n;
	double *Rs = doubles(NULL, n * n), *Rt = doubles(NULL, n * n), sum = 0;
	for (size_t a = 0; a < c->r.A; a++) {
		relation_of(Rs, c->s, c->r.ws, a, &c->r, c->floor);
		relation_of(Rt, c->t, c->r.wt, a, &c->r, c->floor);
		for (size_t i = 0; i < n * n; i++)
			sum += Rt[i] * log(Rt[i] / Rs[i]);
	}
	bd_free(Rs), bd_free(Rt);
	return sum;
}

static void check_relation(const struct bd_kern *k, const char *what, struct bd_relation r, double sd)
{
	const double w = 3;
	size_t ns = r.n * r.ws, nt = r.n * r.wt;
	float *s = normal(ns, sd), *t = normal(nt, sd), *ds = normal(ns, 0.1),
	      *scratch = normal(bd_loss_relation_scratch(&r), 1);
	uint16_t *half = bd_alloc(nt, sizeof(*half));
	bd_f16_row(half, t, nt);
	bd_f32_row(t, half, nt);
	struct relation c = {r, doubles(s, ns), doubles(t, nt), 1e-8};
	double want = relation_formula(&c), *g = gradient(relation_formula, &c, c.s, ns, NULL);
	for (size_t i = 0; i < ns; i++)
		g[i] = w * g[i] + (double)ds[i];
	assert_near1(what, bd_loss_relation(k, &r, NULL, s, half, (float)w, scratch), want, 2e-5);
	assert_near1(what, bd_loss_relation(k, &r, ds, s, half, (float)w, scratch), want, 2e-5);
	assert_near(what, ds, g, ns, 1e-5);
	void *all[] = {s, t, ds, scratch, half, c.s, c.t, g};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_free(all[i]);
}

static void test_relation(void **state)
{
	(void)state;
	EACH_KERN(k)
	{
		check_relation(
		    k, "cosine",
		    (struct bd_relation){.n = 7, .ws = 12, .wt = 20, .A = 4, .temp = 1, .cosine = 1}, 2);
		check_relation(
		    k, "cosine cold",
		    (struct bd_relation){.n = 9, .ws = 8, .wt = 8, .A = 1, .temp = 0.2f, .cosine = 1}, 1);
		check_relation(
		    k, "dot",
		    (struct bd_relation){.n = 6, .ws = 12, .wt = 24, .A = 3, .temp = 1.5f, .cosine = 0}, 1);
		check_relation(k, "one token",
		               (struct bd_relation){.n = 1, .ws = 4, .wt = 4, .A = 2, .temp = 1, .cosine = 1},
		               1);
	}
}

/* Where probabilities lie below the clamp, the value is the clamped formula's. */
static void test_relation_clamp(void **state)
{
	struct bd_relation r = {.n = 5, .ws = 4, .wt = 4, .A = 1, .temp = 0.03f, .cosine = 1};
	float *s = normal(20, 1), *t = normal(20, 1), *scratch = normal(bd_loss_relation_scratch(&r), 1);
	uint16_t half[20];
	(void)state;
	bd_f16_row(half, t, 20);
	bd_f32_row(t, half, 20);
	struct relation c = {r, doubles(s, 20), doubles(t, 20), 1e-8};
	double clamped = relation_formula(&c),
	       got = bd_loss_relation(bd_kern(), &r, NULL, s, half, 1, scratch);
	assert_near1("clamped", got, clamped, 1e-4);
	c.floor = 0;
	assert_true(fabs(relation_formula(&c) - clamped) > 1e-3 * clamped);
	bd_free(s), bd_free(t), bd_free(scratch), bd_free(c.s), bd_free(c.t);
}

/* The largest of the probabilities. */
static void test_confidence(void **state)
{
	enum { V = 9 };
	static const float cases[][V] = {
	    {0},
	    {1, 2, 3, 4, 5, 6, 7, 8, 9},
	    {-1, -8, -2, 0.5f, -0.5f, -3, 0.25f, -100, -1},
	    {30},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint16_t zt[V];
		float row[V];
		double sum = 0, most = 0;

		bd_f16_row(zt, cases[i], V);
		for (size_t v = 0; v < V; v++) {
			sum += exp((double)cases[i][v]);
			most = fmax(most, exp((double)cases[i][v]));
		}
		assert_near1("confidence", bd_loss_confidence(zt, row, V), most / sum, 1e-6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ce),         cmocka_unit_test(test_kl),
	    cmocka_unit_test(test_kl_topk),    cmocka_unit_test(test_cakld),
	    cmocka_unit_test(test_topk_is_kl), cmocka_unit_test(test_kl_edges),
	    cmocka_unit_test(test_relation),   cmocka_unit_test(test_relation_clamp),
	    cmocka_unit_test(test_kl_drawn),   cmocka_unit_test(test_confidence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
