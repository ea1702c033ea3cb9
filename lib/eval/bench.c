/* Measuring models. */
#include "eval/bench.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/spread.h"
#include "format/gguf.h"
#include "machine/quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WARM = 8, WARM_PREFILL = 512, LOADS = 16 };

const char *bd_bench_test_name(char name[BD_BENCH_NAME], const struct bd_bench_test *t)
{
	size_t n = 0;

	if (t->kind == BD_BENCH_EXAMPLES)
		return strcpy(name, "examples");
	n += (size_t)snprintf(name, BD_BENCH_NAME, "%s%zu", t->kind == BD_BENCH_PREFILL ? "pp" : "tg", t->n);
	if (t->sequences > 1)
		n += (size_t)snprintf(name + n, BD_BENCH_NAME - n, " x%zu", t->sequences);
	if (t->depth > 0)
		snprintf(name + n, BD_BENCH_NAME - n, " @ d%zu", t->depth);
	return name;
}

/* ---- memory of this process ---- */

/* Makes peak() count from now on; false if the system cannot. */
static bool forget_peak(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "we");
	bool done = f != NULL && fputs("5", f) >= 0;

	return f != NULL && fclose(f) == 0 && done;
}

static double peak(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	double kib = NAN;
	char line[128];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmHWM: %lf", &kib) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kib * 1024;
}

/* ---- opening ---- */

static void open_model(struct bd_bench *b, const char *path, struct bd_dev *dev, double *load, double *first)
{
	double start = bd_seconds();

	b->m = bd_infer_open(path, dev, false);
	b->s = bd_seq_new(b->m, b->room);
	*load = bd_seconds() - start;
	bd_seq_feed(b->s, &(uint32_t){0}, 1);
	*first = bd_seconds() - start;
}

static void close_model(struct bd_bench *b)
{
	bd_seq_free(b->s);
	bd_infer_close(b->m);
}

struct bd_bench bd_bench_open(const char *path, struct bd_dev *dev, size_t room, size_t loads, uint64_t seed)
{
	struct bd_bench b = {.room = room, .ids = bd_alloc(room, sizeof(*b.ids))};
	const struct bd_bench_test warm[] = {
	    {BD_BENCH_PREFILL, room < WARM_PREFILL ? room : WARM_PREFILL, 0, 1},
	    {BD_BENCH_DECODE, room < WARM ? room : WARM, 0, 1},
	};
	double load[LOADS], first[LOADS], before = (double)bd_resident();
	bool forgot = forget_peak();

	loads = loads < LOADS ? loads : LOADS;
	for (size_t i = 0; i < loads; i++) {
		if (i > 0)
			close_model(&b);
		open_model(&b, path, dev, &load[i], &first[i]);
	}
	b.load = bd_spread(load, loads).median;
	b.first = bd_spread(first, loads).median;
	for (size_t i = 0; i < room; i++)
		b.ids[i] = (uint32_t)bd_rng_below(seed, 0, i, (uint64_t)b.m->net->cfg.vocab);
	for (size_t i = 0; i < sizeof(warm) / sizeof(*warm); i++)
		bd_bench_speed(&b, &warm[i]);
	b.memory = (double)bd_resident() - before;
	b.peak = forgot ? peak() - before : NAN;
	return b;
}

void bd_bench_close(struct bd_bench *b)
{
	for (size_t i = 0; i < b->many_n; i++)
		bd_seq_free(b->many[i]);
	bd_free(b->many);
	close_model(b);
	bd_free(b->ids);
}

const char *bd_bench_weights(const struct bd_bench *b)
{
	const struct bd_net *net = b->m->net;
	const struct bd_linear *w = &net->block[0].lin[0];

	return net->cfg.ternary ? "ternary" : w->half == NULL ? "f32" : w->bf16 ? "bf16" : "f16";
}

/* ---- timing ---- */

void bd_bench_deepen(struct bd_bench *b, size_t depth)
{
	b->depth = depth;
	bd_seq_rewind(b->s, 0);
	if (depth > 0)
		bd_seq_feed(b->s, b->ids, depth);
}

/* Sequences that begin as the first one does. */
static void open_many(struct bd_bench *b, const struct bd_bench_test *t)
{
	for (size_t i = 0; i < b->many_n; i++)
		bd_seq_free(b->many[i]);
	b->many = bd_resize(b->many, b->many_n, t->sequences, sizeof(struct bd_seq *));
	b->many_n = t->sequences;
	b->many_depth = b->depth;
	for (size_t i = 0; i < b->many_n; i++) {
		b->many[i] = bd_seq_new(b->m, b->depth + t->n);
		if (b->depth > 0)
			bd_seq_feed(b->many[i], b->ids, b->depth);
	}
}

