/* bd-bench: prefill and decode speed and memory of a model, alone or against a second one in the same run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu.h"
#include "eval.h"
#include "gguf.h"
#include "log.h"
#include "mem.h"
#include "msg.h"
#include "opt.h"
#include "quant.h"
#include "rng.h"

enum { REPS = 1000, PROBE = 256 << 20, PROBES = 5 };

struct plan {
	int64_t pp, tg, reps, batch_tokens;
	const char *vs, *task;
	int format; /* index into "table|csv|json" */
	struct bd_common common;
	struct bd_par *par;
};

struct bench {
	const char *path;
	struct bd_infer *m;
	struct bd_session *s;
	uint32_t *ids;             /* [max(pp, tg)] random */
	double memory;             /* bytes resident because of this model */
	double read;               /* bytes of weights a decoded token reads */
	double *pp, *tg, *task;    /* [reps] tokens/s, tokens/s, examples/s */
	struct bd_score score;
};

/* ---- the machine ---- */

static double resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL || fscanf(f, "%*s %lu", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

struct probe {
	const uint64_t *p;
	uint64_t *sum; /* [threads]: the reads must not be optimised away */
};

static void probe_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct probe *b = ctx;
	uint64_t s = 0;

	for (size_t i = begin; i < end; i++)
		s += b->p[i];
	b->sum[slice] += s;
}

/* Bytes a second that this run's threads read from a block larger than the caches: the best of a few passes. */
static double bandwidth(struct bd_par *par)
{
	size_t n = PROBE / sizeof(uint64_t);
	uint64_t *block = bd_alloc(n, sizeof(*block));
	struct probe b = {block, bd_zalloc((size_t)bd_par_threads(par), sizeof(uint64_t))};
	double best = 0;

	memset(block, 1, PROBE);
	for (int i = 0; i < PROBES; i++) {
		double start = bd_seconds();

		bd_par_for(par, n, probe_slice, &b);
		best = fmax(best, PROBE / (bd_seconds() - start));
	}
	bd_free(b.sum);
	bd_free(block);
	return best;
}

/* ---- one model ---- */

static double weights_read(const struct bd_net *net)
{
	double n = (double)bd_ggml_bytes(net->head.type, net->head.rows, net->head.cols) +
	           (double)bd_ggml_bytes(net->embed.type, 1, net->embed.cols) + 4.0 * (double)net->cfg.hidden;

	for (int l = 0; l < net->cfg.layers; l++) {
		n += 8.0 * (double)net->cfg.hidden + (net->cfg.qk_norm ? 8.0 * (double)net->cfg.head_dim : 0);
		for (int i = 0; i < BD_LINS; i++) {
			const struct bd_linear *w = &net->block[l].lin[i];

			n += w->codes != NULL ? (double)(w->out * bd_ternary_stride(w->in)) : 4.0 * (double)(w->out * w->in);
			n += (w->gain != NULL ? 4.0 * (double)w->in : 0) + (w->bias != NULL ? 4.0 * (double)w->out : 0);
		}
	}
	return n;
}

/* Tokens a second of one pass: all n at once (prefill), or one by one (decode). */
static double pass(struct bench *b, int64_t n, bool decode)
{
	double start = bd_seconds();

	bd_session_rewind(b->s, 0);
	for (int64_t i = 0; i < n; i += decode ? 1 : n)
		bd_session_feed(b->s, b->ids + i, decode ? 1 : (size_t)n);
	return (double)n / (bd_seconds() - start);
}

static double task_pass(struct bench *b, const struct plan *p)
{
	struct bd_source *src = bd_source_open(p->task);

	bd_source_fits(src, bd_tok_digest(bd_infer_tok(b->m)), (uint32_t)b->m->net->cfg.vocab, b->path);
	b->score = bd_eval(b->m->net, src, (size_t)p->batch_tokens, NULL);
	bd_source_close(src);
	return (double)b->score.examples / b->score.seconds;
}

static struct bench bench_open(const char *path, const struct plan *p)
{
	struct bench b = {.path = path};
	size_t n = (size_t)(p->pp > p->tg ? p->pp : p->tg), reps = (size_t)p->reps;
	double before = resident();

