/* The trainer on tiny models: the losses' gradients, accumulation, reproducibility, interruption, the
 * teacher's stream, refusals. Everything lives in a temporary directory and is made here. */
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "device.h"
#include "data/feed.h"
#include "machine/gemm.h"
#include "machine/quant.h"
#include "math/op_embed.h"
#include "near.h"
#include "net/net_model.h"
#include "train/finite.h"
#include "train/plan.h"
#include "train/step.h"
#include "train/teacher.h"
#include "train/train.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { V = 48, FEW = V - 9, WIDE = V + 8, EXAMPLES = 60 };

static char root[] = "/tmp/bd-test-train.XXXXXX";

static char *kept[512];
static size_t n_kept;

/* A path in the temporary directory, freed at the end. */
static char *at(const char *name)
{
	assert_true(n_kept < sizeof(kept) / sizeof(*kept));
	return kept[n_kept++] = bd_path(root, name);
}

/* ---- material ---- */

static struct bd_model *tiny(const char *family, int hidden, int layers, bool ternary, int vocab)
{
	char *text = bd_sprintf(
	    "{\"model_type\": \"%s\", \"hidden_size\": %d, \"num_hidden_layers\": %d, "
	    "\"num_attention_heads\": 4, "
	    "\"num_key_value_heads\": 2, \"head_dim\": 16, \"intermediate_size\": 80, \"vocab_size\": %d, "
	    "\"tie_word_embeddings\": %s, \"initializer_range\": 0.1%s}",
	    family, hidden, layers, vocab, strcmp(family, "qwen3") == 0 ? "true" : "false",
	    ternary ? ", \"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\"}" : "");
	json_t *j = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(j, "test");

	if (ternary) {
		c.ternary = true;
		c.norms = BD_NORMS_SUBLN;
	}
	struct bd_model *m = bd_model_new(&c);
	bd_model_init(m, 3);
	bd_config_free(&c);
	json_decref(j);
	bd_free(text);
	return m;
}

static void make_model_of(const char *name, const char *family, int hidden, int layers, bool ternary,
                          int vocab)
{
	struct bd_model *m = tiny(family, hidden, layers, ternary, vocab);
	char *path = at(name);
	struct bd_outdir *d = bd_outdir_open(path, true);

	bd_model_save(m, bd_outdir_path(d), BD_F32, NULL);
	bd_outdir_commit(d);
	bd_model_free(m);
}

static void make_model(const char *name, const char *family, int hidden, int layers, bool ternary)
{
	make_model_of(name, family, hidden, layers, ternary, V);
}

/* Sequences of 4 to 12 tokens with a rule to learn: the answer, the last token, is the class of the first
 * one. */
static void make_example(struct bd_record *r, uint64_t i, uint32_t vocab)
{
	r->n = 4 + (size_t)bd_rng_below(5, 0, i, 9);
	r->ids = bd_alloc(r->n, sizeof(*r->ids));
	r->target = bd_zalloc(r->n, 1);
	for (size_t t = 0; t < r->n; t++)
		r->ids[t] = 2 + (uint32_t)bd_rng_below(5, i + 1, t, vocab - 2);
	r->label = (int32_t)(r->ids[0] & 1);
	r->ids[r->n - 1] = (uint32_t)r->label;
	r->target[r->n - 1] = 1;
	if (i % 3 == 0) /* a second target inside */
		r->target[r->n / 2] = 1;
}

static void make_stream(const char *name, size_t n, uint32_t vocab)
{
	uint32_t choice[2] = {0, 1};
	struct bd_stream_head h = {.vocab = vocab, .layer = -1, .choice = choice, .n_choice = 2};
	char *path = at(name);

	memset(h.tokenizer, 'a', 32);
	struct bd_sink *s = bd_sink_open(path, 0, &h);
	for (size_t i = 0; i < n; i++) {
		struct bd_record r = {0};

		make_example(&r, i, vocab);
		bd_sink_put(s, &r);
		bd_record_free(&r);
	}
	bd_sink_close(s);
}

static int setup(void **state)
{
	(void)state;
	bd_msg_tool("test_train");
	if (mkdtemp(root) == NULL)
		return 1;
	make_model("dense", "qwen3", 64, 2, false);
	make_model("ternary", "qwen3", 64, 2, true);
	make_model("untied", "llama", 64, 2, false);
	make_model("big", "llama", 96, 5, false);
	make_model_of("wide", "llama", 96, 3, false, WIDE);
	make_stream("examples", EXAMPLES, V);
	make_stream("few", EXAMPLES, FEW);
	make_stream("one", 1, V);
	make_stream("one.few", 1, FEW);
	make_stream("empty", 0, V);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bd_remove_tree(root);
	while (n_kept > 0)
		bd_free(kept[--n_kept]);
	return 0;
}

/* ---- runs ---- */

static struct bd_train job(const char *stage, const char *model, const char *output)
{
	struct bd_train t = bd_train_defaults(stage);

	t.model = at(model);
	t.output = at(output);
	t.force = true;
	t.batch = 8;
	t.lr = 3e-3;
	t.common = (struct bd_common){.threads = 2, .seed = 1, .quiet = true};
	return t;
}

static char *with_log(struct bd_train *t, const char *name)
{
	return (char *)(uintptr_t)(t->log = at(name));
}

/* Value of `key` in line i (from the end when negative) of a log. */
static double logged(const char *log, int i, const char *key)
{
	struct bd_in *in = bd_in_open(log);
	double value = NAN, v[2000];
	int n = 0;
	size_t len;

	for (char *line; (line = bd_in_line(in, &len)) != NULL;) {
		json_t *j = bd_json_parse(line, len, log);

		if (json_object_get(j, "loss") != NULL && n < 2000)
			v[n++] = json_number_value(json_object_get(j, key));
		json_decref(j);
	}
	bd_in_close(in);
	i = i < 0 ? n + i : i;
	if (i >= 0 && i < n)
		value = v[i];
	return value;
}

static void assert_same_file(const char *a, const char *b, bool same)
{
	size_t n, m;
	char *p = bd_read_file(a, &n), *q = bd_read_file(b, &m);

	assert_int_equal(n == m && memcmp(p, q, n) == 0, same);
	bd_free(p);
	bd_free(q);
}

static void assert_same_model(const char *a, const char *b, bool same)
{
	char *p = bd_sprintf("%s/%s/model.safetensors", root, a),
	     *q = bd_sprintf("%s/%s/model.safetensors", root, b);

	assert_same_file(p, q, same);
	bd_free(p);
	bd_free(q);
}

static void dump_from(const char *examples, const char *model, const char *out, struct bd_teacher o)
{
	char *path = at(examples);

	o.model = at(model);
	o.output = at(out);
	o.layer = o.layer != NULL ? o.layer : "0.8";
	o.batch_tokens = o.batch_tokens ? o.batch_tokens : 50;
	o.common =
	    (struct bd_common){.threads = o.common.threads ? o.common.threads : 2, .seed = 1, .quiet = true};
	bd_teacher_run(&o, BD_PART(path));
}

static void dump(const char *model, const char *out, struct bd_teacher o)
{
	dump_from("examples", model, out, o);
}

