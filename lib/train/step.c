/* A step is read whole before it runs, because every loss is a mean over the positions of the whole step:
 * gradient accumulation then is the same mathematics as a big batch. */
#include "train/step.h"

#include "base/mem.h"
#include "base/msg.h"

#include "train/finite.h"

#include <inttypes.h>
#include <math.h>

enum {
	BALANCE_STEPS = 50,    /* over which lambda and gamma are found */
	CONFIDENCE_STEPS = 10, /* over which CAKLD's beta is found */
	GOLDEN = 4,            /* prompts kept with the model, */
	GOLDEN_TOKENS = 64,    /* of at most this many tokens */
};

void bd_step_open(struct bd_step *s)
{
	const struct bd_train *t = s->t;

	s->acts = bd_acts_new(s->net, true);
	s->d = bd_distill_new(&s->plan->o, s->net);
	s->u = bd_optimiser_new(
	    s->m, s->dev, &(struct bd_optim){t->optimiser, t->beta1, t->beta2, t->eps, t->decay}, t->clip);
	s->golden = json_array();
}

void bd_step_close(struct bd_step *s)
{
	bd_distill_free(s->d);
	bd_acts_free(s->acts);
	bd_optimiser_free(&s->u);
	json_decref(s->golden);
	bd_free(s->rec);
	bd_free(s->cut);
}

/* ---- reading ---- */

static void keep_golden(struct bd_step *s, const struct bd_record *x)
{
	size_t n = 1;

	if (json_array_size(s->golden) >= GOLDEN)
		return;
	while (n < x->n && !x->target[n])
		n++;
	if (n < 2) /* plain text: no prompt before the first prediction */
		n = x->n;
	json_t *ids = json_array();
	for (size_t i = 0; i < n && i < GOLDEN_TOKENS; i++)
		json_array_append_new(ids, json_integer(x->ids[i]));
	json_array_append_new(s->golden, ids);
}

/* A micro-batch begins here, unless one just did. */
static void cut_here(struct bd_step *s)
{
	if (s->n_cut > 0 && s->cut[s->n_cut - 1] == s->n_rec)
		return;
	if (s->n_cut == s->cap_cut) {
		s->cut = bd_resize(s->cut, s->cap_cut, 2 * s->cap_cut + 16, sizeof(*s->cut));
		s->cap_cut = 2 * s->cap_cut + 16;
	}
	s->cut[s->n_cut++] = s->n_rec;
}

static void take(struct bd_step *s)
{
	if (s->n_rec == s->cap_rec) {
		s->rec = bd_resize(s->rec, s->cap_rec, 2 * s->cap_rec + 64, sizeof(*s->rec));
		s->cap_rec = 2 * s->cap_rec + 64;
	}
	struct bd_record *x = &s->rec[s->n_rec++];
	bd_feed_take(s->feed, x);
	bd_record_fits(x, (uint32_t)s->m->cfg.vocab, bd_source_name(bd_feed_source(s->feed)), s->t->model);
	bd_counts_add(&s->counts, &s->plan->o, x);
	keep_golden(s, x);
	s->tokens += x->n;
}

/* The sequences of one micro-step, cut further where micro_tokens are reached. */
static void read_micro_step(struct bd_step *s)
{
	const struct bd_train *t = s->t;
	size_t begin = s->n_rec, first = s->tokens, micro = s->tokens;
	const struct bd_record *x;

	cut_here(s);
	while ((x = bd_feed_peek(s->feed)) != NULL) {
		bool full = t->batch_tokens > 0 ? s->tokens - first + x->n > (size_t)t->batch_tokens
		                                : s->n_rec - begin >= (size_t)t->batch;

		if (full && s->n_rec > begin)
			break;
		if (s->tokens - micro + x->n > (size_t)t->micro_tokens) {
			cut_here(s);
			micro = s->tokens;
		}
		take(s);
	}
}

bool bd_step_read(struct bd_step *s)
{
	s->n_rec = s->n_cut = s->tokens = 0;
	s->counts = (struct bd_counts){0};
	for (int64_t a = 0; a < s->t->accum && bd_feed_peek(s->feed) != NULL; a++)
		read_micro_step(s);
	if (s->n_rec == 0)
		return false;
	cut_here(s);
	s->n_cut--;
	if (s->counts.targets + s->counts.ld == 0)
		bd_die(BD_DATA,
		       "%s: %zu consecutive examples have no token to predict; there is nothing to learn",
		       bd_source_name(bd_feed_source(s->feed)), s->n_rec);
	return true;
}

/* ---- the weights of the losses ---- */

static void micro_batch(struct bd_step *s, size_t i, struct bd_sums *sums)
{
	struct bd_micro_batch b = {s->rec + s->cut[i], s->cut[i + 1] - s->cut[i], &s->counts, &s->mix, s->m,
	                           s->u.grad};

	bd_distill_run(s->d, s->acts, &b, sums);
}

/* sqrt(of2 / to2), 0 when there is nothing to relate to. */
static double ratio(double of2, double to2)
{
	return to2 > 0 ? sqrt(of2 / to2) : 0;
}

/* lambda and gamma, fixed or from the sums of squared norms so far. */
static void weigh(struct bd_step *s, const struct bd_progress *p)
{
	const struct bd_train *t = s->t;

	s->mix.lambda = t->lambda_ratio > 0 ? t->lambda_ratio * t->ce * ratio(p->ce2, p->ld2) : t->lambda;
	s->mix.gamma = t->gamma_ratio > 0 ? t->gamma_ratio * ratio(p->other2, p->ad2) : t->gamma;
}

