/* Stop strings: what is shown and what is held, whatever the pieces the text comes in. */
#include "base/rng.h"
#include "text/stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static const char *const strings[] = {"END", "\n\n", "NDX", "\xc3\xa9!"};

static struct bd_stop stops(void)
{
	return (struct bd_stop){.string = strings, .n = sizeof(strings) / sizeof(*strings)};
}

static void step(struct bd_stop *s, const char *text, const char *shown, const char *found)
{
	struct bd_buf out = {0};
	const char *got;

	bd_buf_str(&out, "");
	got = bd_stop_add(s, text, strlen(text), &out);
	assert_string_equal(out.p, shown);
	assert_int_equal(got != NULL, found != NULL);
	if (found != NULL)
		assert_string_equal(got, found);
	bd_buf_free(&out);
}

static void holds_back(void **state)
{
	struct bd_stop s = stops();
	struct bd_buf out = {0};

	(void)state;
	step(&s, "a END", "a ", "END");
	step(&s, "x\n", "x", NULL);
	step(&s, "y", "\ny", NULL);
	step(&s, "E", "", NULL);
	step(&s, "N", "", NULL);
	step(&s, "E", "EN", NULL); /* the second E may begin one */
	step(&s, "ND", "", "END");
	step(&s, "caf\xc3\xa9", "caf", NULL);
	step(&s, "!", "", "\xc3\xa9!");
	step(&s, "EN", "", NULL);
	bd_stop_end(&s, &out);
	assert_string_equal(out.p, "EN");
	assert_int_equal(s.held.n, 0);
	bd_buf_free(&out);
	bd_stop_free(&s);
}

/* Of several the one that begins first, also when a later one comes in the same piece. */
static void first_one(void **state)
{
	struct bd_stop s = stops();

	(void)state;
	step(&s, "one\n\nEND", "one", "\n\n");
	step(&s, "oneENDX\n\n", "one", "END");
	bd_stop_free(&s);
}

static void none(void **state)
{
	struct bd_stop s = {0};

	(void)state;
	step(&s, "END\n\n", "END\n\n", NULL);
	bd_stop_free(&s);
}

/* What a text shows in all: up to the stop string that is complete first. */
static size_t shown_of(const char *text, size_t n)
{
	for (size_t end = 1; end <= n; end++)
		for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++) {
			size_t len = strlen(strings[i]);

			if (len <= end && memcmp(text + end - len, strings[i], len) == 0)
				return end - len;
		}
	return n;
}

/* Random texts of few letters, byte by byte. */
static void random_texts(void **state)
{
	(void)state;
	for (uint64_t k = 0; k < 5000; k++) {
		char text[24];
		size_t n = 1 + (size_t)(bd_rng_uniform(k, 1, 99) * 23);
		struct bd_stop s = stops();
		struct bd_buf out = {0};
		bool found = false;

		for (size_t i = 0; i < n; i++)
			text[i] = "ENDX\na"[(size_t)(bd_rng_uniform(k, 2, i) * 6)];
		for (size_t i = 0; i < n && !found; i++)
			found = bd_stop_add(&s, text + i, 1, &out) != NULL;
		if (!found)
			bd_stop_end(&s, &out);
		assert_int_equal(out.n, shown_of(text, n));
		assert_memory_equal(out.n > 0 ? out.p : "", text, out.n);
		bd_buf_free(&out);
		bd_stop_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(holds_back), cmocka_unit_test(first_one),
	                                   cmocka_unit_test(none), cmocka_unit_test(random_texts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