static void learns(const char *model, int weights)
{
	struct bd_train t = job("sft", model, "learnt");
	char *log = with_log(&t, "learn.log"), *in = at("examples");

	t.epochs = 12;
	t.weights = (enum bd_weights)weights;
	t.shuffle = true;
	assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	double first = logged(log, 0, "ce"), last = logged(log, -1, "ce");
	assert_true(first > 2 && last < 0.5 * first);
	assert_int_equal(logged(log, -1, "step"), 90); /* 12 * 60 / 8 */
}

static void test_loss_decreases(void **state)
{
	(void)state;
	learns("dense", BD_WEIGHTS_AUTO);
	learns("ternary", BD_WEIGHTS_AUTO);
	learns("untied", BD_WEIGHTS_TERNARY);
}

static void test_same_bytes(void **state)
{
	(void)state;
	char *in = at("examples");
	for (int i = 0; i < 3; i++) {
		struct bd_train t = job("sft", "ternary", i == 0 ? "a" : i == 1 ? "b" : "c");

		t.epochs = 2;
		t.shuffle = true;
		t.common.seed = i < 2 ? 5 : 6;
		assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	}
	assert_same_model("a", "b", true);
	assert_same_model("a", "c", false);
}

/* Passes that end before --steps do: the schedule ends with them, though the stream does not say its
 * length. */
static void test_passes_end_first(void **state)
{
	(void)state;
	char *in = at("examples");
	for (int i = 0; i < 2; i++) {
		struct bd_train t = job("sft", "dense", i ? "by-steps" : "by-passes");

		t.epochs = 1;
		t.steps = i ? EXAMPLES / 8 + 1 : 1000;
		assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	}
	assert_same_model("by-steps", "by-passes", true);
}

/* One step's gradient by three divisions of the same 24 records. */
static void test_accumulation(void **state)
{
	(void)state;
	char *in = at("examples"), *logs[4];
	for (int i = 0; i < 4; i++) {
		struct bd_train t = job("sft", "dense", "acc");
		char name[16];

		snprintf(name, sizeof(name), "acc%d.log", i);
		logs[i] = with_log(&t, name);
		t.steps = 2;
		t.batch = i == 0 ? 24 : i == 1 ? 4 : i == 2 ? 24 : 23;
		t.accum = i == 1 ? 6 : 1;
		t.micro_tokens = i == 2 ? 13 : 8192;
		assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	}
	static const char *const key[] = {"loss", "grad_norm"};
	for (int k = 0; k < 2; k++) {
		double want = logged(logs[0], 0, key[k]);

		assert_true(want > 0);
		assert_near1(key[k], logged(logs[1], 0, key[k]), want, 1e-6);
		assert_near1(key[k], logged(logs[2], 0, key[k]), want, 1e-6);
		assert_false(fabs(logged(logs[3], 0, key[k]) - want) <
		             1e-6 * want); /* other records: another answer */
	}
	assert_near1("second step", logged(logs[1], 1, "loss"), logged(logs[0], 1, "loss"), 1e-5);
}

/* ---- the losses together ---- */

struct whole {
	struct bd_step s;
	struct bd_plan plan;
	struct bd_train t;
};

static void open_whole(struct whole *w, const char *model, const char *teacher, struct bd_train t)
{
	char *dir = at(model), *in = at(teacher);

	w->t = t;
	w->s = (struct bd_step){.t = &w->t, .plan = &w->plan, .dev = cpu(), .m = bd_model_load(dir)};
	w->s.feed = bd_feed_open(BD_PART(in), &(struct bd_feed_plan){.count = true});
	w->plan = bd_plan_make(&w->t, w->s.m, w->s.feed);
	w->s.net = bd_net_from_model(w->s.m, cpu(), true);
	bd_step_open(&w->s);
	assert_true(bd_step_read(&w->s));
}

static void close_whole(struct whole *w)
{
	for (size_t i = 0; i < w->s.n_rec; i++)
		bd_record_free(&w->s.rec[i]);
	bd_step_close(&w->s);
	bd_net_free(w->s.net);
	bd_feed_close(w->s.feed);
	bd_model_free(w->s.m);
}

static double loss_of(struct whole *w, const struct bd_mix *mix, float *grad)
{
	struct bd_sums s = {0};
	const struct bd_counts *c = &w->s.counts;

	memset(grad, 0, w->s.m->n * sizeof(*grad));
	struct bd_micro_batch b = {w->s.rec, w->s.n_rec, c, mix, w->s.m, grad};
	bd_distill_run(w->s.d, w->s.acts, &b, &s);
	return w->t.ce * s.ce / (double)c->targets + mix->lambda * s.ld / (double)c->ld +
	       mix->gamma * bd_distill_ad_unit(&w->plan.o, c) * s.ad;
}

/* The gradient along a direction, against a central difference of the loss. */
static void check_direction(struct whole *w, const struct bd_mix *mix)
{
	size_t n = w->s.m->n;
	float *x = w->s.m->data, *grad = bd_alloc(n, sizeof(*grad)), *dir = normal(n, 1),
	      *keep = copy_of(x, n);
	double along = 0, h = 2e-4, at_x[2];

	loss_of(w, mix, grad);
	for (size_t i = 0; i < n; i++)
		along += (double)grad[i] * (double)dir[i];
	for (int sign = 0; sign < 2; sign++) {
		float *unused = bd_alloc(n, sizeof(*unused));

		for (size_t i = 0; i < n; i++)
			x[i] = keep[i] + (float)(sign ? -h : h) * dir[i];
		at_x[sign] = loss_of(w, mix, unused);
		bd_free(unused);
	}
	memcpy(x, keep, n * sizeof(*x));
	assert_near1("directional derivative", (at_x[0] - at_x[1]) / (2 * h), along, 5e-3);
	bd_free(grad);
	bd_free(dir);
	bd_free(keep);
}

static void test_gradient(void **state)
{
	(void)state;
	dump("big", "all.bds", (struct bd_teacher){.positions = 1});
	dump("big", "top.bds", (struct bd_teacher){.top_k = 7, .tau = 3});
	dump("big", "drawn.bds", (struct bd_teacher){.sample = 7, .tau = 3});
	for (int i = 0; i < 7; i++) {
		struct bd_train t = job("distill", i & 1 ? "untied" : "dense", "none");
		struct bd_mix mix = {.lambda = 2, .gamma = 300, .beta = 0.3};
		struct whole w;

		t.gamma_ratio = 0;
		t.gamma = 300;
		t.ce = i == 4 ? 0 : 0.7;
		t.tau = 3;
		t.no_tau2 = i == 1;
		t.objective = i == 3 ? BD_DIV_CAKLD : BD_DIV_KL;
		t.relation = i == 5;
		t.relation_norm = i == 2;
		t.states = i != 2 ? "qkv" : "qv";
		open_whole(&w, i & 1 ? "untied" : "dense",
		           i == 2   ? "top.bds"
		           : i == 6 ? "drawn.bds"
		                    : "all.bds",
		           t);
		assert_int_equal(w.plan.o.layer, 1); /* teacher layer 3 of 5: depth 0.8 of 2 layers */
		check_direction(&w, &mix);
		close_whole(&w);
	}
}

