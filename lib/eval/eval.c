/* Evaluation: records are gathered into batches, run, and scored position by position. */
#include "eval/eval.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/msg.h"
#include "eval/eval_out.h"
#include "eval/eval_window.h"

#include <math.h>
#include <string.h>

/* What scoring one batch needs. */
struct scorer {
	struct bd_score *s;
	const struct bd_eval_opts *opts;
	struct bd_net *net;
	size_t V, n_choice;
	const uint32_t *choice;
	const struct bd_record *r; /* the batch */
	float *e;                  /* [V] */
	double *p;                 /* [n_choice] of the example being scored */
	double nll;                /* of the example being scored */
	size_t next, done;         /* that example's record, its positions scored so far */
	size_t predicted;
	struct bd_spool *spool;
	struct bd_out *lines;
	bool keep;
	double (*sum)[2]; /* [examples] nll and tokens of each, if they are kept: for the interval */
	size_t sum_cap;
};

/* -log softmax(z)[y], sums in double; *best = argmax of z. */
static double nll_of(struct scorer *c, const float *z, uint32_t y, size_t *best)
{
	double sum = 0;
	float max;

	*best = 0;
	for (size_t i = 1; i < c->V; i++)
		if (z[i] > z[*best])
			*best = i;
	max = z[*best];
	for (size_t i = 0; i < c->V; i++)
		c->e[i] = z[i] - max;
	bd_kern()->vexp(c->e, c->e, c->V);
	for (size_t i = 0; i < c->V; i++)
		sum += (double)c->e[i];
	return log(sum) + (double)max - (double)z[y];
}

static void classify(struct scorer *c, const struct bd_record *r, const float *z, size_t best)
{
	size_t label = (size_t)r->label, i;

	c->predicted = bd_infer_choose(z, c->choice, c->n_choice, c->p);
	for (i = 0; i < c->n_choice && c->choice[i] != best; i++)
		;
	c->s->invalid += i == c->n_choice;
	c->s->exact += best == c->choice[label];
	c->s->correct += c->predicted == label;
	c->s->labelled++;
	if (c->opts->confusion != NULL)
		c->opts->confusion[label * c->n_choice + c->predicted]++;
}

static bool labelled(const struct scorer *c, const struct bd_record *r)
{
	return c->n_choice > 0 && r->label >= 0 && (size_t)r->label < c->n_choice;
}

/* ---- files ---- */

/* One line of --predictions for an example that is complete. */
static void write_line(struct scorer *c, const struct bd_record *r, size_t P)
{
	json_t *o = json_pack("{s:I, s:I, s:o}", "index", (json_int_t)r->index, "tokens", (json_int_t)P,
	                      "nll", bd_json_number(c->nll));

	if (labelled(c, r) && P > 0) {
		json_t *p = json_array();

		for (size_t i = 0; i < c->n_choice; i++)
			json_array_append_new(p, bd_json_number(c->p[i]));
		json_object_set_new(o, "label", json_integer(r->label));
		json_object_set_new(o, "predicted", json_integer((json_int_t)c->predicted));
		json_object_set_new(o, "probability", p);
	}
	bd_json_line(c->lines, o);
	json_decref(o);
}

/* ---- scoring ---- */

static size_t targets(const struct bd_record *r)
{
	size_t P = 0;

	for (size_t i = 1; i < r->n; i++)
		P += r->target[i] != 0;
	return P;
}

static void keep_sums(struct scorer *c)
{
	size_t i = c->s->examples;

	if (!c->keep)
		return;
	if (i == c->sum_cap) {
		c->sum_cap = 2 * i + 64;
		c->sum = bd_resize(c->sum, i, c->sum_cap, sizeof(*c->sum));
	}
	c->sum[i][0] = c->nll;
	c->sum[i][1] = (double)c->done;
}

/* The example c->next is complete: c->done positions of it were scored. */
static void finish(struct scorer *c)
{
	const struct bd_record *r = &c->r[c->next++];

	if (c->done == 0 && labelled(c, r)) { /* its answer was cut off */
		c->s->labelled++;
		c->s->invalid++;
	}
	keep_sums(c);
	c->s->examples++;
	c->s->input += r->n;
	if (c->lines != NULL)
		write_line(c, r, c->done);
	if (c->opts->each != NULL)
		c->opts->each(c->opts->ctx, r);
	c->done = 0;
	c->nll = 0;
}

