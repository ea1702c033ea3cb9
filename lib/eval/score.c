#include "eval/score.h"

#include <math.h>

static double accuracy(const struct bd_score *s)
{
	return (double)s->correct / (double)s->labelled;
}

static double low(const struct bd_score *s)
{
	return s->low;
}

static double high(const struct bd_score *s)
{
	return s->high;
}

static double exact(const struct bd_score *s)
{
	return (double)s->exact / (double)s->labelled;
}

static double invalid(const struct bd_score *s)
{
	return (double)s->invalid / (double)s->labelled;
}

/* THE metrics of classification, of labelled examples; low, high: the interval of accuracy. */
static const struct {
	const char *name;
	double (*of)(const struct bd_score *s);
} metrics[] = {
    {"accuracy", accuracy}, {"low", low}, {"high", high}, {"exact", exact}, {"invalid", invalid},
};

json_t *bd_score_json(const struct bd_score *s, size_t n_choice)
{
	double per_token = s->tokens > 0 ? s->nll / (double)s->tokens : NAN;
	json_t *o = json_pack("{s:I, s:I, s:o, s:o}", "examples", (json_int_t)s->examples, "tokens",
	                      (json_int_t)s->tokens, "nll", bd_json_number(per_token), "perplexity",
	                      bd_json_number(exp(per_token)));

	if (isfinite(s->perplexity.low)) {
		json_object_set_new(o, "perplexity_low", json_real(s->perplexity.low));
		json_object_set_new(o, "perplexity_high", json_real(s->perplexity.high));
	}
	if (n_choice > 0 && s->labelled > 0) {
		for (size_t i = 0; i < sizeof(metrics) / sizeof(*metrics); i++)
			json_object_set_new(o, metrics[i].name, json_real(metrics[i].of(s)));
		json_object_set_new(o, "correct", json_integer((json_int_t)s->correct));
	}
	json_object_set_new(o, "seconds", json_real(s->seconds));
	json_object_set_new(o, "tokens_per_second",
	                    bd_json_number((double)s->input / fmax(s->seconds, 1e-9)));
	return o;
}