/* A student that is its teacher has nothing to learn from it. */
static void test_own_teacher(void **state)
{
	(void)state;
	struct bd_train t = job("distill", "dense", "none");
	struct whole w;
	struct bd_sums s = {0};
	dump("dense", "own.bds", (struct bd_teacher){0});
	open_whole(&w, "dense", "own.bds", t);
	struct bd_mix mix = {1, 1, 0};
	struct bd_micro_batch b = {w.s.rec, w.s.n_rec, &w.s.counts, &mix, w.s.m, w.s.u.grad};
	bd_distill_run(w.s.d, w.s.acts, &b, &s);
	assert_true(s.ce / (double)w.s.counts.targets > 1);
	assert_true(fabs(s.ld) < 1e-4 && fabs(s.ad) < 1e-4);
	assert_int_equal(w.s.counts.ld, w.s.counts.targets);
	close_whole(&w);
}

/* AD's denominator, by hand: A rows, or A^2 rows. */
static void test_ad_unit(void **state)
{
	const struct bd_counts c = {.targets = 3, .ld = 5, .rows = 10};

	(void)state;
	assert_near1("1 / (A rows)", bd_distill_ad_unit(&(struct bd_objective){.heads = 4}, &c), 0.025, 1e-6);
	assert_near1("1 / (A^2 rows)",
	             bd_distill_ad_unit(&(struct bd_objective){.heads = 4, .code_norm = true}, &c), 0.00625,
	             1e-6);
}

/* The sum of the teacher's largest probabilities, and how many there are, added to what there was. */
static void test_confidence(void **state)
{
	struct bd_train t = job("distill", "dense", "none");
	struct whole w;
	size_t P = 3, n = 0;
	double want = 0;
	float z[V];

	(void)state;
	open_whole(&w, "dense", "all.bds", t);
	for (size_t i = 0; i < w.s.n_rec; i++)
		for (size_t j = 0; j < w.s.rec[i].positions; j++, n++) {
			double sum = 0, most = 0;

			bd_f32_row(z, w.s.rec[i].z + j * V, V);
			for (size_t v = 0; v < V; v++) {
				sum += exp((double)z[v]);
				most = fmax(most, exp((double)z[v]));
			}
			want += most / sum;
		}
	assert_near1("confidence", bd_distill_confidence(w.s.d, w.s.rec, w.s.n_rec, &P), want, 1e-6);
	assert_true(n > 0);
	assert_int_equal(P, 3 + n);
	close_whole(&w);
}

static void test_ratios(void **state)
{
	(void)state;
	struct bd_train t = job("distill", "ternary", "ratios");
	char *log = with_log(&t, "ratios.log"), *in = at("all.bds");
	t.lambda_ratio = 0.5;
	t.gamma_ratio = 0.25;
	t.epochs = 10;
	assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	assert_near1("first ratio of LD", logged(log, 0, "ratio_ld"), 0.5, 1e-5);
	assert_near1("first ratio of AD", logged(log, 0, "ratio_ad"), 0.25, 1e-4);
	assert_true(logged(log, 60, "lambda") > 0 && logged(log, 60, "gamma") > 0);
	assert_true(logged(log, 1, "lambda") != logged(log, 2, "lambda"));
	assert_true(logged(log, 60, "lambda") == logged(log, 70, "lambda")); /* frozen */
	assert_true(logged(log, 60, "gamma") == logged(log, 70, "gamma"));
	t.lambda_ratio = 0;
	t.lambda = 2;
	t.gamma_ratio = 0;
	t.epochs = 1;
	t.ce = 0; /* nothing that LD could be compared with */
	assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	assert_true(logged(log, 0, "lambda") == 2 && logged(log, 0, "ratio_ld") == 0);
}

/* ---- the teacher's stream ---- */

static void test_dump(void **state)
{
	(void)state;
	char *top = at("top.bds"), *all = at("all.bds");
	dump("big", "full.bds", (struct bd_teacher){.batch_tokens = 7});
	struct bd_source *f = bd_source_open(at("full.bds")), *k = bd_source_open(top),
	                 *a = bd_source_open(all);
	struct bd_record rf = {0}, rk = {0}, ra = {0};
	float *z = bd_alloc(V, sizeof(*z));
	assert_int_equal(bd_source_head(f)->layer, 3);
	assert_int_equal(bd_source_head(f)->teacher_layers, 5);
	assert_true(bd_source_head(f)->after_rope && bd_source_head(f)->states_f16);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(bd_source_head(f)->heads[i], i == 0 ? 4 : 2);
		assert_int_equal(bd_source_head(f)->width[i], i == 0 ? 64 : 32);
	}
	while (bd_source_next(f, &rf)) {
		assert_true(bd_source_next(k, &rk) && bd_source_next(a, &ra));
		assert_int_equal(ra.positions, ra.n - 1);
		for (size_t j = 0, p = 0; p + 1 < ra.n; p++) {
			if (!ra.target[p + 1])
				continue;
			double rest = 0, worst = INFINITY, sum = 0;
			bd_f32_row(
			    z, ra.z + p * V,
			    V); /* answer positions are those of "all", batching changes rounding only */
			for (size_t v = 0; v < V; v++)
				assert_true(fabsf(z[v] - bd_f16_to_f32(rf.z[j * V + v])) < 4e-3f);
			for (size_t i = 0; i < 7; i++) {
				float zi = bd_f16_to_f32(rk.z[j * 7 + i]);

				assert_true(fabsf(zi - z[rk.zi[j * 7 + i]]) < 4e-3f);
				assert_true((double)zi <= worst + 1e-9);
				worst = (double)zi;
				sum += exp((double)z[rk.zi[j * 7 + i]] / 3);
			}
			for (size_t v = 0; v < V; v++) {
				bool chosen = false;

				for (size_t i = 0; i < 7; i++)
					chosen = chosen || rk.zi[j * 7 + i] == v;
				assert_true(chosen || (double)z[v] < worst + 8e-3);
				rest += exp((double)z[v] / 3);
			}
			assert_near1("log-sum-exp of the rest", (double)rk.zr[j], log(rest - sum), 2e-3);
			j++;
		}
	}
	assert_false(bd_source_next(k, &rk) || bd_source_next(a, &ra));
	bd_source_close(f);
	bd_source_close(k);
	bd_source_close(a);
	bd_free(z);
}

static void count_batches(struct watcher *w, const struct bd_op *op, const void *operands)
{
	(void)operands;
	w->n += op == &bd_op_embed_forward;
}

/* Examples run through the network together as long as they have no more tokens than told; one that has more
 * runs alone. */
static void test_dump_batches(void **state)
{
	static const int64_t most[] = {1, 4, 12, 13, 30, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(most) / sizeof(*most); i++) {
		struct watcher w = {.ran = count_batches};
		struct bd_dev *dev = watched_new(&w);
		size_t batches = 0, tokens = 0;

		for (uint64_t k = 0; k < EXAMPLES; k++) {
			struct bd_record r = {0};

			make_example(&r, k, V);
			tokens += r.n;
			if (k == 0 || tokens > (size_t)most[i]) {
				batches++;
				tokens = r.n;
			}
			bd_record_free(&r);
		}
		dump("big", "batches.bds", (struct bd_teacher){.batch_tokens = most[i], .dev = dev});
		assert_int_equal(w.n, batches);
		bd_dev_close(dev);
	}
}

static void test_dump_epochs(void **state)
{
	(void)state;
	dump("big", "twice.bds", (struct bd_teacher){.epochs = 2, .shuffle = true, .no_states = true});
	char *path = at("twice.bds");
	struct bd_source *s = bd_source_open(path);
	struct bd_record r = {0};
	size_t n = 0, same = 0;
	assert_int_equal(bd_source_head(s)->examples, 2 * EXAMPLES);
	assert_int_equal(bd_source_head(s)->layer, -1);
	for (; bd_source_next(s, &r); n++) {
		struct bd_record x = {0};

		make_example(&x, n % EXAMPLES, V);
		same += x.n == r.n && memcmp(x.ids, r.ids, r.n * sizeof(*r.ids)) == 0;
		bd_record_free(&x);
	}
	assert_int_equal(n, 2 * EXAMPLES);
	assert_true(same < EXAMPLES / 2);
	bd_source_close(s);
}

