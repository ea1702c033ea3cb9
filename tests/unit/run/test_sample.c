/* Sampling: greedy choice, each limit's set of candidates, and frequencies against the
 * probabilities they should have. */
#include "base/mem.h"
#include "base/rng.h"
#include "run/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { V = 9, DRAWS = 20000 };
static const float logits[V] = {0.5f, 2.0f, -1.0f, 2.0f, 1.0f, -3.0f, 0.0f, 1.5f, -0.5f};

static uint32_t draw(struct bd_sampler *s)
{
	float z[V];

	memcpy(z, logits, sizeof(z));
	return bd_sample(s, z, V);
}

/* Counts of DRAWS draws. */
static void count(struct bd_sampler s, size_t n[V])
{
	memset(n, 0, V * sizeof(*n));
	for (int i = 0; i < DRAWS; i++)
		n[draw(&s)]++;
	assert_int_equal(s.drawn, DRAWS);
}

/* Pearson's chi squared of the counts against p over the ids in `kept`; others must be 0. About the number
 * of ids when right. */
static double chi2(const size_t n[V], double temperature, unsigned kept)
{
	double sum = 0, x2 = 0;

	for (int i = 0; i < V; i++)
		if (kept >> i & 1)
			sum += exp((double)logits[i] / temperature);
	for (int i = 0; i < V; i++) {
		double p = exp((double)logits[i] / temperature) / sum * DRAWS;

		if (kept >> i & 1)
			x2 += ((double)n[i] - p) * ((double)n[i] - p) / p;
		else if (n[i] > 0)
			return INFINITY;
	}
	return x2;
}

static void test_greedy(void **state)
{
	struct bd_sampler s = {.temperature = 0, .top_p = 1};

	(void)state;
	assert_int_equal(draw(&s), 1); /* the first of the equals 1 and 3 */
	assert_int_equal(s.drawn, 0);
	s = (struct bd_sampler){.temperature = 1, .top_k = 1, .top_p = 1, .seed = 7};
	for (int i = 0; i < 20; i++)
		assert_int_equal(draw(&s), 1);
	/* one candidate always stays, and no more than one where it suffices: it has a share of 0.29 */
	s = (struct bd_sampler){.temperature = 1, .top_p = 0};
	for (int i = 0; i < 40; i++) {
		s.top_p = i < 20 ? 0 : 0.28f;
		assert_int_equal(draw(&s), 1);
	}
}

static void test_frequencies(void **state)
{
	struct bd_sampler s = {.temperature = 1, .top_p = 1, .seed = 3};
	size_t n[V];

	(void)state;
	count(s, n);
	assert_true(chi2(n, 1, 0x1ff) < 30);
	assert_true(chi2(n, 1.2, 0x1ff) > 100); /* the measure detects a wrong temperature */
	s.temperature = 0.5f;
	count(s, n);
	assert_true(chi2(n, 0.5, 0x1ff) < 30);
}

static void test_limits(void **state)
{
	struct bd_sampler s = {.temperature = 1, .top_p = 1, .seed = 5, .top_k = 3};
	size_t n[V];

	(void)state;
	count(s, n);
	assert_true(chi2(n, 1, 1 << 1 | 1 << 3 | 1 << 7) < 20);
	/* p >= 0.3 of exp(2): z >= 0.796 */
	s = (struct bd_sampler){.temperature = 1, .top_p = 1, .min_p = 0.3f, .seed = 5};
	count(s, n);
	assert_true(chi2(n, 1, 1 << 1 | 1 << 3 | 1 << 7 | 1 << 4) < 20);
	/* p in order: 0.290 0.290 0.176 0.107 ...: 0.7 is reached by three, 0.58 by two (0.5799 <
	 * 0.58 would need three) */
	s = (struct bd_sampler){.temperature = 1, .top_p = 0.7f, .seed = 5};
	count(s, n);
	assert_true(chi2(n, 1, 1 << 1 | 1 << 3 | 1 << 7) < 20);
	s.top_p = 0.5f;
	count(s, n);
	assert_true(chi2(n, 1, 1 << 1 | 1 << 3) < 20);
}

/* The ids that the limits leave, as a list of filters one after the other: temperature, the k likeliest,
 * those before the share top_p of these is reached, those not below min_p of the first. */
