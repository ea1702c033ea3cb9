/* The order of a run: threads; context; repetitions; tests; sides. So every test of every side is measured in
 * each repetition, close to its rivals, and a context is computed once. */
#include "eval/bench_run.h"

#include "base/mem.h"
#include "base/msg.h"
#include "eval/bench_peer.h"
#include "format/gguf.h"
#include "math/devices.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOADS = 3 };

/* ---- tests ---- */

static void add_test(struct bd_bench_report *r, enum bd_bench_kind kind, int64_t n, int64_t depth,
                     int64_t sequences)
{
	if (n == 0)
		return;
	r->test = bd_resize(r->test, r->tests, r->tests + 1, sizeof(*r->test));
	r->test[r->tests++] = (struct bd_bench_test){kind, (size_t)n, (size_t)depth, (size_t)sequences};
}

static void add_tests(struct bd_bench_report *r)
{
	const struct bd_bench_plan *p = r->plan;

	for (size_t d = 0; d < p->depth.n; d++) {
		for (size_t i = 0; i < p->prefill.n; i++)
			add_test(r, BD_BENCH_PREFILL, p->prefill.v[i], p->depth.v[d], 1);
		for (size_t i = 0; i < p->decode.n; i++)
			for (size_t j = 0; j < p->sequences.n; j++)
				add_test(r, BD_BENCH_DECODE, p->decode.v[i], p->depth.v[d],
				         p->sequences.v[j]);
	}
	if (p->task != NULL)
		add_test(r, BD_BENCH_EXAMPLES, 1, p->depth.v[0], 1);
	if (r->tests == 0)
		bd_die(BD_USAGE, "nothing to measure; give --prefill or --decode a number above 0");
}

/* Tokens of the longest. */
static size_t room(const struct bd_bench_report *r)
{
	size_t n = 1;

	for (size_t t = 0; t < r->tests; t++)
		if (r->test[t].depth + r->test[t].n > n)
			n = r->test[t].depth + r->test[t].n;
	return n;
}

/* ---- numbers ---- */

static double *ideal(const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	return r->side[s].ideal + g * r->tests + t;
}

static double *speed(const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	return r->side[s].speed + (g * r->tests + t) * (size_t)r->plan->reps;
}

struct bd_spread bd_bench_speeds(const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	return bd_spread(speed(r, g, t, s), (size_t)r->plan->reps);
}

struct bd_spread bd_bench_ratio(const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	return bd_spread_ratio(speed(r, g, t, 0), speed(r, g, t, s), (size_t)r->plan->reps);
}

double bd_bench_of_peak(const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	return bd_bench_speeds(r, g, t, s).median / *ideal(r, g, t, s);
}

enum bd_roof bd_bench_roof(const struct bd_bench_report *r, size_t t, size_t s)
{
	if (r->test[t].kind == BD_BENCH_DECODE)
		return BD_ROOF_READ;
	return strcmp(r->side[s].weights, "ternary") == 0 ? BD_ROOF_INT8 : BD_ROOF_F32;
}

/* ---- sides ---- */

static void add_side(struct bd_bench_report *r, const char *name, bool peer)
{
	size_t n = r->plan->threads.n * r->tests, reps = (size_t)r->plan->reps;
	struct bd_bench_side *s = &r->side[r->sides++];

	*s = (struct bd_bench_side){bd_strdup(name),
	                            peer,
	                            "",
	                            "",
	                            NAN,
	                            NAN,
	                            NAN,
	                            NAN,
	                            NAN,
	                            NAN,
	                            .ideal = bd_alloc(n, sizeof(double)),
	                            .speed = bd_alloc(bd_mul(n, reps), sizeof(double))};
	for (size_t i = 0; i < n; i++)
		s->ideal[i] = NAN;
	for (size_t i = 0; i < n * reps; i++)
		s->speed[i] = NAN;
}

/* What does not depend on threads is that of the first time. */
static void describe(struct bd_bench_side *s, const struct bd_bench *b)
{
	if (*s->weights != '\0')
		return;
	strncat(s->weights, bd_bench_weights(b), sizeof(s->weights) - 1);
	strncat(s->head, bd_ggml_name(b->m->net->head.type), sizeof(s->head) - 1);
	s->file = (double)b->m->file_bytes;
	s->memory = b->memory;
	s->peak = b->peak;
	s->load = b->load;
	s->first = b->first;
	s->read = bd_bench_weight_bytes(b);
}

static void set_ideals(struct bd_bench_report *r, size_t g, size_t s, const struct bd_bench *b)
{
	for (size_t t = 0; t < r->tests; t++) {
		const struct bd_bench_test *test = &r->test[t];
		double peak = r->roof[g].peak[bd_bench_roof(r, t, s)].rate;

		if (peak > 0 && test->kind != BD_BENCH_EXAMPLES)
			*ideal(r, g, t, s) = test->kind == BD_BENCH_DECODE
			                         ? peak / bd_bench_bytes(b, test)
			                         : peak / (2 * bd_bench_products(b));
	}
}

/* ---- a program ---- */