/* ---- feeding ---- */

static uint64_t drain(const struct bd_feed_plan *plan, uint64_t *sum, uint64_t most)
{
	char *path = at("examples");
	struct bd_feed *f = bd_feed_open(BD_PART(path), plan);
	struct bd_record r;
	uint64_t n = 0;

	*sum = 0;
	while (n < most && bd_feed_take(f, &r)) {
		*sum += r.index;
		bd_record_free(&r);
		n++;
	}
	bd_feed_close(f);
	return n;
}

static void test_feed(void **state)
{
	(void)state;
	const uint64_t all = EXAMPLES * (EXAMPLES - 1) / 2, half = EXAMPLES / 2 * (EXAMPLES / 2 - 1) / 2;
	uint64_t sum;
	assert_int_equal(drain(&(struct bd_feed_plan){0}, &sum, 1000), EXAMPLES);
	assert_int_equal(sum, all);
	assert_int_equal(drain(&(struct bd_feed_plan){.epochs = 1.5}, &sum, 1000), EXAMPLES * 3 / 2);
	assert_int_equal(sum, all + half);
	assert_int_equal(drain(&(struct bd_feed_plan){.epochs = 3, .shuffle = true, .seed = 9}, &sum, 1000),
	                 3 * EXAMPLES);
	assert_int_equal(sum, 3 * all);
	assert_int_equal(drain(&(struct bd_feed_plan){.epochs = 0.5, .shuffle = true, .seed = 9}, &sum, 1000),
	                 EXAMPLES / 2);
	assert_int_not_equal(sum, half);
	assert_int_equal(drain(&(struct bd_feed_plan){.endless = true}, &sum, 200), 200);
}

/* ---- evaluation, interruption ---- */

static void test_best_is_kept(void **state)
{
	(void)state;
	struct bd_train t = job("sft", "dense", "best");
	char *in = at("examples"), *log = with_log(&t, "best.log");
	t.eval = in;
	t.eval_every = 4;
	t.steps = 30;
	t.epochs = 5;
	t.lr = 0.05; /* wild enough that the last is not the best */
	t.sched = BD_SCHED_CONSTANT;
	assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	struct bd_in *f = bd_in_open(log);
	size_t len, evals = 0;
	double best = 0, best_step = 0;
	for (char *line; (line = bd_in_line(f, &len)) != NULL;) {
		json_t *j = bd_json_parse(line, len, log), *e = json_object_get(j, "eval");
		double accuracy = json_number_value(json_object_get(e, "accuracy"));

		evals += e != NULL;
		best = accuracy > best ? accuracy : best;
		best_step = e != NULL ? json_number_value(json_object_get(j, "best_step")) : best_step;
		json_decref(j);
	}
	bd_in_close(f);
	assert_int_equal(evals, 8); /* 4, 8, ..., 28 and the last step */
	/* evaluating the result without training gives that accuracy again */
	struct bd_train again = job("sft", "best", "best2");
	char *log2 = with_log(&again, "best2.log");
	again.eval = in;
	again.steps = 1;
	again.lr = 0;
	again.decay = 0;
	assert_int_equal(bd_train_run(&again, BD_PART(in)), BD_OK);
	f = bd_in_open(log2);
	double accuracy = -1;
	for (char *line; (line = bd_in_line(f, &len)) != NULL;) {
		json_t *j = bd_json_parse(line, len, log2), *e = json_object_get(j, "eval");

		accuracy = e != NULL ? json_number_value(json_object_get(e, "accuracy")) : accuracy;
		json_decref(j);
	}
	bd_in_close(f);
	assert_true(accuracy == best);
	assert_true(best_step > 0);
}

struct piped {
	struct bd_train t;
	int fd; /* read end, becomes stdin */
};

static void run_piped(void *arg)
{
	struct piped *p = arg;

	dup2(p->fd, STDIN_FILENO);
	_exit(bd_train_run(&p->t, BD_PART("-")));
}

static void run_file(void *arg)
{
	struct bd_train *t = arg;
	char *in = at("examples");

	_exit(bd_train_run(t, BD_PART(in)));
}

/* Steps and evaluations in a log; where a run begins there is a line without "step", its history. */
static size_t lines_of(const char *path)
{
	size_t n = 0;

	if (!bd_exists(path))
		return 0;
	char *text = bd_read_file(path, NULL);
	for (char *s = text; (s = strstr(s, "{\"step\":")) != NULL; s++)
		n++;
	bd_free(text);
	return n;
}

/* Gives the trainer the first `some` bytes of its stream, waits for `lines` in its log, sends a signal, then
 * gives the rest or cuts the pipe. Returns the trainer's exit status, or minus the signal that ended it. */