static unsigned left(const struct bd_sampler *s)
{
	int order[V], n = V;
	double p[V], sum = 0, before = 0;
	unsigned kept = 0;

	for (int i = 0; i < V; i++) {
		int at = i;

		p[i] = exp((double)logits[i] / (double)s->temperature);
		for (; at > 0 && p[order[at - 1]] < p[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	n = s->top_k > 0 && s->top_k < n ? s->top_k : n;
	for (int i = 0; i < n; i++)
		sum += p[order[i]];
	for (int i = 0; i < n; before += p[order[i++]])
		if (i == 0 ||
		    (before < (double)s->top_p * sum && p[order[i]] >= (double)s->min_p * p[order[0]]))
			kept |= 1u << order[i];
	return kept;
}

static void test_together(void **state)
{
	static const float temperature[] = {0.7f, 1.5f}, top_p[] = {1, 0.85f, 0.55f}, min_p[] = {0, 0.12f};
	size_t n[V];
	int sets = 0;

	(void)state;
	for (int i = 0; i < 60; i++) {
		struct bd_sampler s = {.temperature = temperature[i % 2],
		                       .top_p = top_p[i / 2 % 3],
		                       .min_p = min_p[i / 6 % 2],
		                       .top_k = i / 12 * 2,
		                       .seed = 4};
		unsigned kept = left(&s);

		count(s, n);
		sets += kept != 0x1ff;
		assert_true(chi2(n, (double)s.temperature, kept) < 35);
	}
	assert_true(sets > 40);
}

/* Positive logits shrink, negative ones grow, each once. */
static void test_penalty(void **state)
{
	const uint32_t ids[] = {1, 5, 1, 6, 1};
	float z[V];

	(void)state;
	memcpy(z, logits, sizeof(z));
	bd_sample_penalise(z, ids, 5, 1.25f);
	for (int i = 0; i < V; i++) {
		double want = i == 1 ? 2.0 / 1.25 : i == 5 ? -3.0 * 1.25 : (double)logits[i];

		assert_true(fabs((double)z[i] - want) < 1e-6);
	}
	bd_sample_penalise(z, NULL, 0, 2);
	assert_true(fabs((double)z[3] - 2) < 1e-6);
}

static void test_seeds(void **state)
{
	struct bd_sampler a = {.temperature = 1, .top_p = 0.9f, .seed = 11}, b = a, c = a;
	int same = 0;

	(void)state;
	c.seed = 12;
	for (int i = 0; i < 200; i++) {
		uint32_t x = draw(&a);

		assert_int_equal(x, draw(&b));
		same += x == draw(&c);
	}
	assert_true(same < 150);
}

/* The likeliest is found wherever it is, in vocabularies of every size. */
static void test_places(void **state)
{
	float z[20];

	(void)state;
	for (size_t n = 1; n <= 20; n++)
		for (size_t best = 0; best < n; best++) {
			struct bd_sampler s = {.temperature = 1, .top_p = 0};

			for (size_t i = 0; i < n; i++)
				z[i] = i == best ? 3 : (float)bd_rng_below(5, n, i, 3);
			assert_int_equal(bd_sample(&s, z, n), best);
		}
}

/* The heap against sorting by hand, on a vocabulary of real size. */
static void test_large(void **state)
{
	enum { N = 50000, K = 40 };
	struct bd_sampler s = {.temperature = 1, .top_k = K, .top_p = 1, .seed = 2};
	float *z = bd_alloc(N, sizeof(*z)), *w = bd_alloc(N, sizeof(*w));

	(void)state;
	for (size_t i = 0; i < N; i++)
		z[i] = (float)bd_rng_normal(1, 0, i);
	for (int i = 0; i < 50; i++) {
		size_t above = 0;
		uint32_t id;

		memcpy(w, z, N * sizeof(*w));
		id = bd_sample(&s, w, N);
		assert_true(id < N);
		for (size_t j = 0; j < N; j++)
			above += z[j] > z[id];
		assert_true(above < K);
	}
	bd_free(z);
	bd_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_greedy),  cmocka_unit_test(test_frequencies),
	    cmocka_unit_test(test_limits),  cmocka_unit_test(test_seeds),
	    cmocka_unit_test(test_large),   cmocka_unit_test(test_together),
	    cmocka_unit_test(test_penalty), cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
