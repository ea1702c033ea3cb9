#include "train/memory.h"

#include "base/log.h"
#include "base/mem.h"
#include "machine/quant.h"
#include "math/op_attention.h"
#include "run/infer.h"
#include "train/step.h"

enum { STEPS = 64 /* steps of a file that are looked at */ };

/* Measured: what a first dense product makes resident of its library, and the most that a thread packs of an
 * operand there. What bd_model_save converts at once. */
#define LIBRARY ((size_t)6 << 20)
#define PACKED  ((size_t)8 << 20)
#define SAVE    ((size_t)4 << 20)

/* ---- what the input asks for ---- */

/* The largest of everything among the steps seen. */
struct seen {
	size_t tokens, seqs, positions; /* of a micro-batch */
	size_t longest;                 /* tokens of a sequence */
	size_t rope;                    /* positions with angles, as net_forward.c lets them grow */
	size_t records, record;         /* bytes of a step's records, of one */
	size_t steps;
};

static void raise(size_t *max, size_t n)
{
	*max = n > *max ? n : *max;
}

static size_t record_bytes(const struct bd_record *r, const struct bd_stream_head *h)
{
	size_t K = bd_stream_listed(h), n = r->n * (sizeof(*r->ids) + sizeof(*r->target)) + sizeof(*r);

	if (h->teacher && h->logits)
		n += r->positions * (K > 0 ? K * sizeof(*r->zi) + h->top_k * sizeof(*r->z) + sizeof(*r->zr)
		                           : h->vocab * sizeof(*r->z));
	for (int i = 0; i < 3 && h->teacher && h->layer >= 0; i++)
		n += r->n * h->width[i] * sizeof(uint16_t);
	return n;
}

static size_t positions_of(const struct bd_record *r, bool all)
{
	size_t n = 0;

	for (size_t i = 1; i < r->n; i++)
		n += all || r->target[i];
	return n;
}

static void see_step(struct seen *x, struct bd_step *s)
{
	const struct bd_objective *o = &s->plan->o;
	bool all = o->ld && o->head->all_positions;
	size_t bytes = 0;

	for (size_t i = 0; i < s->n_cut; i++) {
		size_t T = 0, P = 0;

		for (size_t k = s->cut[i]; k < s->cut[i + 1]; k++) {
			const struct bd_record *r = &s->rec[k];

			T += r->n;
			P += positions_of(r, all);
			bytes += record_bytes(r, o->head);
			raise(&x->record, record_bytes(r, o->head));
			raise(&x->longest, r->n);
			if (r->n > x->rope)
				x->rope = r->n < 256 ? 256 : r->n + r->n / 2;
		}
		raise(&x->tokens, T);
		raise(&x->positions, P);
		raise(&x->seqs, s->cut[i + 1] - s->cut[i]);
	}
	raise(&x->records, bytes);
	x->steps++;
}

static struct seen look(const struct bd_train *t, const struct bd_plan *p, struct bd_model *m,
                        struct bd_feed *f)
{
	struct bd_step s = {.t = t, .plan = p, .m = m, .feed = f, .golden = json_array()};
	size_t steps = bd_source_seekable(bd_feed_source(f)) || t->shuffle ? STEPS : 1;
	struct seen x = {0};

	while (x.steps < steps && (t->steps == 0 || x.steps < (size_t)t->steps) && bd_step_read(&s)) {
		see_step(&x, &s);
		for (size_t i = 0; i < s.n_rec; i++)
			bd_record_free(&s.rec[i]);
	}
	bd_step_close(&s);
	return x;
}

/* ---- what is made of it ---- */

static void quantised(struct bd_memory *y, const struct bd_model *m)
{
	for (size_t i = 0; m->cfg.ternary && i < m->n_param; i++) {
		const struct bd_param *p = &m->param[i];

		if (bd_slot_info(p->slot)->kind == BD_KIND_LINEAR)
			y->quantised += p->rows * (p->cols * sizeof(float) + 2 * bd_ternary_stride(p->cols));
	}
}