static int interrupt(struct bd_train *t, size_t some, size_t lines, int sig, bool rest)
{
	char *in = at("examples");
	size_t n;
	char *bytes = bd_read_file(in, &n);
	int fd[2], status;

	assert_true(some < n && pipe(fd) == 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct piped p = {*t, fd[0]};

		close(fd[1]);
		int null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		run_piped(&p);
	}
	close(fd[0]);
	assert_int_equal(write(fd[1], bytes, some), some);
	for (int i = 0; lines_of(t->log) < lines; i++) {
		assert_true(i < 10000);
		usleep(1000);
	}
	kill(pid, sig);
	if (rest)
		assert_int_equal(write(fd[1], bytes + some, n - some), n - some);
	close(fd[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	bd_free(bytes);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static struct bd_train resumable(const char *model, const char *output, const char *log)
{
	struct bd_train t = job("sft", model, output);

	t.log = at(log);
	t.steps = 14;
	t.batch = 4;
	t.eval = at("examples");
	t.eval_every = 2;
	return t;
}

static void test_resume(void **state)
{
	(void)state;
	struct bd_train whole = resumable("ternary", "whole", "whole.log"),
	                parts = resumable("ternary", "parts", "parts.log");
	char *in = at("examples"), *aside = at("parts.ckpt"), *output = at("parts");
	assert_int_equal(bd_train_run(&whole, BD_PART(in)), BD_OK);
	for (int rest = 0; rest < 2; rest++) {
		unlink(parts.log);
		parts.resume = false;
		assert_int_equal(interrupt(&parts, 2000, 2, SIGTERM, rest), BD_SYS);
		assert_true(bd_is_dir(aside));
		assert_false(bd_is_dir(output));
		parts.resume = true;
		struct child c = child_run(run_file, &parts);
		assert_int_equal(c.status, BD_OK);
		assert_same_model("whole", "parts", true);
		assert_false(bd_is_dir(aside));
		assert_int_equal(lines_of(parts.log), lines_of(whole.log));
		for (int i = 0; i < 14; i++)
			assert_true(logged(parts.log, i, "loss") == logged(whole.log, i, "loss"));
		bd_remove_tree(output);
	}
}

/* Training, distillation, evaluation, checkpoint and resumption, and the teacher, touch tensors through the
 * device only: on the locked one they come to the same bytes, and give back all they took. */
/* The first record of a teacher's stream over "examples". */
static struct bd_record first_record(const char *name)
{
	struct bd_source *s = bd_source_open(at(name));
	struct bd_record r = {0};

	assert_true(bd_source_next(s, &r));
	bd_source_close(s);
	return r;
}

/* t[n] = softmax of the first n logits at temperature tau; returns sum t log t. */
static double softmax_of(double *t, const uint16_t *z, size_t n, double tau)
{
	double sum = 0, entropy = 0;

	for (size_t v = 0; v < n; v++)
		sum += t[v] = exp((double)bd_f16_to_f32(z[v]) / tau);
	for (size_t v = 0; v < n; v++) {
		t[v] /= sum;
		entropy += t[v] * log(t[v]);
	}
	return entropy;
}

/* Loss and gradient from drawn ids, over many draws, have the full ones as their means: within five standard
 * errors, and what half precision loses. Over the first N ids. */
static void check_draws(size_t N, double tau)
{
	enum { PASSES = 300, K = 4 };
	double mean[V] = {0}, square[V] = {0}, loss = 0, loss2 = 0, t[V], n = 0;
	float *z = normal(V, 2), *scratch = normal(2 * V, 1), full[V] = {0}, g[V];
	struct bd_soften s = {BD_DIV_KL, (float)tau, true, 0};
	struct bd_source *src;
	struct bd_record r;

	dump_from(N < V ? "one.few" : "one", "big", "all.few", (struct bd_teacher){0});
	r = first_record("all.few");
	dump_from(N < V ? "one.few" : "one", "big", "draws.bds",
	          (struct bd_teacher){.sample = K, .tau = tau, .epochs = PASSES, .no_states = true});
	double want = bd_loss_divergence(bd_kern(), &s, &(struct bd_teacher_logits){.zt = r.z}, full, z, 1, N,
	                                 scratch),
	       entropy = softmax_of(t, r.z, N, tau);
	bd_record_free(&r);
	src = bd_source_open(at("draws.bds"));
	assert_int_equal(bd_source_head(src)->vocab, N);
	while (bd_source_next(src, &r)) {
		assert_true(r.z == NULL && fabs((double)r.zr[0] - entropy) < 5e-3);
		memset(g, 0, sizeof(g));
		double l = bd_loss_divergence(
		    bd_kern(), &s,
		    &(struct bd_teacher_logits){.zi = r.zi, .K = K, .zr = r.zr[0], .drawn = true}, g, z, 1, N,
		    scratch);
		loss += l;
		loss2 += l * l;
		for (size_t v = 0; v < V; v++) {
			mean[v] += (double)g[v];
			square[v] += (double)g[v] * (double)g[v];
		}
		n++;
	}
	assert_true(n == PASSES);
	double sd = sqrt(loss2 / n - loss / n * (loss / n)), moved = 0;
	assert_true(sd > 1e-3 && fabs(loss / n - want) < 5 * sd / sqrt(n) + 1e-2 * want);
	for (size_t v = 0; v < V; v++) {
		double m = mean[v] / n, var = square[v] / n - m * m, se = sqrt((var > 0 ? var : 0) / n);

		assert_true(fabs(m - (double)full[v]) < 5 * se + 2e-3 * tau);
		assert_true(v < N || m == 0);
		moved += fabs((double)full[v]);
	}
	assert_true(moved > 0.1); /* a gradient of zero would not pass */
	bd_source_close(src);
	bd_free(z);
	bd_free(scratch);
}

static void test_draws(void **state)
{
	(void)state;
	check_draws(V, 1);
	check_draws(V, 4);
	check_draws(FEW, 2);
}

/* The rest of the largest logits is summed at the stream's temperature, over the ids that have logits. */
static void test_rest(void **state)
{
	static const struct {
		double tau;
		size_t N;
	} c[] = {{1, V}, {5, V}, {0.5, FEW}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *examples = c[i].N < V ? "few" : "examples";
		dump_from(examples, "big", "all.few", (struct bd_teacher){0});
		struct bd_record full = first_record("all.few"), r;
		double rest = 0;

		dump_from(examples, "big", "rest.bds", (struct bd_teacher){.top_k = 7, .tau = c[i].tau});
		r = first_record("rest.bds");
		for (size_t v = 0; v < c[i].N; v++) {
			bool listed = false;

			for (size_t k = 0; k < 7; k++)
				listed |= r.zi[k] == v;
			rest += listed ? 0 : exp((double)bd_f16_to_f32(full.z[v]) / c[i].tau);
		}
		for (size_t k = 0; k < 7; k++)
			assert_true(r.zi[k] < c[i].N);
		assert_true(fabs((double)r.zr[0] - log(rest)) < 5e-3 / c[i].tau);
		bd_record_free(&full);
		bd_record_free(&r);
	}
}

/* LD of a step by its formula, over n ids, from the logits of both models: zt[.,nt], zs[.,ns]. */
static double ld_formula(const char *teacher, const char *student, size_t n, double tau)
{
	struct bd_source *a = bd_source_open(at(teacher)), *b = bd_source_open(at(student));
	size_t nt = bd_source_head(a)->vocab, ns = bd_source_head(b)->vocab;
	struct bd_record t = {0}, s = {0};
	double sum = 0, p[WIDE], q[WIDE];

	for (int i = 0; i < 8; i++) {
		assert_true(bd_source_next(a, &t) && bd_source_next(b, &s));
		for (size_t j = 0; j < t.positions; j++) {
			softmax_of(p, t.z + j * nt, n, tau);
			softmax_of(q, s.z + j * ns, n, tau);
			for (size_t v = 0; v < n; v++)
				sum += tau * tau * p[v] * log(p[v] / q[v]);
		}
	}
	bd_record_free(&t);
	bd_record_free(&s);
	bd_source_close(a);
	bd_source_close(b);
	return sum;
}

/* A teacher of more ids than the student, or of fewer: the ids that both have are compared. */
static void test_common_ids(void **state)
{
	static const struct {
		const char *teacher, *student, *zt, *zs;
		int64_t top_k, sample;
	} c[] = {
	    {"wide", "dense", "wide.z", "dense.z", 0, 0},    {"dense", "wide", "dense.z", "wide.z", 0, 0},
	    {"wide", "dense", "wide.z", "dense.z", 46, 0},   {"dense", "wide", "dense.z", "wide.z", 46, 0},
	    {"wide", "dense", "wide.z", "dense.z", 0, 4000},
	};

	(void)state;
	dump("wide", "wide.z", (struct bd_teacher){0});
	dump("dense", "dense.z", (struct bd_teacher){0});
	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct bd_train t = job("distill", c[i].student, "none");
		struct bd_mix mix = {1, 0, 0};
		struct bd_sums s = {0};
		struct whole w;

		t.tau = 2;
		dump(c[i].teacher, "common.bds",
		     (struct bd_teacher){.top_k = c[i].top_k, .sample = c[i].sample, .tau = 2});
		open_whole(&w, c[i].student, "common.bds", t);
		assert_int_equal(w.plan.o.common, V);
		struct bd_micro_batch b = {w.s.rec, w.s.n_rec, &w.s.counts, &mix, w.s.m, w.s.u.grad};
		bd_distill_run(w.s.d, w.s.acts, &b, &s);
		double want = ld_formula(c[i].zt, c[i].zs, V, 2);
		assert_true(want > 1 && fabs(s.ld - want) < 0.02 * want);
		if (c[i].sample == 0)
			check_direction(&w, &mix);
		close_whole(&w);
	}
}

static void test_locked_device(void **state)
{
	(void)state;
	static const char *const model[] = {"ternary", "dense"};
	struct bd_dev *locked = locked_new(NULL);
	char *in = at("examples"), *all = at("all.bds"), *top = at("top.bds"), *aside = at("locked.ckpt"),
	     *locked_out = at("locked");
	for (int i = 0; i < 2; i++) {
		struct bd_train free = resumable(model[i], "free", "free.log"),
		                t = resumable(model[i], "locked", "locked.log");
		free.common.threads = t.common.threads = 1;
		t.dev = locked;
		unlink(t.log);
		assert_int_equal(bd_train_run(&free, BD_PART(in)), BD_OK);
		assert_int_equal(interrupt(&t, 2000, 2, SIGTERM, true), BD_SYS);
		assert_true(bd_is_dir(aside));
		t.resume = true;
		assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
		assert_same_model("free", "locked", true);
		bd_remove_tree(locked_out);
	}
	for (int i = 0; i < 4; i++) {
		struct bd_train free = job("distill", "ternary", "free"),
		                t = job("distill", "ternary", "locked");
		free.common.threads = t.common.threads = 1;
		free.lambda_ratio = t.lambda_ratio = i % 2 ? 0.5 : 0;
		free.tau = t.tau = 3;
		free.objective = t.objective = i < 2 ? BD_DIV_CAKLD : BD_DIV_KL;
		t.dev = locked;
		assert_int_equal(bd_train_run(&free, BD_PART(i == 3 ? top : all)), BD_OK);
		assert_int_equal(bd_train_run(&t, BD_PART(i == 3 ? top : all)), BD_OK);
		assert_same_model("free", "locked", true);
	}
	for (int i = 0; i < 2; i++) {
		struct bd_teacher o = {
		    .positions = (enum bd_positions)i, .top_k = 7 * i, .tau = 2, .common.threads = 1};
		dump("big", "free.bds", o);
		o.dev = locked;
		dump("big", "locked.bds", o);
		assert_same_file(at("free.bds"), at("locked.bds"), true);
	}
	bd_dev_close(locked);
}

/* Killed some steps after a periodic checkpoint: the log's lines beyond it are not written twice. */
static void test_periodic_checkpoint(void **state)
{
	(void)state;
	struct bd_train whole = resumable("dense", "periodic1", "periodic1.log"),
	                t = resumable("dense", "periodic2", "periodic2.log");
	char *aside = at("periodic2.ckpt"), *in = at("examples"), *output = at("periodic2");
	whole.checkpoint_every = t.checkpoint_every = 3;
	assert_int_equal(bd_train_run(&whole, BD_PART(in)), BD_OK);
	assert_int_equal(interrupt(&t, 2500, 6, SIGKILL, false),
	                 -SIGKILL); /* 6 lines: 4 steps and 2 evaluations */
	assert_true(bd_is_dir(aside));
	t.resume = true;
	t.lr *= 2;
	child_dies(run_file, &t, BD_USAGE, "other options");
	t.lr /= 2;
	assert_false(bd_is_dir(output));
	assert_int_equal(child_run(run_file, &t).status, BD_OK);
	assert_same_model("periodic1", "periodic2", true);
	assert_int_equal(lines_of(t.log), lines_of(whole.log));
}

/* Who resumes with another number of threads is told. */
static void test_other_threads(void **state)
{
	struct bd_train t = resumable("dense", "threads", "threads.log");

	(void)state;
	for (int64_t threads = 1; threads <= 2; threads++) {
		t.resume = false;
		t.force = true;
		t.common = (struct bd_common){.threads = 2, .seed = 1, .quiet = true};
		unlink(t.log);
		assert_int_equal(interrupt(&t, 2000, 2, SIGTERM, false), BD_SYS);
		t.resume = true;
		t.common.threads = threads;
		t.common.quiet = false;
		struct child c = child_run(run_file, &t);
		assert_int_equal(c.status, BD_OK);
		assert_int_equal(strstr(c.err, "made with -t 2; sums are rounded differently with -t 1") !=
		                     NULL,
		                 threads == 1);
	}
}

/* A log that cannot be cut back to the checkpoint would have steps twice. Here it is a file of memory that is
 * sealed against shrinking. */
static void test_sealed_log(void **state)
{
	struct bd_train t = resumable("dense", "sealed", "sealed.log");
	char *bytes, *aside = at("sealed.ckpt"), path[40];
	size_t n;
	int fd = memfd_create("log", MFD_ALLOW_SEALING);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(interrupt(&t, 2000, 2, SIGTERM, false), BD_SYS);
	bytes = bd_read_file(t.log, &n);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(write(fd, bytes, n), n); /* as if it had gone on before it was killed */
	bd_free(bytes);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	t.log = path;
	t.resume = true;
	child_dies(run_file, &t, BD_SYS, "cannot be cut: ");
	assert_true(bd_is_dir(aside));
	close(fd);
}

/* state.json of another version: digest NULL: as it is. */
static void set_version(const char *state, int version, const char *digest)
{
	json_t *j = bd_json_load(state);
	char *text;

	if (version > 1)
		json_object_set_new(j, "version", json_integer(version));
	else
		json_object_del(j, "version");
	if (digest != NULL)
		json_object_set_new(j, "digest", json_string(digest));
	text = bd_json_text(j, true);
	bd_write_file(state, text, strlen(text));
	bd_free(text);
	json_decref(j);
}

/* A checkpoint of version 1 has no version and another digest; the result is the same. */
static void test_versions(void **state)
{
	(void)state;
	char *in = at("examples"), *file = at("old.ckpt/state.json");
	struct bd_train whole = resumable("dense", "new", "new.log"),
	                t = resumable("dense", "old", "old.log");
	struct bd_model *m;
	struct bd_feed *f;
	struct bd_plan p;

	assert_int_equal(bd_train_run(&whole, BD_PART(in)), BD_OK);
	t.checkpoint_every = 3;
	assert_int_equal(interrupt(&t, 2500, 6, SIGKILL, false), -SIGKILL);
	m = bd_model_load(t.model);
	f = bd_feed_open(BD_PART(in), &(struct bd_feed_plan){.count = true, .seed = 1});
	p = bd_plan_make(&t, m, f);
	t.resume = true;
	assert_int_equal(unlink(at("old.ckpt/bd-digests.txt")), 0); /* which these versions did not write */
	set_version(file, BD_CHECKPOINT_VERSION + 1, NULL);
	child_dies(run_file, &t, BD_DATA, "reads versions up to");
	set_version(file, 1, NULL);
	child_dies(run_file, &t, BD_USAGE, "other options");
	set_version(file, 1, p.identity.first);
	assert_int_equal(child_run(run_file, &t).status, BD_OK);
	assert_same_model("old", "new", true);
	bd_feed_close(f);
	bd_model_free(m);
}

static void test_divergence(void **state)
{
	(void)state;
	struct bd_train t = job("sft", "dense", "diverged");
	char *output = at("diverged");
	struct bd_st *st;
	char name[BD_TENSOR_NAME];

	t.lr = 1e30; /* finite parameters, but no longer their products */
	t.checkpoint_every = 1;
	child_dies(run_file, &t, BD_NO,
	           "is not finite at step 2: the gradient of model.embed_tokens.weight is not; lower --lr");
	assert_false(bd_is_dir(output));
	st = bd_st_open(at("diverged.ckpt/state.safetensors")); /* of step 1 */
	for (size_t i = 0; i < bd_st_find(st, "params")->count; i++)
		assert_true(isfinite(((const float *)bd_st_find(st, "params")->data)[i]));
	bd_st_close(st);
	bd_remove_tree(at("diverged.ckpt"));
	t.lr = 1e39; /* not even those */
	t.steps = 1;
	child_dies(run_file, &t, BD_NO, "after step 1, parameter model.embed_tokens.weight is not finite");
	t.checkpoint_every = 0;
	child_dies(run_file, &t, BD_NO, "after step 1, parameter model.embed_tokens.weight is not finite");
	t.steps = 0;
	child_dies(
	    run_file, &t, BD_NO,
	    "the loss is not finite at step 2: parameter model.embed_tokens.weight is not; lower --lr");
	assert_false(bd_is_dir(output) || bd_is_dir(at("diverged.ckpt")));

	struct bd_model *m = bd_model_load(at("dense"));
	const struct bd_param *last = &m->param[m->n_param - 1];
	assert_true(bd_finite(m, cpu(), m->data, name));
	m->data[last->off + last->rows * last->cols - 1] = -INFINITY;
	assert_false(bd_finite(m, cpu(), m->data, name));
	char want[BD_TENSOR_NAME];
	bd_slot_name(&m->cfg, last->slot, last->layer, want, sizeof(want));
	assert_string_equal(name, want);
	bd_model_free(m);
}

/* ---- the best evaluation ---- */

/* The stream "examples" as an evaluation sees it: with its choices or without (nothing but the nll counts
 * then), and contrary, every answer the wrong one, so that what is learnt makes the score worse. */
static const char *make_judge(const char *name, bool choices, bool contrary)
{
	uint32_t choice[2] = {0, 1};
	struct bd_stream_head h = {.vocab = V, .layer = -1, .choice = choice, .n_choice = choices ? 2 : 0};
	char *path = at(name);

	memset(h.tokenizer, 'a', 32);
	struct bd_sink *s = bd_sink_open(path, 0, &h);
	for (size_t i = 0; i < EXAMPLES; i++) {
		struct bd_record r = {0};
		make_example(&r, i, V);
		if (contrary)
			r.label = (int32_t)(r.ids[r.n - 1] ^= 1);
		if (!choices)
			r.label = -1;
		bd_sink_put(s, &r);
		bd_record_free(&r);
	}
	bd_sink_close(s);
	return path;
}

/* The best evaluation, by the scores in a log: the greater accuracy, then the smaller nll, then the earlier.
 * Every line must have named the best of those up to it. */
static int64_t best_of(const char *log)
{
	struct bd_in *in = bd_in_open(log);
	int64_t best = 0;
	double accuracy = 0, nll = 0;
	size_t len;

	for (char *line; (line = bd_in_line(in, &len)) != NULL;) {
		json_t *j = bd_json_parse(line, len, log), *e = json_object_get(j, "eval");
		double a = json_number_value(json_object_get(e, "accuracy")),
		       n = json_number_value(json_object_get(e, "nll"));
		if (e != NULL && (best == 0 || a > accuracy || (a == accuracy && n < nll))) {
			best = json_integer_value(json_object_get(j, "step"));
			accuracy = a;
			nll = n;
		}
		if (e != NULL)
			assert_int_equal(json_integer_value(json_object_get(j, "best_step")), best);
		json_decref(j);
	}
	bd_in_close(in);
	return best;
}

static struct bd_train judged(const char *output, const char *judge, double lr)
{
	struct bd_train t = job("sft", "dense", output);

	t.lr = lr;
	t.warmup = 0;
	t.sched = BD_SCHED_CONSTANT;
	t.steps = 12;
	t.epochs = 2;
	t.eval = judge;
	t.eval_every = judge ? 3 : 0;
	return t;
}

/* The model that is left is the one that a run without evaluation has after the best step. */
static void test_best_step(void **state)
{
	const char *choices = at("examples"), *plain = make_judge("plain", false, false),
	           *wrong = make_judge("wrong", true, true), *worse = make_judge("worse", false, true);
	const struct {
		const char *judge;
		double lr;
		int64_t least, most; /* the best step */
	} cases[] = {
	    {plain, 3e-3, 12, 12}, /* better each time */
	    {worse, 1e-2, 3, 9},   /* worse in the end */
	    {wrong, 1e-2, 3, 12},  {choices, 3e-2, 3, 12},
	    {choices, 0, 3, 3}, /* always the same score: the first is kept */
	};
	char *in = at("examples"), *log = at("step.log");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_train t = judged("judged", cases[i].judge, cases[i].lr),
		                plain_run = judged("not-judged", NULL, cases[i].lr);
		t.log = log;
		assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
		int64_t best = best_of(log);
		assert_in_range(best, cases[i].least, cases[i].most);
		plain_run.steps = best;
		assert_int_equal(bd_train_run(&plain_run, BD_PART(in)), BD_OK);
		assert_same_model("judged", "not-judged", true);
	}
}

/* What was the best before an interruption still is after it: a worse evaluation does not replace it, a
 * better one does. */
static void test_best_is_resumed(void **state)
{
	const struct {
		const char *judge;
		double lr;
	} cases[] = {{at("plain"), 3e-3}, {at("worse"), 1e-2}, {at("wrong"), 1e-2}};
	char *in = at("examples"), *aside = at("resumed.ckpt");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_train whole = judged("unbroken", cases[i].judge, cases[i].lr),
		                parts = judged("resumed", cases[i].judge, cases[i].lr);
		whole.log = at("unbroken.log");
		parts.log = at("resumed.log");
		whole.epochs = parts.epochs = 0;
		whole.batch = parts.batch = 4;
		assert_int_equal(bd_train_run(&whole, BD_PART(in)), BD_OK);
		unlink(parts.log);
		assert_int_equal(interrupt(&parts, 2000, 4, SIGTERM, false),
		                 BD_SYS); /* three steps, one evaluation */
		assert_true(bd_is_dir(aside));
		parts.resume = true;
		assert_int_equal(child_run(run_file, &parts).status, BD_OK);
		assert_int_equal(best_of(parts.log), best_of(whole.log));
		assert_same_model("unbroken", "resumed", true);
	}
}

