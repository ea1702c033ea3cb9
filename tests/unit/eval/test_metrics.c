/* ROUGE, BLEU and the stemmer against what rouge_score, sacrebleu and nltk say
 * (tests/golden/make_metrics.py); counts and intervals against their definitions. With --stem: prints the
 * stems of the words on stdin, for tests/interop/metrics.py. */
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "eval/bleu.h"
#include "eval/interval.h"
#include "eval/rouge.h"
#include "eval/stem.h"
#include "eval/text_scores.h"

#include <math.h>
#include <stdlib.h>

static struct bd_text text(const json_t *j)
{
	return (struct bd_text){json_string_value(j), json_string_length(j)};
}

static size_t texts(const json_t *list, struct bd_text out[8])
{
	size_t n = json_array_size(list);

	assert_in_range(n, 1, 8);
	for (size_t i = 0; i < n; i++)
		out[i] = text(json_array_get(list, i));
	return n;
}

static bool is_near(double got, const json_t *want)
{
	return fabs(got - json_number_value(want)) <= 1e-9;
}

static void check_near(const char *what, const char *where, double got, const json_t *want)
{
	assert_true(json_is_number(want));
	assert_false(is_near(got + 1e-6, want));
	if (!is_near(got, want))
		fail_msg("%s of \"%s\" is %.12g, not %.12g", what, where, got, json_number_value(want));
}

static void check_rouge(const json_t *pair, const char *key, bool stem)
{
	const char *said = json_string_value(json_object_get(pair, "prediction"));
	struct bd_text ref[8];
	struct bd_prf out[BD_ROUGES];
	size_t n = texts(json_object_get(pair, "references"), ref);

	bd_rouge(out, text(json_object_get(pair, "prediction")), ref, n, stem);
	for (size_t i = 0; i < BD_ROUGES; i++) {
		const json_t *want = json_array_get(json_object_get(pair, key), i);

		check_near(bd_rouge_name[i], said, out[i].precision, json_array_get(want, 0));
		check_near(bd_rouge_name[i], said, out[i].recall, json_array_get(want, 1));
		check_near(bd_rouge_name[i], said, out[i].f1, json_array_get(want, 2));
	}
}

static void check_bleu(const json_t *pair, struct bd_bleu *corpus)
{
	struct bd_text ref[8], said = text(json_object_get(pair, "prediction"));
	size_t n = texts(json_object_get(pair, "references"), ref);
	struct bd_bleu b = {0};
	struct bd_buf words = {0};

	bd_buf_str(&words, "");
	bd_bleu_tokens(said, &words);
	assert_string_equal(words.p, json_string_value(json_object_get(pair, "words")));
	bd_bleu_add(&b, said, ref, n);
	bd_bleu_add(corpus, said, ref, n);
	check_near("bleu", said.p, bd_bleu_score(&b, NULL, NULL), json_object_get(pair, "bleu"));
	bd_buf_free(&words);
}

static void golden_pairs(void **state)
{
	json_t *golden = bd_json_load("tests/golden/metrics.json"), *pairs = json_object_get(golden, "pairs"),
	       *pair;
	const json_t *want = json_object_get(golden, "corpus");
	struct bd_bleu corpus = {0};
	double p[BD_BLEU_N], brevity;
	size_t i;

	(void)state;
	assert_true(json_array_size(pairs) >= 40);
	json_array_foreach(pairs, i, pair) {
		check_rouge(pair, "rouge", false);
		check_rouge(pair, "rouge_stem", true);
		check_bleu(pair, &corpus);
	}
	check_near("bleu", "corpus", bd_bleu_score(&corpus, p, &brevity), json_object_get(want, "score"));
	check_near("brevity", "corpus", brevity, json_object_get(want, "brevity"));
	check_near("words", "corpus", corpus.predicted, json_object_get(want, "predicted"));
	check_near("words", "corpus", corpus.wanted, json_object_get(want, "wanted"));
	for (i = 0; i < BD_BLEU_N; i++)
		check_near("precision", "corpus", p[i],
		           json_array_get(json_object_get(want, "precisions"), i));
	json_decref(golden);
}

static void golden_stems(void **state)
{
	json_t *golden = bd_json_load("tests/golden/stems.json"), *want;
	const char *word;

	(void)state;
	assert_true(json_object_size(golden) >= 200);
	json_object_foreach(golden, word, want) {
		char *w = bd_strdup(word);
		size_t n = bd_stem(w, strlen(w));

		if (n != json_string_length(want) || memcmp(w, json_string_value(want), n))
			fail_msg("the stem of %s is %.*s, not %s", word, (int)n, w, json_string_value(want));
		bd_free(w);
	}
	json_decref(golden);
}

