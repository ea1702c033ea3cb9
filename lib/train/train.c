/* The training loop: step after step (step.h); evaluate, log and write checkpoints in between; write the
 * model at the end. */
#include "train/train.h"

#include "base/files.h"
#include "base/history.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/signals.h"
#include "data/template.h"
#include "eval/eval.h"
#include "eval/score.h"
#include "math/devices.h"
#include "text/tokenizer.h"
#include "net/net_model.h"
#include "train/code_stats.h"
#include "train/dry_run.h"
#include "train/plan.h"
#include "train/step.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CODES_EVERY = 50 }; /* steps between looks at the ternary codes */

struct run {
	const struct bd_train *t;
	struct bd_dev *dev;
	struct bd_model *m;
	struct bd_net *net;
	struct bd_feed *feed;
	struct bd_plan plan;
	struct bd_step s;
	struct bd_progress p;
	struct bd_code_stats codes;
	struct bd_outdir *out; /* the output, until it is complete */
	struct bd_log *log;
	float *best;            /* device, [n] parameters of the best evaluation; NULL without --eval */
	char *aside;            /* OUTPUT.ckpt */
	char tokenizer[BD_HEX]; /* "": the model has none */
	bool begun;             /* there is a state to save; before that, a run starts from the beginning */
	bool reading;           /* between two steps: the state is whole */
};

/* A warning that --quiet suppresses. */
#define note(t, ...) ((t)->common.quiet ? (void)0 : bd_warn(__VA_ARGS__))

/* ---- checkpoints ---- */

static size_t blobs(struct run *r, struct bd_blob blob[5], bool best)
{
	size_t n = 0;

	blob[n++] = (struct bd_blob){"params", BD_F32, r->net->params, r->m->n};
	blob[n++] = (struct bd_blob){"m", BD_F32, r->s.u.m, r->m->n};
	blob[n++] = (struct bd_blob){"v", BD_F32, r->s.u.v, r->m->n};
	if (best)
		blob[n++] = (struct bd_blob){"best", BD_F32, r->best, r->m->n};
	if (r->codes.n > 0)
		blob[n++] = (struct bd_blob){"codes", BD_U8, r->codes.p, r->codes.n};
	return n;
}

static void put_aside(struct run *r)
{
	struct bd_blob blob[5];

	bd_step_check(&r->s, &r->p);

	r->p.log_bytes = (int64_t)bd_log_bytes(r->log);
	r->p.threads = r->t->common.threads;
	bd_checkpoint_save(r->aside, &(struct bd_state){r->dev, &r->plan.identity, &r->p, &r->s.golden, blob,
	                                                blobs(r, blob, r->p.scored)});
}

static void say_resume(const struct run *r)
{
	const char *command = bd_opt_command();

	bd_warn("interrupted after step %" PRId64 "; to resume, with the same input: %s%s", r->p.step,
	        command != NULL ? command : "", r->t->resume ? "" : " --resume");
}

/* A signal ends the wait for input; one to the whole pipeline also ends the teacher, and with it the stream
 * in the middle of a step. The state of the last whole step is still saved then. Runs when the process dies
 * with a message. */
static void last_words(void *arg)
{
	struct run *r = arg;

	if (!r->reading || !bd_signals_caught_soon())
		return;
	r->reading = false;
	if (r->begun)
		put_aside(r);
	say_resume(r);
	_exit(BD_SYS);
}

static void skip(struct run *r)
{
	struct bd_record x = {0};

	for (int64_t i = 0; i < r->p.records; i++) {
		if (!bd_feed_take(r->feed, &x))
			bd_die(BD_DATA,
			       "%s: ends after %" PRId64 " examples, but %s has used %" PRId64
			       "; give the same input",
			       bd_source_name(bd_feed_source(r->feed)), i, r->aside, r->p.records);
		bd_record_free(&x);
	}
}