/* ---- the log ---- */

/* The codes of a model's linears, -1, 0 and +1, by the formula: w / mean |w|, rounded, cut to 1. */
static size_t codes_of(const char *dir, int8_t *code)
{
	struct bd_model *m = bd_model_load(dir);
	size_t n = 0;

	for (int l = 0; l < m->cfg.layers; l++)
		for (int i = 0; i < BD_LINS; i++) {
			const struct bd_param *p = bd_model_param(m, (enum bd_slot)(BD_W + i), l);
			size_t size = p->rows * p->cols;
			const float *w = m->data + p->off;
			double mean = 0;

			for (size_t k = 0; k < size; k++)
				mean += fabs((double)w[k]) / (double)size;
			for (size_t k = 0; k < size; k++)
				code[n++] = (int8_t)fmax(-1, fmin(1, rint((double)w[k] / mean)));
		}
	bd_model_free(m);
	return n;
}

/* Every 50th line has the shares of the codes and of those that have changed since; the speeds are those of
 * the run. */
static void test_log(void **state)
{
	enum { MOST = 100000 };
	char *log = at("speed.log"), *in = at("examples"), *dir[2] = {at("half"), at("whole")};
	int8_t *code[2] = {bd_alloc(MOST, 1), bd_alloc(MOST, 1)};
	double count[2][3] = {{0}}, flips = 0, began = bd_seconds(), elapsed = 0, stepped = 0;
	size_t n = 0, len, lines = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct bd_train t = job("sft", "ternary", i ? "whole" : "half");

		t.sched = BD_SCHED_CONSTANT;
		t.warmup = 0;
		t.batch = 2;
		t.steps = i ? 100 : 50;
		t.log = log;
		began = bd_seconds();
		assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
		elapsed = bd_seconds() - began;
		n = codes_of(dir[i], code[i]);
		assert_true(n > 0 && n <= MOST);
		for (size_t k = 0; k < n; k++)
			count[i][code[i][k] + 1] += 1 / (double)n;
	}
	for (size_t k = 0; k < n; k++)
		flips += (code[0][k] != code[1][k]) / (double)n;
	assert_true(flips > 0.01);
	struct bd_in *f = bd_in_open(log);
	double before = 0;
	for (char *line; (line = bd_in_line(f, &len)) != NULL;) {
		json_t *j = bd_json_parse(line, len, log), *codes = json_object_get(j, "codes");
		int64_t step = json_integer_value(json_object_get(j, "step"));
		double speed = json_number_value(json_object_get(j, "tokens_per_s")),
		       tokens = json_number_value(json_object_get(j, "tokens"));

		assert_int_equal(codes != NULL, step > 0 && step % 50 == 0);
		for (size_t k = 0; codes != NULL && k < 3; k++)
			assert_true(fabs(json_number_value(json_array_get(codes, k)) -
			                 count[step / 50 - 1][k]) < 1e-4);
		if (step == 100)
			assert_true(fabs(json_number_value(json_object_get(j, "flips")) - flips) < 1e-4);
		if (step > 0) {
			assert_true(speed > 0 && tokens > before);
			assert_true(json_number_value(json_object_get(j, "rss_mib")) > 1);
			stepped += (tokens - before) / speed;
			before = tokens;
			lines++;
		}
		json_decref(j);
	}
	bd_in_close(f);
	assert_int_equal(lines, 100);
	assert_true(stepped <= elapsed);
	bd_free(code[0]), bd_free(code[1]);
}

