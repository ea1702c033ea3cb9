/* Many strings in a text, against trying every string at every place. */
#include "base/mem.h"
#include "base/rng.h"
#include "text/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

enum { STRINGS = 12, TEXT = 60 };

/* Random bytes of the first `letters` of the alphabet; returns how many. */
static size_t make(char *s, size_t max, int letters, uint64_t k, uint64_t stream)
{
	size_t n = 1 + (size_t)(bd_rng_uniform(k, stream, 0) * (double)max);

	n = n > max ? max : n;
	for (size_t i = 0; i < n; i++)
		s[i] = (char)('a' + (int)(bd_rng_uniform(k, stream, i + 1) * letters));
	return n;
}

static void random_strings(void **state)
{
	char text[TEXT], block[STRINGS][8];
	const char *string[STRINGS];
	size_t len[STRINGS], seen = 0;

	(void)state;
	for (uint64_t k = 0; k < 3000; k++) {
		size_t n = make(text, TEXT, 2 + (int)(k % 2), k, 100), strings = 1 + (size_t)(k % STRINGS),
		       next;
		struct bd_hits hits = {0};
		struct bd_match *m;

		for (size_t i = 0; i < strings; i++) {
			string[i] = block[i];
			len[i] = make(block[i], 8, 2, k, i);
		}
		m = bd_match_new(string, len, strings);
		bd_match_find(m, text, n, &hits);
		next = hits.n;
		for (size_t at = 0; at < n; at++) {
			size_t best = STRINGS;

			for (size_t i = 0; i < strings; i++)
				if (len[i] <= n - at && memcmp(text + at, string[i], len[i]) == 0 &&
				    (best == STRINGS || len[i] > len[best]))
					best = i;
			if (best == STRINGS)
				continue;
			assert_true(next > 0);
			next--;
			assert_int_equal(hits.hit[next].at, at);
			assert_int_equal(hits.hit[next].which, best);
			seen++;
		}
		assert_int_equal(next, 0);
		bd_free(hits.hit);
		bd_match_free(m);
	}
	assert_true(seen > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_strings)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