	b.m = bd_infer_open(path, p->par, false);
	b.s = bd_session_new(b.m, n);
	b.read = weights_read(b.m->net);
	b.ids = bd_alloc(n, sizeof(*b.ids));
	for (size_t i = 0; i < n; i++)
		b.ids[i] = (uint32_t)bd_rng_below((uint64_t)p->common.seed, 0, i, (uint64_t)b.m->net->cfg.vocab);
	b.pp = bd_zalloc(reps, sizeof(*b.pp));
	b.tg = bd_zalloc(reps, sizeof(*b.tg));
	b.task = bd_zalloc(reps, sizeof(*b.task));
	pass(&b, p->pp, false); /* warm */
	pass(&b, p->tg < 8 ? p->tg : 8, true);
	b.memory = resident() - before;
	return b;
}

static void bench_close(struct bench *b)
{
	bd_session_free(b->s);
	bd_infer_close(b->m);
	bd_free(b->ids);
	bd_free(b->pp);
	bd_free(b->tg);
	bd_free(b->task);
}

/* ---- results ---- */

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(const double *sorted, int64_t n)
{
	return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void put_speed(json_t *o, const char *what, double *v, int64_t n)
{
	char key[32];

	qsort(v, (size_t)n, sizeof(*v), compare);
	json_object_set_new(o, what, json_real(median(v, n)));
	snprintf(key, sizeof(key), "%s_min", what);
	json_object_set_new(o, key, json_real(v[0]));
	snprintf(key, sizeof(key), "%s_max", what);
	json_object_set_new(o, key, json_real(v[n - 1]));
}

static json_t *result(struct bench *b, const struct plan *p, double rate)
{
	const struct bd_net *net = b->m->net;
	json_t *o = json_object();

	json_object_set_new(o, "model", json_string(b->path));
	json_object_set_new(o, "weights", json_string(net->cfg.ternary ? "ternary" : "f32"));
	json_object_set_new(o, "head", json_string(bd_ggml_name(net->head.type)));
	json_object_set_new(o, "file_bytes", json_integer((json_int_t)b->m->file_bytes));
	json_object_set_new(o, "memory_bytes", json_integer((json_int_t)b->memory));
	put_speed(o, "prefill", b->pp, p->reps);
	put_speed(o, "decode", b->tg, p->reps);
	if (p->task != NULL) {
		put_speed(o, "examples", b->task, p->reps);
		if (b->score.labelled > 0)
			json_object_set_new(o, "accuracy",
			                    json_real((double)b->score.correct / (double)b->score.labelled));
	}
	json_object_set_new(o, "read_bytes", json_integer((json_int_t)b->read));
	json_object_set_new(o, "of_bandwidth", json_real(b->read * median(b->tg, p->reps) / rate));
	return o;
}

static double real_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void print_row(const json_t *o, const struct plan *p)
{
	static const char *const speed[] = {"prefill", "decode", "examples"};

	printf("%-24s %-8s %-5s %9.1f %10.1f", json_string_value(json_object_get(o, "model")),
	       json_string_value(json_object_get(o, "weights")), json_string_value(json_object_get(o, "head")),
	       real_of(o, "file_bytes") / 0x1p20, real_of(o, "memory_bytes") / 0x1p20);
	for (int i = 0; i < (p->task != NULL ? 3 : 2); i++) {
		char low[32], high[32], span[64];

		snprintf(low, sizeof(low), "%s_min", speed[i]);
		snprintf(high, sizeof(high), "%s_max", speed[i]);
		snprintf(span, sizeof(span), "(%.1f-%.1f)", real_of(o, low), real_of(o, high));
		printf(" %9.1f %-17s", real_of(o, speed[i]), span);
	}
	printf(" %9.2f %8.1f%%\n", real_of(o, "read_bytes") / 0x1p20, 100 * real_of(o, "of_bandwidth"));
}

static void print_table(const json_t *all, const struct plan *p)
{
	const json_t *models = json_object_get(all, "models"), *ratio = json_object_get(all, "ratio"), *o, *v;
	char pp[32], tg[32];
	const char *key;
	size_t i;

	snprintf(pp, sizeof(pp), "pp%lld tok/s", (long long)p->pp);
	snprintf(tg, sizeof(tg), "tg%lld tok/s", (long long)p->tg);
	printf("%s, %s kernels, %d threads, %.1f GB/s read\n", bd_cpu_name(), bd_kern()->name, bd_par_threads(p->par),
	       real_of(all, "bandwidth") / 1e9);
	printf("%-24s %-8s %-5s %9s %10s %-27s %-27s", "model", "weights", "head", "file MiB", "memory MiB", pp, tg);
	printf("%s %9s %9s\n", p->task != NULL ? " examples/s                 " : "", "MiB/token", "bandwidth");
	json_array_foreach(models, i, o)
		print_row(o, p);
	json_object_foreach((json_t *)ratio, key, v)
		printf("%s%s %.2f%s", key[0] == 'p' ? "first / second: " : "", key, json_number_value(v),
		       strcmp(key, "file") == 0 ? "\n" : ", ");
}

static void print_csv(const json_t *models)
{
	const json_t *o, *v;
	const char *key;
	size_t i;

	json_array_foreach(models, i, o) {
		if (i == 0)
			json_object_foreach((json_t *)o, key, v)
				printf("%s%s", strcmp(key, "model") == 0 ? "" : ",", key);
		putchar(i == 0 ? '\n' : '\0');
		json_object_foreach((json_t *)o, key, v) {
			char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(8));

			printf("%s%s", strcmp(key, "model") == 0 ? "" : ",", text);
			free(text);
		}
		putchar('\n');
	}
}