static void resume(struct run *r)
{
	struct bd_blob blob[5];

	if (!bd_checkpoint_load(r->aside, &(struct bd_state){r->dev, &r->plan.identity, &r->p, &r->s.golden,
	                                                     blob, blobs(r, blob, r->best != NULL)})) {
		note(r->t, "%s: there is no checkpoint; starting from the beginning", r->aside);
		return;
	}
	if (r->p.threads != r->t->common.threads)
		note(r->t, "%s: made with -t %" PRId64 "; sums are rounded differently with -t %" PRId64,
		     r->aside, r->p.threads, r->t->common.threads);
	bd_net_refresh(r->net);
	r->reading = true;
	skip(r);
	r->reading = false;
}

/* ---- opening ---- */

static void set_weights(struct bd_model *m, enum bd_weights weights)
{
	if (weights != BD_WEIGHTS_AUTO)
		m->cfg.ternary = weights == BD_WEIGHTS_TERNARY;
}

static void read_tokenizer(struct run *r)
{
	char *path = bd_path(r->t->model, "tokenizer.json");

	if (bd_exists(path)) {
		struct bd_tok *tok = bd_tok_open(path);

		memcpy(r->tokenizer, bd_tok_digest(tok), BD_HEX);
		bd_tok_free(tok);
	}
	bd_free(path);
}

/* A teacher's vocabulary may be larger, if the tokenizer is the same: its tokens are looked at one by one
 * (step.c). */
static void fit(const struct run *r, const struct bd_source *s)
{
	const struct bd_stream_head *h = bd_source_head(s);
	uint32_t vocab = (uint32_t)r->m->cfg.vocab;
	bool known = r->tokenizer[0] != '\0';

	bd_source_fits(s, known ? r->tokenizer : h->tokenizer, known && h->teacher ? h->vocab : vocab,
	               r->t->model);
	if (h->teacher && h->logits && h->vocab != vocab && !known)
		bd_die(BD_DATA,
		       "%s: the teacher's vocabulary of %u differs from the %u of %s, which has no "
		       "tokenizer.json "
		       "to show that they agree",
		       bd_source_name(s), h->vocab, vocab, r->t->model);
}

/* The evaluation stream is opened once per evaluation, and once now, so that mistakes show at once. */
static struct bd_source *open_eval(const struct run *r)
{
	struct bd_source *s = bd_source_open(r->t->eval);

	if (!bd_source_seekable(s))
		bd_die(BD_USAGE, "%s: --eval needs a regular file", r->t->eval);
	fit(r, s);
	if (!bd_template_same(bd_source_head(s)->template_, bd_feed_head(r->feed)->template_))
		bd_die(BD_DATA, "%s: made with another template than %s; run bd-data with the same one",
		       r->t->eval, bd_source_name(bd_feed_source(r->feed)));
	return s;
}

static void check_output(const struct bd_train *t)
{
	if (t->model == NULL || (t->output == NULL && !t->dry_run))
		bd_die(BD_USAGE, "%s is missing", t->model != NULL ? "-o OUTPUT" : "--model DIR");
	if (t->eval_every > 0 && t->eval == NULL)
		bd_die(BD_USAGE, "--eval-every needs --eval FILE");
}

/* What cannot be written must not be found out after hours; and while we run, it is nobody else's. */
static void open_output(struct run *r)
{
	const struct bd_train *t = r->t;
	char *what = bd_sprintf("the checkpoint %s", r->aside);

	bd_files_apart(r->aside, what);
	r->out = bd_outdir_open(t->output, t->force);
	r->log = bd_log_open(t->log, t->common.quiet);
	bd_free(what);
}

static void open_input(struct run *r, struct bd_parts parts)
{
	const struct bd_train *t = r->t;
	bool limited = t->steps > 0 || t->tokens > 0;
	struct bd_feed_plan plan = {
	    .epochs = t->epochs,
	    .endless = limited,
	    .count = !limited || t->epochs > 0,
	    .shuffle = t->shuffle,
	    .seed = (uint64_t)t->common.seed,
	    .context = (size_t)r->m->cfg.context,
	};

	r->reading = true;
	r->feed = bd_feed_open(parts, &plan);
	r->reading = false;
	fit(r, bd_feed_source(r->feed));
	r->plan = bd_plan_make(t, r->m, r->feed);
}