/* ---- golden prompts ---- */

/* A model keeps the prompts of its first four examples, up to where the first answer begins, for bd-pack. */
static void test_golden_prompts(void **state)
{
	struct bd_train t = job("sft", "dense", "golden");
	char *in = at("examples"), *path = at("golden/config.json");

	(void)state;
	t.steps = 2;
	assert_int_equal(bd_train_run(&t, BD_PART(in)), BD_OK);
	json_t *j = bd_json_load(path), *golden = json_object_get(json_object_get(j, "bitdistill"), "golden");
	assert_int_equal(json_array_size(golden), 4);
	for (size_t i = 0; i < 4; i++) {
		struct bd_record x = {0};
		size_t n = 1;
		make_example(&x, i, V);
		while (x.target[n] == 0)
			n++;
		json_t *prompt = json_array_get(golden, i);
		assert_int_equal(json_array_size(prompt), n);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(json_integer_value(json_array_get(prompt, k)), x.ids[k]);
		bd_record_free(&x);
	}
	json_decref(j);
}

/* ---- refusals ---- */

static void run_empty(void *arg)
{
	char *in = at("empty");

	bd_train_run(arg, BD_PART(in));
}

static void run_fifo(void *arg)
{
	char *in = at("examples"), *cmd = bd_sprintf("cat %s", in);
	FILE *f = popen(cmd, "r");

	dup2(fileno(f), STDIN_FILENO);
	_exit(bd_train_run(arg, BD_PART("-")));
}