/* One token more of each, different ones as those of different texts are. */
static void step_many(struct bd_bench *b, const struct bd_bench_test *t, uint32_t *id, size_t step)
{
	for (size_t i = 0; i < t->sequences; i++)
		id[i] = b->ids[(b->depth + step + i) % b->room];
	bd_seq_feed_all(b->m, b->many, id, t->sequences);
}

static double decode_many(struct bd_bench *b, const struct bd_bench_test *t)
{
	uint32_t *id = bd_alloc(t->sequences, sizeof(*id));
	double start;

	if (b->many_n != t->sequences || b->many_depth != b->depth) {
		open_many(b, t);
		step_many(b, t, id, 0); /* grows what the activations need */
	}
	for (size_t i = 0; i < t->sequences; i++)
		bd_seq_rewind(b->many[i], b->depth);
	start = bd_seconds();
	for (size_t i = 0; i < t->n; i++)
		step_many(b, t, id, i);
	bd_free(id);
	return (double)(t->n * t->sequences) / (bd_seconds() - start);
}

double bd_bench_speed(struct bd_bench *b, const struct bd_bench_test *t)
{
	const uint32_t *ids = b->ids + b->depth;
	double start;

	if (t->sequences > 1)
		return decode_many(b, t);
	bd_seq_rewind(b->s, b->depth);
	start = bd_seconds();
	if (t->kind == BD_BENCH_PREFILL)
		bd_seq_feed(b->s, ids, t->n);
	for (size_t i = 0; t->kind == BD_BENCH_DECODE && i < t->n; i++)
		bd_seq_feed(b->s, ids + i, 1);
	return (double)t->n / (bd_seconds() - start);
}

struct bd_score bd_bench_task(struct bd_bench *b, const char *path, size_t batch_tokens)
{
	struct bd_source *src = bd_source_open(path);
	struct bd_score s;

	bd_infer_fits(b->m, src);
	s = bd_eval(b->m->net, src, batch_tokens, NULL);
	bd_source_close(src);
	return s;
}

/* ---- what it must cost ---- */

static size_t linear_bytes(const struct bd_linear *w)
{
	size_t n = w->codes != NULL ? w->out * bd_ternary_stride(w->in)
	                            : w->out * w->in * (w->half != NULL ? sizeof(*w->half) : sizeof(float));

	return n + (w->gain != NULL ? w->in : 0) * sizeof(float) +
	       (w->bias != NULL ? w->out : 0) * sizeof(float);
}

double bd_bench_weight_bytes(const struct bd_bench *b)
{
	const struct bd_net *net = b->m->net;
	size_t C = (size_t)net->cfg.hidden, D = (size_t)net->cfg.head_dim;
	size_t n = bd_ggml_bytes(net->head.type, net->head.rows, C) + bd_ggml_bytes(net->embed.type, 1, C) +
	           C * sizeof(float);

	for (int l = 0; l < net->cfg.layers; l++) {
		n += (2 * C + (net->cfg.qk_norm ? 2 * D : 0)) * sizeof(float);
		for (int i = 0; i < BD_LINS; i++)
			n += linear_bytes(&net->block[l].lin[i]);
	}
	return (double)n;
}

double bd_bench_bytes(const struct bd_bench *b, const struct bd_bench_test *t)
{
	const struct bd_config *c = &b->m->net->cfg;
	double seen = (double)t->depth + ((double)t->n + 1) / 2, keys = 0; /* on average */

	for (int l = 0; l < c->layers; l++)
		keys += c->sliding != NULL && c->sliding[l] ? fmin(seen, c->window) : seen;
	return bd_bench_weight_bytes(b) / (double)t->sequences +
	       2 * keys * c->kv_heads * c->head_dim * (double)sizeof(float);
}

double bd_bench_products(const struct bd_bench *b)
{
	const struct bd_net *net = b->m->net;
	double n = 0;

	for (int l = 0; l < net->cfg.layers; l++)
		for (int i = 0; i < BD_LINS; i++)
			n += (double)net->block[l].lin[i].in * (double)net->block[l].lin[i].out;
	return n;
}