/* ---- counts ---- */

static size_t count(const struct bd_words *v, const uint64_t *gram, size_t k)
{
	size_t n = 0;

	for (size_t i = 0; i + k <= v->n; i++)
		n += !memcmp(v->w + i, gram, k * sizeof(*gram));
	return n;
}

/* As the definition says: every different gram of v once. */
static size_t matches(const struct bd_words *v, const struct bd_words *ref, size_t refs, size_t k)
{
	size_t sum = 0;

	for (size_t i = 0; i + k <= v->n; i++) {
		struct bd_words before = {v->w, i + k - 1, 0};
		size_t most = 0, mine = count(v, v->w + i, k);

		if (count(&before, v->w + i, k))
			continue;
		for (size_t r = 0; r < refs; r++) {
			size_t c = count(&ref[r], v->w + i, k);

			most = c > most ? c : most;
		}
		sum += mine < most ? mine : most;
	}
	return sum;
}

static void clipped_counts(void **state)
{
	uint64_t drawn = 0;
	size_t total = 0;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct bd_words v[4] = {0};

		for (int i = 0; i < 4; i++)
			for (uint64_t n = bd_rng_below(1, 0, drawn++, 30); n > 0; n--)
				bd_words_push(&v[i], (char[]){(char)('a' + bd_rng_below(1, 0, drawn++, 3))},
				              1);
		for (size_t k = 1; k <= 4; k++) {
			size_t got = bd_words_matches(&v[0], v + 1, 3, k);

			assert_int_equal(got, matches(&v[0], v + 1, 3, k));
			total += got;
		}
		for (int i = 0; i < 4; i++)
			bd_words_free(&v[i]);
	}
	assert_true(total > 1000);
}

/* ---- intervals ---- */

static void mean(void *ctx, const double *sum, size_t n, double *stat)
{
	stat[0] = sum[0] / (double)n;
	stat[1] = sum[0] / sum[1] * *(double *)ctx;
}

static void intervals(void **state)
{
	enum { N = 4000 };
	double *x = bd_alloc(2 * N, sizeof(*x)), two = 2;
	struct bd_interval a[2], b[2], w = bd_wilson(8, 10);

	(void)state;
	/* R: binom.confint(8, 10, methods = "wilson") */
	assert_true(fabs(w.low - 0.4901625) < 1e-6 && fabs(w.high - 0.9433178) < 1e-6);
	w = bd_wilson(0, 300); /* where rounding alone would leave a trace of 0 */
	assert_true(w.low == 0 && bd_wilson(300, 300).high == 1);
	w = bd_wilson(0, 5);
	assert_true(w.low == 0 && w.high > 0.4 && w.high < 0.5);
	for (size_t i = 0; i < N; i++) {
		x[2 * i] = 5 + 3 * bd_rng_normal(9, 9, i);
		x[2 * i + 1] = 1;
	}
	bd_bootstrap(a, 2, x, N, 2, 1, mean, &two);
	bd_bootstrap(b, 2, x, N, 2, 1, mean, &two);
	assert_memory_equal(a, b, sizeof(a));
	/* 1.96 standard errors on both sides of the mean */
	double half = 1.96 * 3 / sqrt(N);
	assert_true(fabs((a[0].high - a[0].low) / 2 - half) < 0.1 * half);
	assert_true(fabs((a[0].high + a[0].low) / 2 - 5) < half);
	assert_true(fabs(a[1].low - 2 * a[0].low) < 1e-12);
	bd_bootstrap(b, 2, x, N, 2, 2, mean, &two);
	assert_true(a[0].low != b[0].low);
	bd_bootstrap(b, 2, x, 1, 2, 2, mean, &two);
	assert_true(b[0].low == x[0] && b[0].high == x[0]);
	bd_free(x);
}

static int print_stems(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		size_t n = strcspn(line, "\n");

		printf("%.*s\n", (int)bd_stem(line, n), line);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_pairs),
	    cmocka_unit_test(golden_stems),
	    cmocka_unit_test(clipped_counts),
	    cmocka_unit_test(intervals),
	};

	if (argc > 1 && !strcmp(argv[1], "--stem"))
		return print_stems();
	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
