/* Rows are made once, as JSON objects; CSV prints them, and the JSON contains them. */
#include "eval/bench_out.h"

#include "base/mem.h"
#include "machine/cpu.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what all formats need ---- */

static const char *test_name(const struct bd_bench_report *r, size_t t)
{
	static char name[BD_BENCH_NAME];

	return bd_bench_test_name(name, &r->test[t]);
}

const char *bd_bench_short(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static void put(json_t *o, const char *key, double x)
{
	json_object_set_new(o, key, bd_json_number(x));
}

static void put_whole(json_t *o, const char *key, double x)
{
	json_object_set_new(o, key, isnan(x) ? json_null() : json_integer((json_int_t)x));
}

/* KEY, KEY_min, KEY_max */
static void put_spread(json_t *o, const char *key, struct bd_spread v)
{
	char name[64];

	put(o, key, v.median);
	snprintf(name, sizeof(name), "%s_min", key);
	put(o, name, v.min);
	snprintf(name, sizeof(name), "%s_max", key);
	put(o, name, v.max);
}

void bd_bench_put_roof(json_t *o, const struct bd_roofline *roof)
{
	for (int i = 0; i < BD_ROOFS; i++)
		put(o, bd_roof_name[i], roof->peak[i].rate > 0 ? roof->peak[i].rate : NAN);
}

static void put_model(json_t *o, const struct bd_bench_side *s)
{
	json_object_set_new(o, "model", bd_json_string(s->name));
	json_object_set_new(o, "weights", bd_json_string(s->weights));
	json_object_set_new(o, "head", bd_json_string(s->head));
}

static void put_facts(json_t *o, const struct bd_bench_side *s)
{
	put_model(o, s);
	put_whole(o, "file_bytes", s->file);
	put_whole(o, "memory_bytes", s->memory);
	put_whole(o, "peak_bytes", s->peak);
	put(o, "load_seconds", s->load);
	put(o, "first_token_seconds", s->first);
}

static void put_test(json_t *o, const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	const struct bd_bench_test *test = &r->test[t];
	struct bd_spread v = bd_bench_speeds(r, g, t, s);
	double share = bd_bench_of_peak(r, g, t, s);

	json_object_set_new(o, "test", json_string(test_name(r, t)));
	put_whole(o, "n_prompt", test->kind == BD_BENCH_PREFILL ? (double)test->n : 0);
	put_whole(o, "n_gen", test->kind == BD_BENCH_DECODE ? (double)test->n : 0);
	put_whole(o, "n_depth", (double)test->depth);
	put_whole(o, "n_sequences", (double)test->sequences);
	put_whole(o, "n_threads", (double)r->plan->threads.v[g]);
	put(o, "median", v.median);
	put(o, "min", v.min);
	put(o, "q1", v.q1);
	put(o, "q3", v.q3);
	put(o, "max", v.max);
	put(o, "of_peak", share);
	json_object_set_new(o, "peak",
	                    isnan(share) ? json_null() : json_string(bd_roof_name[bd_bench_roof(r, t, s)]));
	put_spread(o, "ratio", s > 0 ? bd_bench_ratio(r, g, t, s) : bd_spread(NULL, 0));
}

/* fn for every test of every side, in the order of the table. */
typedef void each_fn(void *ctx, const struct bd_bench_report *r, size_t g, size_t t, size_t s);
static void each(const struct bd_bench_report *r, each_fn *fn, void *ctx)
{
	for (size_t g = 0; g < r->plan->threads.n; g++)
		for (size_t t = 0; t < r->tests; t++)
			for (size_t s = 0; s < r->sides; s++)
				fn(ctx, r, g, t, s);
}

/* ---- JSON ---- */

/* The first test of a kind, without other sequences; r->tests: none. */
static size_t first_of(const struct bd_bench_report *r, enum bd_bench_kind kind)
{
	size_t t = 0;

	while (t < r->tests && (r->test[t].kind != kind || r->test[t].sequences > 1))
		t++;
	return t;
}

static const char *const kind_name[] = {"prefill", "decode", "examples"};
enum { KINDS = sizeof(kind_name) / sizeof(*kind_name) };

static json_t *model_json(const struct bd_bench_report *r, size_t s)
{
	const struct bd_bench_side *side = &r->side[s];
	size_t decode = first_of(r, BD_BENCH_DECODE);
	json_t *o = json_object();

	put_facts(o, side);
	for (int k = 0; k < KINDS; k++) {
		size_t t = first_of(r, (enum bd_bench_kind)k);

		if (t < r->tests)
			put_spread(o, kind_name[k], bd_bench_speeds(r, 0, t, s));
	}
	if (side->score.labelled > 0)
		put(o, "accuracy", (double)side->score.correct / (double)side->score.labelled);
	put_whole(o, "read_bytes", side->read);
	if (decode < r->tests)
		put(o, "of_bandwidth", bd_bench_of_peak(r, 0, decode, s));
	return o;
}

/* Of the first side to side s. */
static json_t *ratio_json(const struct bd_bench_report *r, size_t s)
{
	const struct bd_bench_side *a = &r->side[0], *b = &r->side[s];
	json_t *o = json_object();

	for (int k = 0; k < KINDS; k++) {
		size_t t = first_of(r, (enum bd_bench_kind)k);

		if (t < r->tests)
			put(o, kind_name[k], bd_bench_ratio(r, 0, t, s).median);
	}
	put(o, "memory_bytes", a->memory / b->memory);
	put(o, "peak_bytes", a->peak / b->peak);
	put(o, "file_bytes", a->file / b->file);
	return o;
}

static void append_test(void *list, const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	size_t reps = (size_t)r->plan->reps;
	const double *v = r->side[s].speed + (g * r->tests + t) * reps;
	json_t *o = json_object(), *samples = json_array();

	put_model(o, &r->side[s]);
	put_test(o, r, g, t, s);
	for (size_t i = 0; i < reps; i++)
		json_array_append_new(samples, bd_json_number(v[i]));
	json_object_set_new(o, "samples_ts", samples);
	json_array_append_new(list, o);
}

static json_t *roofs_json(const struct bd_bench_report *r)
{
	json_t *list = json_array();

	for (size_t g = 0; g < r->plan->threads.n; g++) {
		json_t *o = json_object();

		put_whole(o, "n_threads", (double)r->plan->threads.v[g]);
		bd_bench_put_roof(o, &r->roof[g]);
		json_array_append_new(list, o);
	}
	return list;
}

static void print_json(const struct bd_bench_report *r)
{
	json_t *all = json_object(), *models = json_array(), *tests = json_array();
	char *text;

	json_object_set_new(all, "cpu", bd_json_string(bd_cpu_name()));
	json_object_set_new(all, "kernels", json_string(bd_kern()->name));
	put_whole(all, "threads", (double)r->plan->threads.v[0]);
	put_whole(all, "prefill_tokens", (double)r->plan->prefill.v[0]);
	put_whole(all, "decode_tokens", (double)r->plan->decode.v[0]);
	put_whole(all, "repetitions", (double)r->plan->reps);
	put(all, "bandwidth", r->roof[0].peak[BD_ROOF_READ].rate);
	for (size_t s = 0; s < r->sides; s++)
		json_array_append_new(models, model_json(r, s));
	json_object_set_new(all, "models", models);
	if (r->sides > 1)
		json_object_set_new(all, "ratio", ratio_json(r, 1));
	json_object_set_new(all, "roofline", roofs_json(r));
	each(r, append_test, tests);
	json_object_set_new(all, "tests", tests);
	json_object_set(all, "history", r->history);
	text = bd_json_text(all, true);
	puts(text);
	bd_free(text);
	json_decref(all);
}

/* ---- CSV ---- */

static void print_field(const json_t *v)
{
	if (json_is_string(v)) {
		putchar('"');
		for (const char *s = json_string_value(v); *s != '\0'; s++)
			printf(*s == '"' ? "\"\"" : "%c", *s);
		putchar('"');
	} else if (json_is_integer(v)) {
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	} else if (json_is_real(v)) {
		printf("%.8g", json_real_value(v));
	}
}

void bd_bench_csv(const json_t *rows)
{
	const json_t *o, *v;
	const char *key, *comma = "";
	size_t i;

	json_object_foreach(json_array_get(rows, 0), key, v) {
		printf("%s%s", comma, key);
		comma = ",";
	}
	putchar('\n');
	json_array_foreach(rows, i, o) {
		comma = "";
		json_object_foreach((json_t *)o, key, v) {
			fputs(comma, stdout);
			print_field(v);
			comma = ",";
		}
		putchar('\n');
	}
}

static void append_row(void *list, const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	json_t *o = json_object();

	put_facts(o, &r->side[s]);
	put_test(o, r, g, t, s);
	bd_bench_put_roof(o, &r->roof[g]);
	json_array_append_new(list, o);
}

/* ---- table ---- */

/* A number in so many columns, "-" if there is none. */
static void print_number(int width, int digits, double x)
{
	if (isnan(x))
		printf(" %*s", width, "-");
	else
		printf(" %*.*f", width, digits, x);
}

/* "(low-high)", padded. */
static void print_span(int width, int digits, const struct bd_spread *v)
{
	char text[64] = "";

	if (!isnan(v->median))
		snprintf(text, sizeof(text), "(%.*f-%.*f)", digits, v->min, digits, v->max);
	printf(" %-*s", width, text);
}

void bd_bench_print_roof(const struct bd_roofline *roof, int64_t threads)
{
	static const char *const unit[BD_ROOFS] = {"GB/s", "GOP/s", "GFLOP/s", "GFLOP/s"};

	printf("%" PRId64 " thread%s:", threads, threads == 1 ? "" : "s");
	for (int i = 0; i < BD_ROOFS; i++)
		if (roof->peak[i].rate > 0)
			printf("%s %s %.1f %s (%s)", i > 0 ? "," : "", bd_roof_name[i],
			       roof->peak[i].rate / 1e9, unit[i], roof->peak[i].with);
	putchar('\n');
}

static void print_side(const struct bd_bench_side *s)
{
	printf("%-28s %-26s %-5s", bd_bench_short(s->name), s->weights, s->head);
	print_number(9, 1, s->file / 0x1p20);
	print_number(10, 1, s->memory / 0x1p20);
	print_number(9, 1, s->peak / 0x1p20);
	print_number(8, 3, s->load);
	print_number(13, 3, s->first);
	putchar('\n');
}

static void print_test(void *ctx, const struct bd_bench_report *r, size_t g, size_t t, size_t s)
{
	struct bd_spread v = bd_bench_speeds(r, g, t, s), ratio = bd_bench_ratio(r, g, t, s);
	const struct bd_score *score = &r->side[s].score;
	double share = bd_bench_of_peak(r, g, t, s);
	int digits = v.max >= 1000 ? 0 : 1;
	char reached[40] = "";

	(void)ctx;
	if (!isnan(share))
		snprintf(reached, sizeof(reached), "%.1f%% %s", 100 * share,
		         bd_roof_name[bd_bench_roof(r, t, s)]);
	else if (r->test[t].kind == BD_BENCH_EXAMPLES && score->labelled > 0)
		snprintf(reached, sizeof(reached), "%.1f%% right",
		         100 * (double)score->correct / (double)score->labelled);
	printf("%-20s %7" PRId64 " %-28s", test_name(r, t), r->plan->threads.v[g],
	       bd_bench_short(r->side[s].name));
	print_number(10, digits, v.median);
	print_span(19, digits, &v);
	if (s == 0) {
		printf(" %s", reached);
	} else {
		printf(" %-16s", reached);
		print_number(7, 2, ratio.median);
		print_span(0, 2, &ratio);
	}
	putchar('\n');
}

static void print_table(const struct bd_bench_report *r)
{
	printf("%s, %s kernels, %" PRId64 " repetition%s\n", bd_cpu_name(), bd_kern()->name, r->plan->reps,
	       r->plan->reps == 1 ? "" : "s");
	for (size_t g = 0; g < r->plan->threads.n; g++)
		bd_bench_print_roof(&r->roof[g], r->plan->threads.v[g]);
	printf("\n%-28s %-26s %-5s %9s %10s %9s %8s %13s\n", "model", "weights", "head", "file MiB",
	       "memory MiB", "peak MiB", "load s", "first token s");
	for (size_t s = 0; s < r->sides; s++)
		print_side(&r->side[s]);
	printf("\n%-20s %7s %-28s %10s %-19s %-16s%s\n", "test", "threads", "model", "per second",
	       "(min-max)", "of the peak", r->sides > 1 ? " first / this (min-max)" : "");
	each(r, print_test, NULL);
}

void bd_bench_print(const struct bd_bench_report *r, enum bd_bench_format f)
{
	json_t *rows = json_array();

	if (f == BD_BENCH_TABLE) {
		print_table(r);
	} else if (f == BD_BENCH_JSON) {
		print_json(r);
	} else {
		each(r, append_row, rows);
		bd_bench_csv(rows);
	}
	json_decref(rows);
}
