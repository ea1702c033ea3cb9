/* Scores: each pair is reduced to a row of numbers; every score of the whole is computed from their sums. */
#include "eval/text_scores.h"

#include "base/mem.h"
#include "eval/bleu.h"
#include "eval/interval.h"
#include "eval/rouge.h"

#include <string.h>

/* All members are doubles: the row is also an array of them. */
struct row {
	double exact;
	struct bd_prf rouge[2][BD_ROUGES]; /* as the words are; stemmed */
	struct bd_bleu bleu;
};
_Static_assert(sizeof(struct row) % sizeof(double) == 0, "a row is an array of doubles");

static const char *const rouge_key[2] = {"rouge", "rouge_stem"};

struct bd_text_scores {
	struct row *row; /* [n] */
	size_t n, cap;
};

struct bd_text_scores *bd_text_scores_new(void)
{
	return bd_zalloc(1, sizeof(struct bd_text_scores));
}

void bd_text_scores_free(struct bd_text_scores *s)
{
	if (s == NULL)
		return;
	bd_free(s->row);
	bd_free(s);
}

size_t bd_text_scores_count(const struct bd_text_scores *s)
{
	return s->n;
}

/* ---- a pair ---- */

static struct bd_text trimmed(struct bd_text t)
{
	while (t.n && strchr(" \t\r\n", t.p[t.n - 1]) != NULL)
		t.n--;
	while (t.n && strchr(" \t\r\n", *t.p) != NULL) {
		t.p++;
		t.n--;
	}
	return t;
}

/* The same text, ignoring blanks at its ends. */
static bool same(struct bd_text a, struct bd_text b)
{
	a = trimmed(a);
	b = trimmed(b);
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

static json_t *prf_json(const struct bd_prf *p)
{
	return json_pack("{s:f, s:f, s:f}", "precision", p->precision, "recall", p->recall, "f1", p->f1);
}

static json_t *row_json(const struct row *r)
{
	json_t *o = json_pack("{s:b}", "exact", r->exact > 0);

	for (int stem = 0; stem < 2; stem++) {
		json_t *rouge = json_object();

		for (int i = 0; i < BD_ROUGES; i++)
			json_object_set_new(rouge, bd_rouge_name[i], prf_json(&r->rouge[stem][i]));
		json_object_set_new(o, rouge_key[stem], rouge);
	}
	return o;
}

json_t *bd_text_scores_add(struct bd_text_scores *s, struct bd_text prediction,
                           const struct bd_text *reference, size_t n, bool report)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 256;
		s->row = bd_resize(s->row, s->n, s->cap, sizeof(*s->row));
	}
	struct row *r = memset(&s->row[s->n++], 0, sizeof(*r));
	for (size_t i = 0; i < n; i++)
		r->exact = same(prediction, reference[i]) ? 1 : r->exact;
	bd_rouge(r->rouge[0], prediction, reference, n, false);
	bd_rouge(r->rouge[1], prediction, reference, n, true);
	bd_bleu_add(&r->bleu, prediction, reference, n);
	return report ? row_json(r) : NULL;
}

/* ---- all pairs ---- */

enum { STATS = 2 * BD_ROUGES + 1 }; /* every F1, and BLEU */

static void statistics(void *ctx, const double *sums, size_t n, double *stat)
{
	struct row sum;

	(void)ctx;
	memcpy(&sum, sums, sizeof(sum));
	for (int i = 0; i < 2 * BD_ROUGES; i++)
		stat[i] = sum.rouge[i / BD_ROUGES][i % BD_ROUGES].f1 / (double)n;
	stat[STATS - 1] = bd_bleu_score(&sum.bleu, NULL, NULL);
}

static json_t *with_interval(json_t *o, struct bd_interval i)
{
	json_object_set_new(o, "low", json_real(i.low));
	json_object_set_new(o, "high", json_real(i.high));
	return o;
}

static json_t *rouge_json(const struct bd_prf sum[BD_ROUGES], double n, const struct bd_interval *in)
{
	json_t *o = json_object();

	for (int i = 0; i < BD_ROUGES; i++) {
		struct bd_prf mean = {sum[i].precision / n, sum[i].recall / n, sum[i].f1 / n};

		json_object_set_new(o, bd_rouge_name[i], with_interval(prf_json(&mean), in[i]));
	}
	return o;
}

static json_t *bleu_json(const struct bd_bleu *b, struct bd_interval in)
{
	double p[BD_BLEU_N], penalty, score = bd_bleu_score(b, p, &penalty);
	json_t *o = with_interval(json_pack("{s:f}", "score", score), in);

	json_object_set_new(o, "precisions", json_pack("[f, f, f, f]", p[0], p[1], p[2], p[3]));
	json_object_set_new(o, "brevity_penalty", json_real(penalty));
	json_object_set_new(o, "predicted_words", json_integer((json_int_t)b->predicted));
	json_object_set_new(o, "reference_words", json_integer((json_int_t)b->wanted));
	json_object_set_new(o, "signature", json_string(BD_BLEU_SIGNATURE));
	return o;
}

json_t *bd_text_scores_json(const struct bd_text_scores *s, uint64_t seed)
{
	enum { K = sizeof(struct row) / sizeof(double) };
	struct bd_interval in[STATS], exact;
	struct row sum;
	double total[K] = {0}, n = (double)s->n;
	const double *x = (const double *)s->row; /* [n, K] */

	for (size_t i = 0; i < s->n * K; i++)
		total[i % K] += x[i];
	memcpy(&sum, total, sizeof(sum));
	bd_bootstrap(in, STATS, x, s->n, K, seed, statistics, NULL);
	exact = bd_wilson(sum.exact, n);
	json_t *o = json_pack("{s:f, s:f, s:f}", "exact", sum.exact / n, "exact_low", exact.low, "exact_high",
	                      exact.high);
	for (int stem = 0; stem < 2; stem++)
		json_object_set_new(o, rouge_key[stem],
		                    rouge_json(sum.rouge[stem], n, in + stem * BD_ROUGES));
	json_object_set_new(o, "bleu", bleu_json(&sum.bleu, in[STATS - 1]));
	return o;
}