static void open_net(struct run *r)
{
	const struct bd_train *t = r->t;

	r->net = bd_net_from_model(r->m, r->dev, true);
	r->s = (struct bd_step){
	    .t = t,
	    .plan = &r->plan,
	    .dev = r->dev,
	    .m = r->m,
	    .net = r->net,
	    .feed = r->feed,
	};
	bd_step_open(&r->s);
	r->codes = bd_code_stats_new(r->net);
	if (t->eval != NULL) {
		bd_source_close(open_eval(r));
		r->best = bd_dev_alloc(r->dev, r->m->n, sizeof(*r->best));
	}
}

/* ---- between steps ---- */

static json_t *history_of(const struct run *r)
{
	const char *kind = bd_feed_head(r->feed)->teacher ? "teacher stream" : "examples";
	size_t n;
	struct bd_input *streams = bd_source_inputs(bd_feed_source(r->feed), kind, &n),
	                *in = bd_alloc(n + 1, sizeof(*in));

	in[0] = (struct bd_input){"model", r->m->digest, bd_config_history(&r->m->cfg)};
	memcpy(in + 1, streams, n * sizeof(*in));
	json_t *history = bd_history(in, n + 1);
	bd_free(streams);
	bd_free(in);
	return history;
}

static void log_step(struct run *r, double seconds)
{
	json_t *j = json_object();
	double speed = seconds > 0 ? (double)r->s.tokens / seconds : 0;
	char text[80];

	json_object_set_new(j, "step", json_integer(r->p.step));
	json_object_set_new(j, "tokens", json_integer(r->p.tokens));
	bd_step_log(&r->s, j);
	json_object_set_new(j, "tokens_per_s", json_real(speed));
	json_object_set_new(j, "rss_mib", json_real(bd_rss_mib()));
	if (r->codes.n > 0 && r->p.step % CODES_EVERY == 0)
		bd_code_stats_look(&r->codes, r->net, j);
	bd_log_json(r->log, j);
	snprintf(text, sizeof(text), "step %" PRId64 "  loss %.4f  %.0f tok/s", r->p.step, r->s.loss, speed);
	bd_log_progress(r->log, (double)bd_step_units(&r->s, &r->p), (double)r->plan.total, text);
}

static void evaluate(struct run *r)
{
	struct bd_source *src = open_eval(r);
	size_t classes = bd_source_head(src)->n_choice;
	struct bd_score s = bd_eval(r->net, src, (size_t)r->t->micro_tokens, NULL);
	double accuracy = classes && s.examples ? (double)s.correct / (double)s.examples : 0,
	       nll = s.tokens ? s.nll / (double)s.tokens : 0;
	json_t *j = json_object(), *score = bd_score_json(&s, classes);

	bd_source_close(src);
	if (!r->p.scored || accuracy > r->p.best_accuracy ||
	    (accuracy == r->p.best_accuracy && nll < r->p.best_nll)) {
		r->p.scored = true;
		r->p.best_step = r->p.step;
		r->p.best_accuracy = accuracy;
		r->p.best_nll = nll;
		bd_dev_within(r->dev, r->best, r->net->params, r->m->n * sizeof(*r->best));
	}
	r->p.scored_step = r->p.step;
	json_object_set_new(j, "step", json_integer(r->p.step));
	json_object_set_new(j, "eval", score);
	json_object_set_new(j, "best_step", json_integer(r->p.best_step));
	bd_log_json(r->log, j);
}

/* The next step's records; a stream that breaks off here leaves the state whole (last_words). */
static bool read_step(struct run *r)
{
	r->reading = true;
	bool more = bd_step_read(&r->s);
	r->reading = false;
	return more;
}

static bool wanted(const struct run *r)
{
	return !bd_signals_caught() && (r->t->steps == 0 || r->p.step < r->t->steps) &&
	       (r->t->tokens == 0 || r->p.tokens < r->t->tokens);
}