/* Before the first step nothing has been measured: its first micro-batch is run for the norms alone. */
static void calibrate(struct bd_step *s)
{
	bool need_lambda = s->plan->o.ld && s->t->lambda_ratio > 0,
	     need_gamma = s->plan->o.ad && s->t->gamma_ratio > 0;

	for (int i = 0; i < need_lambda + need_gamma; i++) {
		struct bd_sums sums = {0};

		micro_batch(s, 0, &sums);
		weigh(s, &(struct bd_progress){
		             .ce2 = sums.ce2, .ld2 = sums.ld2, .ad2 = sums.ad2, .other2 = sums.other2});
	}
	bd_optimiser_zero(&s->u);
}

static void find_beta(struct bd_step *s, struct bd_progress *p)
{
	size_t P = 0;

	if (p->confident < CONFIDENCE_STEPS) {
		double sum = bd_distill_confidence(s->d, s->rec, s->n_rec, &P);

		p->confidence += P ? sum / (double)P : 0;
		p->confident += P > 0;
	}
	s->mix.beta = p->confident ? p->confidence / (double)p->confident : 0.5;
}

static void balance(struct bd_step *s, struct bd_progress *p)
{
	s->mix = (struct bd_mix){0};
	if (!s->plan->o.ld && !s->plan->o.ad)
		return;
	s->mix.beta = s->t->cakld_beta;
	if (s->plan->o.ld && s->plan->o.kind == BD_DIV_CAKLD && s->t->cakld_beta < 0)
		find_beta(s, p);
	weigh(s, p);
	if (p->balanced == 0)
		calibrate(s);
}

static void remember_norms(const struct bd_step *s, struct bd_progress *p)
{
	if (p->balanced >= BALANCE_STEPS)
		return;
	p->ce2 += s->sums.ce2;
	p->ld2 += s->sums.ld2;
	p->ad2 += s->sums.ad2;
	p->other2 += s->sums.other2;
	p->balanced++;
}

/* ---- running ---- */

static double mean(double sum, size_t n)
{
	return n ? sum / (double)n : 0;
}

int64_t bd_step_units(const struct bd_step *s, const struct bd_progress *p)
{
	const int64_t done[] = {p->step, p->tokens, p->records};

	return done[s->plan->unit];
}

static void losses(struct bd_step *s)
{
	const struct bd_sums *x = &s->sums;

	s->ad = s->plan->o.ad ? bd_distill_ad_unit(&s->plan->o, &s->counts) * x->ad : 0;
	s->loss = s->t->ce * mean(x->ce, s->counts.targets) + s->mix.lambda * mean(x->ld, s->counts.ld) +
	          s->mix.gamma * s->ad;
	s->norm = bd_optimiser_norm(&s->u);
}

void bd_step_check(const struct bd_step *s, const struct bd_progress *p)
{
	char name[BD_TENSOR_NAME];

	if (!bd_finite(s->m, s->dev, s->net->params, name))
		bd_die(BD_NO, "after step %" PRId64 ", parameter %s is not finite; lower --lr", p->step,
		       name);
}

static _Noreturn void die_diverged(const struct bd_step *s, int64_t step)
{
	const char *what = isfinite(s->loss) ? "gradient" : "loss";
	char name[BD_TENSOR_NAME];

	if (!bd_finite(s->m, s->dev, s->net->params, name))
		bd_die(BD_NO, "the %s is not finite at step %" PRId64 ": parameter %s is not; lower --lr",
		       what, step, name);
	if (!bd_finite(s->m, s->dev, s->u.grad, name))
		bd_die(BD_NO,
		       "the %s is not finite at step %" PRId64 ": the gradient of %s is not; lower --lr",
		       what, step, name);
	bd_die(BD_NO, "the %s is not finite at step %" PRId64 "; lower --lr", what, step);
}

void bd_step_run(struct bd_step *s, struct bd_progress *p)
{
	s->sums = (struct bd_sums){0};
	balance(s, p);
	for (size_t i = 0; i < s->n_cut; i++)
		micro_batch(s, i, &s->sums);
	losses(s);
	if (!isfinite(s->loss) || !isfinite(s->norm))
		die_diverged(s, p->step + 1);
	int64_t before = bd_step_units(s, p);
	p->step++;
	p->tokens += (int64_t)s->tokens;
	p->records += (int64_t)s->n_rec;
	s->rate = bd_plan_rate(s->plan, s->t, p->step - 1, before, bd_step_units(s, p));
	bd_optimiser_step(&s->u, s->net->params, s->norm, s->rate, (long)p->step);
	bd_net_refresh(s->net);
	remember_norms(s, p);
	for (size_t i = 0; i < s->n_rec; i++)
		bd_record_free(&s->rec[i]);
}

static void set(json_t *j, const char *key, double x)
{
	json_object_set_new(j, key, json_real(x));
}

void bd_step_log(const struct bd_step *s, json_t *j)
{
	const struct bd_sums *x = &s->sums;

	set(j, "loss", s->loss);
	set(j, "ce", mean(x->ce, s->counts.targets));
	if (s->plan->o.ld) {
		set(j, "ld", mean(x->ld, s->counts.ld));
		set(j, "lambda", s->mix.lambda);
		set(j, "ratio_ld", s->t->ce > 0 ? s->mix.lambda / s->t->ce * ratio(x->ld2, x->ce2) : 0);
	}
	if (s->plan->o.ad) {
		set(j, "ad", s->ad);
		set(j, "gamma", s->mix.gamma);
		set(j, "ratio_ad", s->mix.gamma * ratio(x->ad2, x->other2));
	}
	set(j, "lr", s->rate);
	set(j, "grad_norm", s->norm);
}