static void run_teacher(void *arg)
{
	char *in = at("all.bds");

	_exit(bd_train_run(arg, BD_PART(in)));
}

static void run_top(void *arg)
{
	char *in = at("top.bds");

	_exit(bd_train_run(arg, BD_PART(in)));
}

static void dump_beyond(void *unused)
{
	(void)unused;
	dump("dense", "beyond.bds", (struct bd_teacher){.vocab = V - 1});
}

static void test_refusals(void **state)
{
	(void)state;
	struct bd_train t = job("sft", "dense", "refused");
	char *output = at("refused");
	child_dies(run_empty, &t, BD_DATA, "no examples");
	child_dies(run_fifo, &t, BD_USAGE, "--steps or --tokens");
	t.epochs = 2;
	child_dies(run_fifo, &t, BD_USAGE, "a pipe cannot be read 2 times");
	t.shuffle = true; /* held: a pipe is enough */
	assert_int_equal(child_run(run_fifo, &t).status, BD_OK);
	bd_remove_tree(output);
	child_dies(run_teacher, &t, BD_USAGE, "bd-teacher-dump");
	t = job("distill", "dense", "refused");
	t.heads = 7;
	child_dies(run_teacher, &t, BD_USAGE, "any divisor of 32");
	t.heads = 0;
	t.layer = 2;
	child_dies(run_teacher, &t, BD_USAGE, "layers 0 to 1");
	t.layer = -1;
	child_dies(run_top, &t, BD_USAGE, "the largest logits and the rest at temperature 3, but --tau is 5");
	t.objective = BD_DIV_CAKLD;
	child_dies(run_top, &t, BD_USAGE, "has only the largest");
	t.objective = BD_DIV_KL;
	t.model = at("wide"); /* it has no tokenizer */
	child_dies(run_top, &t, BD_DATA, "vocabulary of 48 differs from the 56");
	t.model = at("dense");
	child_dies(dump_beyond, NULL, BD_DATA, "token 47 is outside the vocabulary");
	t.ce = t.lambda = 0;
	child_dies(run_teacher, &t, BD_USAGE, "another loss to relate to");
	assert_false(bd_is_dir(output));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_feed),          cmocka_unit_test(test_loss_decreases),
	    cmocka_unit_test(test_same_bytes),    cmocka_unit_test(test_passes_end_first),
	    cmocka_unit_test(test_accumulation),  cmocka_unit_test(test_gradient),
	    cmocka_unit_test(test_own_teacher),   cmocka_unit_test(test_ratios),
	    cmocka_unit_test(test_dump),          cmocka_unit_test(test_dump_epochs),
	    cmocka_unit_test(test_best_is_kept),  cmocka_unit_test(test_resume),
	    cmocka_unit_test(test_locked_device), cmocka_unit_test(test_periodic_checkpoint),
	    cmocka_unit_test(test_versions),      cmocka_unit_test(test_divergence),
	    cmocka_unit_test(test_refusals),      cmocka_unit_test(test_golden_prompts),
	    cmocka_unit_test(test_best_step),     cmocka_unit_test(test_best_is_resumed),
	    cmocka_unit_test(test_log),           cmocka_unit_test(test_draws),
	    cmocka_unit_test(test_rest),          cmocka_unit_test(test_common_ids),
	    cmocka_unit_test(test_ad_unit),       cmocka_unit_test(test_confidence),
	    cmocka_unit_test(test_dump_batches),  cmocka_unit_test(test_other_threads),
	    cmocka_unit_test(test_sealed_log),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