/* "512,4096" in the environment of the program. */
static void tell_list(const char *name, const struct bd_ints *list)
{
	struct bd_buf b = {0};

	for (size_t i = 0; i < list->n; i++)
		bd_buf_fmt(&b, "%s%" PRId64, i > 0 ? "," : "", list->v[i]);
	setenv(name, b.p, 1);
	bd_buf_free(&b);
}

static void tell(const struct bd_bench_plan *p, size_t g, int64_t depth)
{
	tell_list("BD_PREFILL", &p->prefill);
	tell_list("BD_DECODE", &p->decode);
	tell_list("BD_DEPTH", &(struct bd_ints){{depth}, 1});
	tell_list("BD_THREADS", &(struct bd_ints){{p->threads.v[g]}, 1});
}

static void describe_peer(struct bd_bench_side *s, const struct bd_peer *p)
{
	const char *name = bd_peer_model(p->results), *weights = bd_peer_weights(p->results),
	           *head = bd_peer_head(p->results);

	s->peak = isnan(s->peak) || p->peak > s->peak ? p->peak : s->peak;
	if (*s->weights != '\0')
		return;
	if (name != NULL) {
		bd_free(s->name);
		s->name = bd_strdup(name);
	}
	strncat(s->weights, weights != NULL ? weights : "unknown", sizeof(s->weights) - 1);
	strncat(s->head, head != NULL ? head : "", sizeof(s->head) - 1);
	s->file = bd_peer_file_bytes(p->results);
}

/* ---- measuring ---- */

/* A group of tests: threads and context. */
struct group {
	struct bd_bench_report *r;
	size_t g;
	int64_t depth;
	struct bd_bench *b; /* [sides], unset for a program */
};

static void measure_peer(const struct group *x, size_t s, size_t rep)
{
	struct bd_bench_report *r = x->r;
	struct bd_peer p = bd_peer_run(r->plan->command);

	describe_peer(&r->side[s], &p);
	for (size_t t = 0; t < r->tests; t++)
		if (r->test[t].depth == (size_t)x->depth)
			speed(r, x->g, t, s)[rep] =
			    bd_peer_speed(p.results, &r->test[t], r->plan->threads.v[x->g]);
	json_decref(p.results);
}

static double measure(const struct group *x, size_t t, size_t s)
{
	const struct bd_bench_plan *p = x->r->plan;
	struct bd_score *score = &x->r->side[s].score;

	if (x->r->test[t].kind != BD_BENCH_EXAMPLES)
		return bd_bench_speed(&x->b[s], &x->r->test[t]);
	*score = bd_bench_task(&x->b[s], p->task, (size_t)p->batch_tokens);
	return (double)score->examples / score->seconds;
}

static void measure_group(const struct group *x)
{
	struct bd_bench_report *r = x->r;
	size_t models = r->sides - (r->plan->command != NULL);

	for (size_t s = 0; s < models; s++)
		bd_bench_deepen(&x->b[s], (size_t)x->depth);
	tell(r->plan, x->g, x->depth);
	for (size_t rep = 0; rep < (size_t)r->plan->reps; rep++) {
		for (size_t t = 0; t < r->tests; t++)
			for (size_t s = 0; s < models && r->test[t].depth == (size_t)x->depth; s++)
				speed(r, x->g, t, s)[rep] = measure(x, t, s);
		if (models < r->sides)
			measure_peer(x, models, rep);
	}
}

static void measure_threads(struct bd_bench_report *r, size_t g)
{
	const struct bd_bench_plan *p = r->plan;
	struct bd_dev *dev = bd_dev_open((int)p->threads.v[g]);
	struct bd_bench b[BD_BENCH_SIDES];
	struct bd_input input[BD_BENCH_SIDES];
	size_t n = 0;

	r->roof[g] = bd_roofline_measure(dev->par, p->roofline);
	for (; n < r->sides && !r->side[n].peer; n++) {
		b[n] = bd_bench_open(r->side[n].name, dev, room(r), p->reps < LOADS ? (size_t)p->reps : LOADS,
		                     p->seed);
		describe(&r->side[n], &b[n]);
		set_ideals(r, g, n, &b[n]);
		if (r->history == NULL)
			input[n] = bd_infer_input(b[n].m);
	}
	if (r->history == NULL)
		r->history = bd_history(input, n);
	for (size_t d = 0; d < p->depth.n; d++)
		measure_group(&(struct group){r, g, p->depth.v[d], b});
	while (n > 0)
		bd_bench_close(&b[--n]);
	bd_dev_close(dev);
}

struct bd_bench_report bd_bench_run(const struct bd_bench_plan *plan)
{
	struct bd_bench_report r = {.plan = plan, .roof = bd_zalloc(plan->threads.n, sizeof(*r.roof))};

	add_tests(&r);
	add_side(&r, plan->model, false);
	if (plan->vs != NULL)
		add_side(&r, plan->vs, false);
	if (plan->command != NULL)
		add_side(&r, plan->command, true);
	for (size_t g = 0; g < plan->threads.n; g++)
		measure_threads(&r, g);
	return r;
}

void bd_bench_report_free(struct bd_bench_report *r)
{
	for (size_t s = 0; s < r->sides; s++) {
		bd_free(r->side[s].name);
		bd_free(r->side[s].ideal);
		bd_free(r->side[s].speed);
	}
	bd_free(r->test);
	bd_free(r->roof);
	json_decref(r->history);
}