static void loop(struct run *r)
{
	const struct bd_train *t = r->t;

	for (double begin = bd_seconds(); wanted(r) && read_step(r); begin = bd_seconds()) {
		bd_step_run(&r->s, &r->p);
		log_step(r, bd_seconds() - begin);
		if (t->eval_every > 0 && r->p.step % t->eval_every == 0)
			evaluate(r);
		if (t->checkpoint_every > 0 && r->p.step % t->checkpoint_every == 0 && !bd_signals_caught())
			put_aside(r);
	}
	if (bd_signals_caught())
		return;
	if ((t->steps > 0 && r->p.step < t->steps) || (t->tokens > 0 && r->p.tokens < t->tokens))
		note(t, "the input ended after %" PRId64 " steps, %" PRId64 " tokens", r->p.step,
		     r->p.tokens);
	if (t->eval != NULL && r->p.scored_step != r->p.step)
		evaluate(r);
}

/* ---- closing ---- */

static void describe(struct run *r)
{
	const struct bd_stream_head *h = bd_feed_head(r->feed);
	json_t *b = bd_config_bitdistill(&r->m->cfg), *task = json_object(), *choices = json_array();

	json_object_set_new(b, "stage", json_string(r->t->stage));
	json_object_set_new(b, "weights", json_string(r->m->cfg.ternary ? "ternary" : "full"));
	json_object_set(b, "golden", r->s.golden);
	if (h->teacher)
		json_object_set_new(b, "teacher", json_string(h->teacher_digest));
	for (size_t i = 0; i < h->n_choice; i++)
		json_array_append_new(choices, json_integer(h->choice[i]));
	if (h->template_ != NULL) {
		json_object_set(task, "template", h->template_);
		json_object_set(task, "choices", choices);
		json_object_set(b, "task", task);
	}
	json_decref(task);
	json_decref(choices);
}

static void save(struct run *r)
{
	bd_step_check(&r->s, &r->p);
	json_t *history = history_of(r);
	const float *result = r->best != NULL && r->p.best_step != r->p.step ? r->best : r->net->params;

	bd_dev_from(r->dev, r->m->data, result, r->m->n * sizeof(*result));
	describe(r);
	bd_model_save(r->m, bd_outdir_path(r->out), r->t->dtype, history);
	bd_outdir_commit(r->out);
	r->out = NULL;
	if (bd_is_dir(r->aside))
		bd_remove_tree(r->aside);
	json_decref(history);
}

static void run_free(struct run *r)
{
	bd_log_close(r->log);
	bd_outdir_drop(r->out);
	bd_step_close(&r->s);
	bd_code_stats_free(&r->codes);
	bd_net_free(r->net);
	bd_feed_close(r->feed);
	bd_model_free(r->m);
	bd_dev_free(r->dev, r->best);
	if (r->dev != r->t->dev)
		bd_dev_close(r->dev);
	bd_free(r->aside);
}

static int train(struct run *r)
{
	const struct bd_train *t = r->t;

	open_net(r);
	r->begun = true;
	if (t->resume)
		resume(r);
	else if (bd_is_dir(r->aside))
		note(t, "%s: ignoring this checkpoint; --resume would continue from it", r->aside);
	bd_log_cut(r->log, r->p.step > 0 ? (size_t)r->p.log_bytes : 0);
	bd_log_json(r->log, json_pack("{s:o}", "history", history_of(r)));
	loop(r);
	if (bd_signals_caught()) {
		put_aside(r);
		say_resume(r);
		return BD_SYS;
	}
	save(r);
	return BD_OK;
}

int bd_train_run(const struct bd_train *t, struct bd_parts parts)
{
	struct run r = {.t = t};
	int rc = BD_OK;

	bd_signals_catch();
	bd_msg_cleanup(last_words, &r);
	check_output(t);
	r.aside = bd_checkpoint_path(t->output);
	if (!t->dry_run)
		open_output(&r);
	r.dev = t->dev != NULL ? t->dev : bd_dev_open((int)t->common.threads);
	r.m = bd_model_load(t->model);
	set_weights(r.m, t->weights);
	read_tokenizer(&r);
	open_input(&r, parts);
	if (t->dry_run)
		bd_dry_run(t, &r.plan, r.m, r.feed);
	else
		rc = train(&r);
	bd_msg_undo(last_words, &r);
	run_free(&r);
	return rc;
}
