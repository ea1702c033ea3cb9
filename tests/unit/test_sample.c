/* Sampling: greedy choice, each limit's set of candidates, and frequencies against the probabilities they should have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "mem.h"
#include "rng.h"
#include "sample.h"

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

/* Pearson's chi squared of the counts against p over the ids in `kept`; others must be 0. About the number of ids when right. */
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
	s = (struct bd_sampler){.temperature = 1, .top_p = 0};
	assert_int_equal(draw(&s), 1); /* one candidate always stays */
}

static void test_frequencies(void **state)
{
	struct bd_sampler s = {.temperature = 1, .top_p = 1, .seed = 3};
	size_t n[V];

	(void)state;
	count(s, n);
	assert_true(chi2(n, 1, 0x1ff) < 30);
	assert_true(chi2(n, 1.2, 0x1ff) > 100); /* the measure tells a wrong temperature */
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
	s = (struct bd_sampler){.temperature = 1, .top_p = 1, .min_p = 0.3f, .seed = 5}; /* p >= 0.3 of exp(2): z >= 0.796 */
	count(s, n);
	assert_true(chi2(n, 1, 1 << 1 | 1 << 3 | 1 << 7 | 1 << 4) < 20);
	/* p in order: 0.290 0.290 0.176 0.107 ...: 0.7 is reached by three, 0.58 by two (0.5799 < 0.58 would need three) */
	s = (struct bd_sampler){.temperature = 1, .top_p = 0.7f, .seed = 5};
	count(s, n);
	assert_true(chi2(n, 1, 1 << 1 | 1 << 3 | 1 << 7) < 20);
	s.top_p = 0.5f;
	count(s, n);
	assert_true(chi2(n, 1, 1 << 1 | 1 << 3) < 20);
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
		cmocka_unit_test(test_greedy), cmocka_unit_test(test_frequencies), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_seeds), cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
