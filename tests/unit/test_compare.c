/* The comparator of the golden tests, given wrong answers: it must see each of them. */
#include "base/rng.h"
#include "compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 12, COLS = 17, N = ROWS * COLS };
static const double tolerance[] = {1e-3, 1e-4};

/* want[N]: a gradient-like tensor, entries over four orders of magnitude; got: a copy to spoil. */
struct pair {
	float want[N], got[N];
};

static int fill(void **state)
{
	struct pair *p = *state = malloc(sizeof(*p));

	for (size_t i = 0; i < N; i++)
		p->want[i] = (float)(bd_rng_normal(7, 0, i) * pow(10, -4 * bd_rng_uniform(7, 1, i)));
	memcpy(p->got, p->want, sizeof(p->got));
	return 0;
}

static int empty(void **state)
{
	free(*state);
	return 0;
}

static void refused(const struct pair *p)
{
	for (size_t i = 0; i < sizeof(tolerance) / sizeof(*tolerance); i++)
		assert_false(compare(p->got, p->want, N, tolerance[i]).same);
}

static size_t largest(const struct pair *p)
{
	size_t at = 0;

	for (size_t i = 0; i < N; i++)
		at = fabsf(p->want[i]) > fabsf(p->want[at]) ? i : at;
	return at;
}

static void test_right(void **state)
{
	struct pair *p = *state;
	struct match m = compare(p->got, p->want, N, 0);

	assert_true(m.same && m.error == 0);
	for (size_t i = 0; i < N; i++)
		p->got[i] *= i % 2 ? 1.00001f : 0.99999f;
	assert_true(compare(p->got, p->want, N, 1e-4).same);
	assert_false(compare(p->got, p->want, N, 1e-6).same);
}

static void test_scaled(void **state)
{
	struct pair *p = *state;

	for (size_t i = 0; i < N; i++)
		p->got[i] *= 1.01f;
	refused(p);
}

static void test_one_element(void **state)
{
	struct pair *p = *state;
	float max = fabsf(p->want[largest(p)]);

	for (size_t i = 0; i < N; i++) {
		p->got[i] += 0.002f * max;
		refused(p);
		struct match m = compare(p->got, p->want, N, 1e-3);
		assert_true(m.at == i && m.error > 1.9e-3 && m.error < 2.1e-3);
		p->got[i] = p->want[i];
	}
}

static void test_transposed(void **state)
{
	struct pair *p = *state;

	for (size_t r = 0; r < ROWS; r++)
		for (size_t c = 0; c < COLS; c++)
			p->got[c * ROWS + r] = p->want[r * COLS + c];
	refused(p);
}

static void test_shifted(void **state)
{
	struct pair *p = *state;

	memmove(p->got, p->want + 1, (N - 1) * sizeof(*p->got));
	refused(p);
}

static void test_negated(void **state)
{
	struct pair *p = *state;

	for (size_t i = 0; i < N; i++)
		p->got[i] = -p->got[i];
	refused(p);
}

static void test_zeros(void **state)
{
	struct pair *p = *state;

	memset(p->got, 0, sizeof(p->got));
	refused(p);
}

static void test_not_finite(void **state)
{
	struct pair *p = *state;
	const float bad[] = {NAN, INFINITY, -INFINITY};

	for (size_t i = 0; i < N; i += 29)
		for (size_t j = 0; j < 3; j++) {
			p->got[i] = bad[j];
			refused(p);
			p->want[i] = bad[j]; /* nor is a golden file that holds it a match for anything */
			refused(p);
			p->got[i] = 1;
			refused(p);
			p->got[i] = p->want[i] = 0.5f;
		}
}

static void test_zeros_wanted(void **state)
{
	struct pair *p = *state;

	memset(p->want, 0, sizeof(p->want));
	refused(p);
	memset(p->got, 0, sizeof(p->got));
	assert_true(compare(p->got, p->want, N, 1e-3).same);
	p->got[N - 1] = 1e-30f;
	refused(p);
}

static void test_nothing(void **state)
{
	struct pair *p = *state;

	assert_false(compare(p->got, p->want, 0, 1e-3).same);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fill, empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_right),        TEST(test_scaled),  TEST(test_one_element), TEST(test_transposed),
	    TEST(test_shifted),      TEST(test_negated), TEST(test_zeros),       TEST(test_not_finite),
	    TEST(test_zeros_wanted), TEST(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