/* bd_logits_fn: P more positions of record s. Records without any are passed over in between. */
static void score(void *ctx, size_t s, size_t P, const size_t *row, float *z)
{
	struct scorer *c = ctx;
	const struct bd_record *r = &c->r[s];
	size_t best;

	while (c->next < s)
		finish(c);
	bd_spool_add(c->spool, z, P, r, row);
	for (size_t j = 0; j < P; j++, z += c->V) {
		double nll = nll_of(c, z, r->ids[row[j]], &best);

		if (c->done++ == 0 && labelled(c, r))
			classify(c, r, z, best);
		c->nll += nll;
		c->s->nll += nll;
		c->s->tokens++;
	}
	if (c->done == targets(r))
		finish(c);
}

static void run_batch(struct scorer *c, struct bd_acts *a, const struct bd_record *r, size_t n)
{
	c->r = r;
	c->next = 0;
	bd_net_run(c->net, a, r, n, score, c);
	while (c->next < n)
		finish(c);
}

/* Reads until batch_tokens are exceeded; the record that did not fit waits in r[n]. */
static void run_all(struct scorer *c, struct bd_windows *src, size_t batch_tokens)
{
	struct bd_acts *a = bd_acts_new(c->net, false);
	struct bd_record *r = NULL;
	size_t n = 0, cap = 0, tokens = 0;
	bool more = true;

	while (more) {
		if (n == cap) {
			r = bd_resize(r, cap, cap + 64, sizeof(*r));
			memset(r + cap, 0, 64 * sizeof(*r));
			cap += 64;
		}
		more = bd_windows_next(src, &r[n]);
		if (n > 0 && (!more || tokens + r[n].n > batch_tokens)) {
			struct bd_record next = r[n];

			run_batch(c, a, r, n);
			r[n] = r[0];
			r[0] = next;
			n = tokens = 0;
		}
		if (more)
			tokens += r[n++].n;
	}
	for (size_t i = 0; i < cap; i++)
		bd_record_free(&r[i]);
	bd_free(r);
	bd_acts_free(a);
}

/* Perplexity of the examples drawn: sums of nll and of tokens. */
static void perplexity(void *ctx, const double *sum, size_t n, double *stat)
{
	(void)ctx, (void)n;
	*stat = exp(sum[0] / sum[1]);
}

static void intervals(struct scorer *c)
{
	struct bd_score *s = c->s;
	struct bd_interval w;

	s->perplexity = (struct bd_interval){NAN, NAN};
	if (c->keep && s->tokens > 0)
		bd_bootstrap(&s->perplexity, 1, c->sum[0], s->examples, 2, c->opts->seed, perplexity, NULL);
	if (s->labelled == 0)
		return;
	w = bd_wilson((double)s->correct, (double)s->labelled);
	s->low = w.low;
	s->high = w.high;
}

struct bd_score bd_eval(struct bd_net *net, struct bd_source *src, size_t batch_tokens,
                        const struct bd_eval_opts *opts)
{
	static const struct bd_eval_opts none;
	const struct bd_stream_head *h = bd_source_head(src);
	struct bd_score s = {0};
	struct scorer c = {.s = &s,
	                   .opts = opts != NULL ? opts : &none,
	                   .keep = opts != NULL,
	                   .net = net,
	                   .V = (size_t)net->cfg.vocab,
	                   .n_choice = h->n_choice,
	                   .choice = h->choice};
	struct bd_windows windows = {.src = src, .window = c.opts->window, .stride = c.opts->stride};
	double start = bd_seconds();

	if (!windows.window || windows.window > (size_t)net->cfg.context)
		bd_source_limit(src, (size_t)net->cfg.context);
	for (size_t i = 0; i < c.n_choice; i++)
		if (c.choice[i] >= c.V)
			bd_die(BD_DATA, "%s: the token of label %zu is outside the model's vocabulary of %zu",
			       bd_source_name(src), i, c.V);
	c.e = bd_alloc(c.V, sizeof(*c.e));
	c.p = bd_alloc(c.n_choice + 1, sizeof(*c.p));
	c.spool = bd_spool_new(c.opts->logits, c.V);
	c.lines = c.opts->predictions != NULL ? bd_out_open(c.opts->predictions, false, 0) : NULL;
	run_all(&c, &windows, batch_tokens);
	if (s.examples == 0)
		bd_die(BD_DATA, "%s: the stream has no examples; there is nothing to evaluate",
		       bd_source_name(src));
	intervals(&c);
	bd_spool_close(c.spool);
	if (c.lines != NULL)
		bd_out_close(c.lines);
	bd_windows_free(&windows);
	bd_free(c.sum);
	bd_free(c.e);
	bd_free(c.p);
	s.seconds = bd_seconds() - start;
	return s;
}