static size_t library(const struct bd_config *c, size_t threads, size_t T)
{
	size_t width = 0;

	for (enum bd_lin i = 0; i < BD_LINS; i++)
		raise(&width, bd_lin_in(c, i));
	width *= T * sizeof(float);
	return LIBRARY + threads * (width < PACKED ? width : PACKED);
}

/* Scratch of one thread: attention, relations and positions come in turn, in the largest of their rooms. */
static size_t scratch(const struct bd_plan *p, const struct bd_config *c, const struct seen *x)
{
	struct bd_heads a = {(size_t)c->heads, (size_t)c->kv_heads, (size_t)c->head_dim, 0, 0};
	size_t n = 3 * (size_t)c->vocab;

	raise(&n, bd_attention_scratch(&a, 0, x->longest));
	for (int i = 0; i < 3 && p->o.ad; i++) {
		size_t width = (i == 0 ? a.H : a.G) * a.D;

		if (p->o.states[i])
			raise(&n,
			      bd_loss_relation_scratch(&(struct bd_relation){
			          .n = x->longest, .ws = width, .wt = p->o.head->width[i], .A = p->o.heads}));
	}
	return n * sizeof(float);
}

/* An evaluation fills its batches up to micro_tokens; *tokens: of the first one, if that is more. */
static size_t evaluation(const struct bd_train *t, const struct bd_config *c, size_t *tokens)
{
	struct bd_source *s = bd_source_open(t->eval);
	struct bd_record r = {0};
	size_t T = 0, P = 0;

	while (bd_source_next(s, &r) && (T == 0 || T + r.n <= (size_t)t->micro_tokens)) {
		T += r.n;
		P += positions_of(&r, false);
	}
	bd_record_free(&r);
	bd_source_close(s);
	raise(tokens, T);
	return bd_net_run_bytes(c, T, P);
}

/* Positions whose logits are held, and the rows of h and dh that are gathered for them. */
static size_t logits(const struct bd_config *c, size_t positions)
{
	size_t V = (size_t)c->vocab, chunk = bd_distill_chunk(V), P = positions < chunk ? positions : chunk;

	return 2 * P * (V + (size_t)c->hidden) * sizeof(float);
}

static size_t rope(const struct bd_config *c, size_t n)
{
	return (c->window > 0 ? 4u : 2u) * n * (size_t)(c->head_dim / 2) * sizeof(float);
}

struct bd_memory bd_memory_of(const struct bd_train *t, const struct bd_plan *p, struct bd_model *m,
                              struct bd_feed *f)
{
	const struct bd_config *c = &m->cfg;
	size_t threads = (size_t)t->common.threads, params = m->n * sizeof(float),
	       all = 2 * bd_distill_chunk((size_t)c->vocab) * (size_t)c->vocab;
	struct bd_memory y = {.process = bd_resident(), .gradients = params, .moments = 2 * params};
	struct seen x = look(t, p, m, f);
	size_t most = x.tokens; /* run together, in training or evaluation */
	/* beside the logits, of which not all rows are used */
	size_t beside = bd_distill_bytes(&p->o, c, x.tokens) - all * sizeof(float);

	quantised(&y, m);
	y.best = t->eval != NULL ? params : 0;
	y.activations = bd_acts_bytes(c, true, x.tokens) + beside;
	y.logits = logits(c, x.positions);
	y.evaluation = t->eval != NULL ? evaluation(t, c, &most) : 0;
	if (t->eval_every == 0) /* a single one has given its memory back before the best is kept */
		y.evaluation -= y.evaluation < y.best ? y.evaluation : y.best;
	y.records = x.records + 2 * x.record;
	y.other = threads * scratch(p, c, &x) + rope(c, x.rope) + library(c, threads, most) + SAVE;
	y.tokens = x.tokens;
	y.steps = x.steps;
	return y;
}

size_t bd_memory_total(const struct bd_memory *y)
{
	return y->process + y->gradients + y->moments + y->quantised + y->best + y->activations + y->logits +
	       y->evaluation + y->records + y->other;
}