static json_t *ratios(const json_t *models)
{
	const json_t *a = json_array_get(models, 0), *b = json_array_get(models, 1);

	return json_pack("{s:f, s:f, s:f, s:f}", "prefill", real_of(a, "prefill") / real_of(b, "prefill"), "decode",
	                 real_of(a, "decode") / real_of(b, "decode"), "memory",
	                 real_of(a, "memory_bytes") / real_of(b, "memory_bytes"), "file",
	                 real_of(a, "file_bytes") / real_of(b, "file_bytes"));
}

static void print(const json_t *all, const struct plan *p)
{
	char *text;

	if (p->format == 0) {
		print_table(all, p);
	} else if (p->format == 1) {
		print_csv(json_object_get(all, "models"));
	} else {
		text = bd_json_text(all, true);
		puts(text);
		bd_free(text);
	}
}

int main(int argc, char **argv)
{
	struct plan p = {.pp = 512, .tg = 128, .reps = 5, .batch_tokens = 1024};
	const struct bd_opt opts[] = {
		{"prefill", 'p', BD_INT, &p.pp, "N", "tokens of the prefill test", 1, 1e7},
		{"decode", 'n', BD_INT, &p.tg, "N", "tokens of the decode test", 1, 1e7},
		{"repetitions", 'r', BD_INT, &p.reps, "N", "how often; the median is printed", 1, REPS},
		{"vs", 0, BD_STR, &p.vs, "MODEL", "a second model, in turns with the first", 0, 0},
		{"task", 0, BD_STR, &p.task, "FILE", "also evaluate this example stream and count examples/s", 0, 0},
		{"batch-tokens", 'b', BD_INT, &p.batch_tokens, "N", "tokens of the stream that run together", 1, 1e8},
		{"format", 0, BD_ENUM, &p.format, "table|csv|json", "form of the result", 0, 0},
		{0},
	};
	const struct bd_tool tool = {"bd-bench", "measure speed and memory of models", "[options] MODEL", opts, 1, 1};
	int arg = bd_opt_parse(&tool, &p.common, argc, argv);
	json_t *all = json_object(), *models = json_array();
	struct bench b[2];
	size_t n = 0;
	double rate;

	p.par = bd_par_new((int)p.common.threads);
	rate = bandwidth(p.par);
	b[n++] = bench_open(argv[arg], &p);
	if (p.vs != NULL)
		b[n++] = bench_open(p.vs, &p);
	for (int64_t r = 0; r < p.reps; r++)
		for (size_t i = 0; i < n; i++) {
			b[i].pp[r] = pass(&b[i], p.pp, false);
			b[i].tg[r] = pass(&b[i], p.tg, true);
			b[i].task[r] = p.task != NULL ? task_pass(&b[i], &p) : 0;
		}
	json_object_set_new(all, "cpu", json_string(bd_cpu_name()));
	json_object_set_new(all, "kernels", json_string(bd_kern()->name));
	json_object_set_new(all, "threads", json_integer(p.common.threads));
	json_object_set_new(all, "prefill_tokens", json_integer(p.pp));
	json_object_set_new(all, "decode_tokens", json_integer(p.tg));
	json_object_set_new(all, "repetitions", json_integer(p.reps));
	json_object_set_new(all, "bandwidth", json_real(rate));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(models, result(&b[i], &p, rate));
	json_object_set_new(all, "models", models);
	if (n == 2)
		json_object_set_new(all, "ratio", ratios(models));
	print(all, &p);
	json_decref(all);
	for (size_t i = 0; i < n; i++)
		bench_close(&b[i]);
	bd_par_free(p.par);
	bd_stdout_close();
	return BD_OK;
}
