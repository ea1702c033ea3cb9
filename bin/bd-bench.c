/* bd-bench: prefill and decode speed and memory of a model, alone or against a second one in the same run. */
#include "base/mem.h"
#include "base/msg.h"
#include "base/opt.h"
#include "eval/bench.h"
#include "format/gguf.h"
#include "machine/cpu.h"
#include "math/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMATS "table|csv|json"

struct plan {
	int64_t pp, tg, reps, batch_tokens;
	const char *vs, *task;
	enum format { TABLE, CSV, JSON } format;
};

enum { PREFILL, DECODE, EXAMPLES, SPEEDS };
static const char *const speed_name[SPEEDS] = {"prefill", "decode", "examples"};

struct result {
	struct bd_bench b;
	double *speed[SPEEDS]; /* [reps] per second */
	struct bd_score score;
};

/* ---- measuring ---- */

static void measure(struct result *r, const struct plan *p, int64_t i)
{
	r->speed[PREFILL][i] = bd_bench_prefill(&r->b);
	r->speed[DECODE][i] = bd_bench_decode(&r->b);
	if (p->task == NULL)
		return;
	r->score = bd_bench_task(&r->b, p->task, (size_t)p->batch_tokens);
	r->speed[EXAMPLES][i] = (double)r->score.examples / r->score.seconds;
}

static void put_speed(json_t *o, const char *name, double *v, int64_t reps)
{
	char key[32];

	json_object_set_new(o, name, json_real(bd_bench_median(v, (size_t)reps)));
	snprintf(key, sizeof(key), "%s_min", name);
	json_object_set_new(o, key, json_real(v[0]));
	snprintf(key, sizeof(key), "%s_max", name);
	json_object_set_new(o, key, json_real(v[reps - 1]));
}

static const char *weights_of(const struct bd_net *net)
{
	const struct bd_linear *w = &net->block[0].lin[0];

	return net->cfg.ternary ? "ternary" : w->half == NULL ? "f32" : w->bf16 ? "bf16" : "f16";
}

static json_t *result_json(const struct result *r, const struct plan *p, double bandwidth)
{
	const struct bd_net *net = r->b.m->net;
	json_t *o = json_object();

	json_object_set_new(o, "model", bd_json_string(r->b.m->path));
	json_object_set_new(o, "weights", json_string(weights_of(net)));
	json_object_set_new(o, "head", json_string(bd_ggml_name(net->head.type)));
	json_object_set_new(o, "file_bytes", json_integer((json_int_t)r->b.m->file_bytes));
	json_object_set_new(o, "memory_bytes", json_integer((json_int_t)r->b.memory));
	for (int i = 0; i < (p->task != NULL ? SPEEDS : EXAMPLES); i++)
		put_speed(o, speed_name[i], r->speed[i], p->reps);
	if (r->score.labelled > 0)
		json_object_set_new(o, "accuracy",
		                    json_real((double)r->score.correct / (double)r->score.labelled));
	json_object_set_new(o, "read_bytes", json_integer((json_int_t)r->b.read));
	json_object_set_new(
	    o, "of_bandwidth",
	    json_real(r->b.read * bd_bench_median(r->speed[DECODE], (size_t)p->reps) / bandwidth));
	return o;
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* First model over second. */
static json_t *ratios(const json_t *models, const struct plan *p)
{
	const char *const key[] = {"prefill", "decode", "memory_bytes", "file_bytes", "examples"};
	const json_t *a = json_array_get(models, 0), *b = json_array_get(models, 1);
	json_t *o = json_object();

	for (int i = 0; i < (p->task != NULL ? 5 : 4); i++)
		json_object_set_new(o, key[i], json_real(number(a, key[i]) / number(b, key[i])));
	return o;
}

static json_t *bench(const struct plan *p, const struct bd_common *common, const char *const *path, size_t n)
{
	struct bd_dev *dev = bd_dev_open((int)common->threads);
	double bandwidth = bd_bench_bandwidth(dev->par);
	struct result r[2] = {0};
	json_t *models = json_array(), *all;

	for (size_t i = 0; i < n; i++) {
		r[i].b = bd_bench_open(path[i], dev, (size_t)p->pp, (size_t)p->tg, (uint64_t)common->seed);
		for (int s = 0; s < SPEEDS; s++)
			r[i].speed[s] = bd_zalloc((size_t)p->reps, sizeof(double));
	}
	json_t *history =
	    bd_history((struct bd_input[]){bd_infer_input(r[0].b.m),
	                                   n == 2 ? bd_infer_input(r[1].b.m) : (struct bd_input){0}},
	               n);
	for (int64_t rep = 0; rep < p->reps; rep++) /* alternately: what disturbs one disturbs the other */
		for (size_t i = 0; i < n; i++)
			measure(&r[i], p, rep);
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(models, result_json(&r[i], p, bandwidth));
		for (int s = 0; s < SPEEDS; s++)
			bd_free(r[i].speed[s]);
		bd_bench_close(&r[i].b);
	}
	all = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:o}", "cpu", bd_cpu_name(), "kernels",
	                bd_kern()->name, "threads", (json_int_t)common->threads, "prefill_tokens",
	                (json_int_t)p->pp, "decode_tokens", (json_int_t)p->tg, "repetitions",
	                (json_int_t)p->reps, "bandwidth", bandwidth, "models", models);
	if (n == 2)
		json_object_set_new(all, "ratio", ratios(models, p));
	json_object_set_new(all, "history", history);
	bd_dev_close(dev);
	return all;
}

