/* Planning a training run. */
#include "train/plan.h"

#include "base/mem.h"
#include "base/msg.h"

#include <inttypes.h>
#include <math.h>

/* ---- the losses ---- */

static size_t student_width(const struct bd_config *c, int state)
{
	return (size_t)(state == 0 ? c->heads : c->kv_heads) * (size_t)c->head_dim;
}

static size_t gcd(size_t a, size_t b)
{
	return b ? gcd(b, a % b) : a;
}

/* A_r: every chosen state of both models splits into that many heads. */
static size_t relation_heads(const struct bd_train *t, const bool states[3], const struct bd_config *c,
                             const struct bd_stream_head *h)
{
	size_t common = 0, narrowest = SIZE_MAX, A = 1;

	for (int i = 0; i < 3; i++) {
		size_t w[2] = {student_width(c, i), h->width[i]};

		for (int j = 0; states[i] && j < 2; j++) {
			common = gcd(common, w[j]);
			narrowest = w[j] < narrowest ? w[j] : narrowest;
		}
	}
	if (t->heads > 0 && common % (size_t)t->heads != 0)
		bd_die(BD_USAGE,
		       "--heads %" PRId64
		       ": does not divide the widths of the states (%zu %zu %zu here, %u %u %u in the "
		       "teacher); any divisor of %zu does",
		       t->heads, student_width(c, 0), student_width(c, 1), student_width(c, 2), h->width[0],
		       h->width[1], h->width[2], common);
	if (t->heads > 0)
		return (size_t)t->heads;
	while (A < 32 && common % (2 * A) == 0 && narrowest / (2 * A) >= 8)
		A *= 2;
	return A;
}

/* The student's layer at the teacher's depth. */
static int student_layer(const struct bd_train *t, const struct bd_config *c, const struct bd_stream_head *h)
{
	if (t->layer >= c->layers)
		bd_die(BD_USAGE, "--layer %" PRId64 ": %s has layers 0 to %d", t->layer, c->name,
		       c->layers - 1);
	if (t->layer >= 0)
		return (int)t->layer;
	long l = lround((h->layer + 1.0) / h->teacher_layers * c->layers) - 1;
	return l < 0 ? 0 : (int)l;
}

static void check_teacher(const struct bd_train *t, const struct bd_stream_head *h, const char *name)
{
	static const char *const words[] = {BD_DIV_LIST(BD_WORD_TEXT)};

	if (!h->logits && h->layer < 0)
		bd_die(BD_DATA, "%s: a teacher stream without logits and states teaches nothing", name);
	if (!bd_divergence_of_listed(t->objective) && (!h->logits || bd_stream_listed(h) > 0))
		bd_die(BD_USAGE, "--objective %s needs full logits; %s has %s", words[t->objective], name,
		       !h->logits     ? "none"
		       : h->top_k > 0 ? "only the largest"
		                      : "only drawn ids");
}

/* What a teacher's sums are over cannot be changed afterwards. */
static void check_listed(const struct bd_train *t, const struct bd_stream_head *h, const struct bd_config *c,
                         const char *name)
{
	if (bd_stream_listed(h) == 0)
		return;
	if (h->vocab > (uint32_t)c->vocab)
		bd_die(
		    BD_DATA,
		    "%s: the teacher's distribution is over %u ids, but %s has only %d; give --vocab %d to "
		    "bd-teacher-dump",
		    name, h->vocab, c->name, c->vocab, c->vocab);
	if (h->tau != t->tau)
		bd_die(BD_USAGE,
		       "%s: %s at temperature %g, but --tau is %g; give the same --tau to bd-teacher-dump",
		       name, h->top_k > 0 ? "the largest logits and the rest" : "drawn", h->tau, t->tau);
}

static struct bd_objective objective(const struct bd_train *t, const struct bd_config *c,
                                     const struct bd_feed *f)
{
	const struct bd_stream_head *h = bd_feed_head(f);
	struct bd_objective o = {.ce = t->ce, .head = h, .layer = -1, .heads = 1};

	bd_train_states(t, o.states);
	if (!h->teacher)
		return o;
	check_teacher(t, h, bd_source_name(bd_feed_source(f)));
	o.ld = h->logits && (t->lambda > 0 || t->lambda_ratio > 0);
	o.ad = h->layer >= 0 && (t->gamma > 0 || t->gamma_ratio > 0) &&
	       (o.states[0] || o.states[1] || o.states[2]);
	if (o.ld)
		check_listed(t, h, c, bd_source_name(bd_feed_source(f)));
	o.common = h->vocab < (uint32_t)c->vocab ? h->vocab : (uint32_t)c->vocab;
	o.kind = t->objective;
	o.tau = t->tau;
	o.tau2 = !t->no_tau2;
	o.relation_temp = t->relation_temp;
	o.cosine = t->relation == BD_COSINE;
	o.code_norm = t->relation_norm == BD_AD_CODE;
	if (t->ce == 0 && ((o.ld && t->lambda_ratio > 0) || (o.ad && t->gamma_ratio > 0 && !o.ld)))
		bd_die(BD_USAGE,
		       "--ce 0: a gradient ratio needs another loss to relate to; give --lambda and --gamma");
	if (o.ad) {
		o.heads = relation_heads(t, o.states, c, h);
		o.layer = student_layer(t, c, h);
	}
	return o;
}

/* ---- the length ---- */

static int64_t div_up(int64_t a, int64_t b)
{
	return a / b + (a % b != 0);
}

static void length(struct bd_plan *p, const struct bd_train *t, const struct bd_feed *f)
{
	int64_t records = (int64_t)bd_feed_total(f), step = t->batch * t->accum;
	bool by_sequences = t->batch_tokens == 0;

	p->unit = BD_UNIT_STEPS;
	if (t->steps > 0) {
		p->total = t->steps;
		if (records > 0 && by_sequences && div_up(records, step) < p->total)
			p->total = div_up(records, step);
	} else if (t->tokens > 0) {
		p->unit = BD_UNIT_TOKENS;
		p->total = t->tokens;
	} else if (records > 0 && by_sequences) {
		p->total = div_up(records, step);
	} else if (records > 0) {
		p->unit = BD_UNIT_RECORDS;
		p->total = records;
	}
	if (p->total == 0 && t->sched != BD_SCHED_CONSTANT)
		bd_die(BD_USAGE,
		       "%s: its length is unknown, but the schedule needs it: "
		       "give --steps or --tokens, a file, or --schedule constant",
		       bd_source_name(bd_feed_source(f)));
}

double bd_plan_rate(const struct bd_plan *p, const struct bd_train *t, int64_t step, int64_t before,
                    int64_t after)
{
	double part = t->warmup < 1 ? t->warmup * (double)p->total : p->unit == BD_UNIT_STEPS ? t->warmup : 0;
	double f =
	    bd_sched_factor(t->sched, (long)(before + (after - before) / 2), (long)p->total, lround(part));

	if (t->warmup >= 1 && p->unit != BD_UNIT_STEPS)
		f *= bd_sched_factor(BD_SCHED_CONSTANT, (long)step, (long)step + 1, lround(t->warmup));
	return t->lr * f;
}

struct bd_plan bd_plan_make(const struct bd_train *t, const struct bd_model *m, const struct bd_feed *f)
{
	struct bd_plan p = {0};

	p.o = objective(t, &m->cfg, f);
	length(&p, t, f);
	p.identity = bd_identity_of(t, &p.o, m, bd_feed_head(f));
	return p;
}