/* ---- printing ---- */

static void print_row(const json_t *o, const struct plan *p)
{
	const char *path = json_string_value(json_object_get(o, "model")), *slash = strrchr(path, '/');

	printf("%-20s %-7s %-4s %9.1f %10.1f", slash != NULL && slash[1] != '\0' ? slash + 1 : path,
	       json_string_value(json_object_get(o, "weights")),
	       json_string_value(json_object_get(o, "head")), number(o, "file_bytes") / 0x1p20,
	       number(o, "memory_bytes") / 0x1p20);
	for (int i = 0; i < (p->task != NULL ? SPEEDS : EXAMPLES); i++) {
		char low[32], high[32], span[64];

		snprintf(low, sizeof(low), "%s_min", speed_name[i]);
		snprintf(high, sizeof(high), "%s_max", speed_name[i]);
		snprintf(span, sizeof(span), "(%.0f-%.0f)", number(o, low), number(o, high));
		printf(" %9.1f %-14s", number(o, speed_name[i]), span);
	}
	printf(" %9.2f %8.1f%%\n", number(o, "read_bytes") / 0x1p20, 100 * number(o, "of_bandwidth"));
}

static void print_table(const json_t *all, const struct plan *p)
{
	const json_t *ratio = json_object_get(all, "ratio"), *v;
	char pp[32], tg[32];
	const char *key;
	size_t i;

	snprintf(pp, sizeof(pp), "pp%lld tok/s", (long long)p->pp);
	snprintf(tg, sizeof(tg), "tg%lld tok/s", (long long)p->tg);
	printf("%s, %s kernels, %lld threads, reads %.1f GB/s\n",
	       json_string_value(json_object_get(all, "cpu")),
	       json_string_value(json_object_get(all, "kernels")), (long long)number(all, "threads"),
	       number(all, "bandwidth") / 1e9);
	printf("%-20s %-7s %-4s %9s %10s %-24s %-24s", "model", "weights", "head", "file MiB", "memory MiB",
	       pp, tg);
	printf("%s %9s %9s\n", p->task != NULL ? " examples/s              " : "", "MiB/token", "bandwidth");
	json_array_foreach(json_object_get(all, "models"), i, v)
		print_row(v, p);
	if (ratio == NULL)
		return;
	printf("first / second:");
	json_object_foreach((json_t *)ratio, key, v)
		printf(" %s %.2f", key, json_number_value(v));
	putchar('\n');
}

static void print_csv(const json_t *models)
{
	const json_t *o, *v;
	const char *key, *comma = "";
	size_t i;

	json_object_foreach(json_array_get(models, 0), key, v) {
		printf("%s%s", comma, key);
		comma = ",";
	}
	putchar('\n');
	json_array_foreach(models, i, o) {
		comma = "";
		json_object_foreach((json_t *)o, key, v) {
			char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(8));

			printf("%s%s", comma, text);
			free(text);
			comma = ",";
		}
		putchar('\n');
	}
}

static void print_json(const json_t *all)
{
	char *text = bd_json_text(all, true);

	puts(text);
	bd_free(text);
}

int main(int argc, char **argv)
{
	struct plan p = {.pp = 512, .tg = 128, .reps = 5, .batch_tokens = 1024};
	struct bd_common common;
	const struct bd_opt opts[] = {
	    {"prefill", 'p', BD_INT, &p.pp, "N", "tokens in the prefill test", 1, 1e7},
	    {"decode", 'n', BD_INT, &p.tg, "N", "tokens in the decode test", 1, 1e7},
	    {"repetitions", 'r', BD_INT, &p.reps, "N", "repetitions; the median is printed", 1, 1000},
	    {"vs", 0, BD_STR | BD_READ, &p.vs, "MODEL", "second model, measured alternately with the first",
	     0, 0},
	    {"task", 0, BD_STR | BD_READ, &p.task, "FILE",
	     "also evaluate this example stream and measure examples/s", 0, 0},
	    {"batch-tokens", 'b', BD_INT, &p.batch_tokens, "N", "tokens of the stream to process together", 1,
	     1e8},
	    {"format", 0, BD_ENUM, &p.format, FORMATS, "output format", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {
	    "bd-bench", "measure the speed and memory use of models", "[options] MODEL", opts, 1, 1};
	int arg = bd_opt_parse(&tool, &common, argc, argv);
	const char *const path[2] = {argv[arg], p.vs};
	json_t *all = bench(&p, &common, path, p.vs != NULL ? 2 : 1);

	if (p.format == TABLE)
		print_table(all, &p);
	else if (p.format == CSV)
		print_csv(json_object_get(all, "models"));
	else
		print_json(all);
	json_decref(all);
	bd_stdout_close();
	return BD_OK;
}
