/* The network, the losses and the optimiser against golden vectors: dense models from Hugging Face
 * transformers, the ternary student and its distillation from a PyTorch implementation of the method.
 * tests/golden/README.md says what the vectors are. */
#include "base/mem.h"
#include "compare.h"
#include "format/safetensors.h"
#include "math/adamw.h"
#include "math/loss.h"
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#ifndef BD_GOLDEN
#define BD_GOLDEN "tests/golden"
#endif

/* Float32 sums in another order differ by some 1e-6; all else is a mistake. */
static const double TOL_LOGIT = 1e-5, TOL_GRAD = 1e-4, TOL_LOSS = 1e-5;

struct golden {
	const char *name;
	struct bd_st *file; /* the vectors */
	json_t *options;
	struct bd_model *m;
	struct bd_par *par;
	struct bd_net *net; /* for training */
	struct bd_acts *acts;
	struct bd_batch batch;
	size_t T, V, P, width[3]; /* tokens, vocabulary, target positions; of q, k, v */
	size_t *row;              /* [P] rows that predict a target */
	uint32_t *y;              /* [P] */
	const float *h;           /* [T,C] of the last forward */
	float *z, *dz, *dh;       /* [P,V], [P,V], [T,C] */
	float *grad;              /* as m->data */
	float *ds[3];             /* [T,width] */
	float *scratch;
};

/* ---- reading a case ---- */

static const struct bd_st_tensor *tensor(const struct golden *g, enum bd_dtype type, size_t n,
                                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static const struct bd_st_tensor *tensor(const struct golden *g, enum bd_dtype type, size_t n,
                                         const char *fmt, ...)
{
	char name[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	const struct bd_st_tensor *t = bd_st_find(g->file, name);
	if (t == NULL || t->dtype != type || t->count != n)
		fail_msg("%s: the vectors have no tensor %s of this type and %zu elements", g->name, name, n);
	return t;
}
#define F32(g, n, ...) ((const float *)tensor(g, BD_F32, n, __VA_ARGS__)->data)
#define F16(g, n, ...) ((const uint16_t *)tensor(g, BD_F16, n, __VA_ARGS__)->data)

static double option(const struct golden *g, const char *key)
{
	double x = bd_json_real(g->options, key, NAN, g->name);

	assert_true(isfinite(x) != 0);
	return x;
}

static void read_batch(struct golden *g)
{
	const int32_t *start = tensor(g, BD_I32, 3, "start")->data;

	g->T = g->batch.T = (size_t)start[2];
	g->batch.n_seq = 2;
	g->batch.start = bd_alloc(3, sizeof(*g->batch.start));
	for (int i = 0; i < 3; i++)
		g->batch.start[i] = (size_t)start[i];
	const int32_t *ids = tensor(g, BD_I32, g->T, "ids")->data;
	const uint8_t *target = tensor(g, BD_U8, g->T, "target")->data;
	g->batch.ids = bd_alloc(g->T, sizeof(*g->batch.ids));
	g->row = bd_alloc(g->T, sizeof(*g->row));
	g->y = bd_alloc(g->T, sizeof(*g->y));
	for (size_t i = 0; i < g->T; i++) {
		g->batch.ids[i] = (uint32_t)ids[i];
		if (!target[i])
			continue;
		g->row[g->P] = i - 1;
		g->y[g->P++] = (uint32_t)ids[i];
	}
	assert_true(g->P > 0);
}

static void read_options(struct golden *g)
{
	const char *text = json_string_value(json_object_get(bd_st_metadata(g->file), "options"));

	assert_non_null(text);
	g->options = bd_json_parse(text, strlen(text), g->name);
}

static int open_case(void **state)
{
	struct golden *g = bd_zalloc(1, sizeof(*g));
	const char *root = getenv("BD_GOLDEN");

	g->name = *state;
	*state = g;
	char *dir = bd_sprintf("%s/%s", root != NULL ? root : BD_GOLDEN, g->name),
	     *file = bd_sprintf("%s/vectors.safetensors", dir);
	g->file = bd_st_open(file);
	g->m = bd_model_load(dir);
	bd_free(dir);
	bd_free(file);
	read_options(g);
	read_batch(g);

	const struct bd_config *c = &g->m->cfg;
	size_t C = (size_t)c->hidden, D = (size_t)c->head_dim;
	g->V = (size_t)c->vocab;
	g->width[0] = (size_t)c->heads * D;
	g->width[1] = g->width[2] = (size_t)c->kv_heads * D;
	g->par = bd_par_new(2);
	g->net = bd_net_from_model(g->m, g->par, true);
	g->acts = bd_acts_new(g->net, true);
	g->z = bd_alloc(g->P * g->V, sizeof(*g->z));
	g->dz = bd_zalloc(g->P * g->V, sizeof(*g->dz));
	g->dh = bd_zalloc(g->T * C, sizeof(*g->dh));
	g->grad = bd_zalloc(g->m->n, sizeof(*g->grad));
	for (int i = 0; i < 3; i++)
		g->ds[i] = bd_zalloc(g->T * g->width[i], sizeof(*g->ds[i]));
	g->scratch = bd_alloc(2 * g->V, sizeof(*g->scratch));
	return 0;
}

static int close_case(void **state)
{
	struct golden *g = *state;
	void *blocks[] = {g->batch.start, g->batch.ids, g->row,   g->y,     g->z,     g->dz,
	                  g->dh,          g->grad,      g->ds[0], g->ds[1], g->ds[2], g->scratch};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		bd_free(blocks[i]);
	bd_acts_free(g->acts);
	bd_net_free(g->net);
	bd_par_free(g->par);
	bd_model_free(g->m);
	bd_st_close(g->file);
	json_decref(g->options);
	bd_free(g);
	return 0;
}

/* ---- comparing ---- */

static void check(const struct golden *g, const float *got, const float *want, size_t n, size_t cols,
                  double tol, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
static void check(const struct golden *g, const float *got, const float *want, size_t n, size_t cols,
                  double tol, const char *fmt, ...)
{
	char what[160];
	int at = snprintf(what, sizeof(what), "%s: ", g->name);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what + at, sizeof(what) - (size_t)at, fmt, ap);
	va_end(ap);
	assert_true(agrees(what, got, want, n, cols, tol));
}

static void check_loss(const struct golden *g, double loss, const char *name)
{
	float got = (float)loss;

	check(g, &got, F32(g, 1, "%s.loss", name), 1, 0, TOL_LOSS, "%s.loss", name);
}

/* Every parameter has its gradient in the vectors under "PREFIX.grad.", and nothing else has. All are looked
 * at before the first fails. */
static void check_gradients(struct golden *g, const char *prefix)
{
	char name[128], what[256], head[32];
	size_t found = 0, wrong = 0, len = (size_t)snprintf(head, sizeof(head), "%s.grad.", prefix);
	double worst = 0;

	for (size_t i = 0; i < bd_st_count(g->file); i++)
		found += !strncmp(bd_st_at(g->file, i)->name, head, len);
	assert_int_equal(found, g->m->n_param);
	for (size_t i = 0; i < g->m->n_param; i++) {
		const struct bd_param *p = &g->m->param[i];

		bd_slot_name(&g->m->cfg, p->slot, p->layer, name, sizeof(name));
		const float *want = F32(g, p->rows * p->cols, "%s%s", head, name), *got = g->grad + p->off;
		snprintf(what, sizeof(what), "%s: %s%s", g->name, head, name);
		wrong += !agrees(what, got, want, p->rows * p->cols, p->cols, TOL_GRAD);
		worst = fmax(worst, compare(got, want, p->rows * p->cols, TOL_GRAD).error);
	}
	assert_int_equal(wrong, 0);
	print_message("%s: %s: %zu gradients agree to %.1e\n", g->name, prefix, g->m->n_param, worst);
}

/* ---- the parts of a training step ---- */

static void forward(struct golden *g)
{
	g->h = bd_net_forward(g->net, g->acts, &g->batch, NULL);
	bd_net_logits(g->net, g->z, g->h, g->row, g->P, true);
	memset(g->dz, 0, g->P * g->V * sizeof(*g->dz));
}

static double add_ce(struct golden *g, double w)
{
	return bd_loss_ce(g->net->kern, g->dz, g->z, g->y, (float)(w / (double)g->P), g->P, g->V,
	                  g->scratch) /
	       (double)g->P;
}

static double add_ld(struct golden *g, double w)
{
	return bd_loss_kl(g->net->kern, g->dz, g->z, F16(g, g->P * g->V, "teacher.z"),
	                  (float)option(g, "tau"), 1, (float)(w / (double)g->P), g->P, g->V, g->scratch) /
	       (double)g->P;
}

struct relation {
	const char *teacher;
	int layer, cosine;
	double temperature;
	size_t heads;
};

static struct relation relation(const struct golden *g, const char *name)
{
	const json_t *o = json_object_get(json_object_get(g->options, "relations"), name);

	assert_non_null(o);
	return (struct relation){
	    .teacher = bd_json_str(o, "teacher", "", name),
	    .layer = (int)bd_json_int(o, "layer", -1, 0, 1, name),
	    .cosine = bd_json_bool(o, "cosine", false, name),
	    .temperature = bd_json_real(o, "temperature", 0, name),
	    .heads = (size_t)option(g, "heads"),
	};
}

/* The relation loss of one state, summed over the sequences; ds = w times its gradient. */
static double relate(struct golden *g, const struct relation *o, int which, double w)
{
	size_t ws = g->width[which];
	char name[32];

	snprintf(name, sizeof(name), "teacher.%s.%c", o->teacher, "qkv"[which]);
	const struct bd_st_tensor *t = bd_st_find(g->file, name);
	assert_true(t && t->dtype == BD_F16 && t->ndim == 2 && t->shape[0] == g->T);
	size_t wt = t->shape[1];
	const float *s = bd_acts_state(g->acts, o->layer, which);
	memset(g->ds[which], 0, g->T * ws * sizeof(float));
	double loss = 0;
	for (size_t i = 0; i < g->batch.n_seq; i++) {
		size_t t0 = g->batch.start[i];
		struct bd_relation r = {g->batch.start[i + 1] - t0, ws,       wt, o->heads,
		                        (float)o->temperature,      o->cosine};
		float *scratch = bd_alloc(bd_loss_relation_scratch(&r), sizeof(*scratch));

		loss += bd_loss_relation(g->net->kern, &r, g->ds[which] + t0 * ws, s + t0 * ws,
		                         (const uint16_t *)t->data + t0 * wt, (float)w, scratch);
		bd_free(scratch);
	}
	return loss;
}

/* The mean over heads and tokens, as the objective has it. */
static double add_ad(struct golden *g, const char *name, double w)
{
	struct relation o = relation(g, name);
	double loss = 0, rows = (double)(o.heads * g->T);

	for (int which = 0; which < 3; which++)
		loss += relate(g, &o, which, w / rows) / rows;
	return loss;
}

/* Gradients of everything added since forward; layer: of the relation loss, or -1. states2 may be NULL. */
static void backward(struct golden *g, int layer, double *states2)
{
	struct bd_state_grad sg = {.layer = layer, .d = {g->ds[0], g->ds[1], g->ds[2]}};
	const struct bd_param *head = bd_model_param(g->m, g->m->cfg.tied ? BD_EMBED : BD_HEAD, -1);

	memset(g->grad, 0, g->m->n * sizeof(*g->grad));
	memset(g->dh, 0, g->T * (size_t)g->m->cfg.hidden * sizeof(*g->dh));
	bd_net_logits_backward(g->net, g->dh, g->grad + head->off, g->dz, g->h, g->row, g->P);
	bd_net_backward(g->net, g->acts, &g->batch, g->dh, g->m, g->grad, layer < 0 ? NULL : &sg);
	if (states2 != NULL)
		memcpy(states2, sg.other2, sizeof(sg.other2));
}

static double objective(struct golden *g, bool distil, double *states2)
{
	forward(g);
	double loss = add_ce(g, 1);
	if (!distil) {
		backward(g, -1, NULL);
		return loss;
	}
	double lambda = option(g, "lambda"), gamma = option(g, "gamma");
	loss += lambda * add_ld(g, lambda) + gamma * add_ad(g, "ad", gamma);
	backward(g, relation(g, "ad").layer, states2);
	return loss;
}

/* ---- tests ---- */

/* Logits of every position, the way inference and the way training computes them, and the states of every
 * layer. */
static void test_forward(void **state)
{
	struct golden *g = *state;
	size_t n = g->T * g->V, *all = bd_alloc(g->T, sizeof(*all));
	float *z = bd_alloc(n, sizeof(*z));

	for (size_t i = 0; i < g->T; i++)
		all[i] = i;
	for (int train = 0; train < 2; train++) {
		struct bd_net *net = bd_net_from_model(g->m, g->par, train);

		for (int layer = 0; layer < g->m->cfg.layers; layer++) {
			struct bd_acts *acts = bd_acts_new(net, train);

			if (!train)
				bd_acts_watch(acts, layer);
			const float *h = bd_net_forward(net, acts, &g->batch, NULL);
			bd_net_logits(net, z, h, all, g->T, train);
			check(g, z, F32(g, n, "logits"), n, g->V, TOL_LOGIT, "logits, %s",
			      train ? "training" : "inference");
			for (int i = 0; i < 3; i++)
				check(g, bd_acts_state(acts, layer, i),
				      F32(g, g->T * g->width[i], "state.%d.%c", layer, "qkv"[i]),
				      g->T * g->width[i], g->width[i], TOL_LOGIT, "%c of layer %d, %s",
				      "qkv"[i], layer, train ? "training" : "inference");
			bd_acts_free(acts);
		}
		print_message("%s: %s: logits agree to %.1e\n", g->name, train ? "training" : "inference",
		              compare(z, F32(g, n, "logits"), n, TOL_LOGIT).error);
		bd_net_free(net);
	}
	bd_free(all);
	bd_free(z);
}

static void test_gradients(void **state)
{
	struct golden *g = *state;

	check_loss(g, objective(g, false, NULL), "ce");
	check_gradients(g, "ce");
}

static void check_dz(struct golden *g, const char *name, double loss)
{
	check_loss(g, loss, name);
	check(g, g->dz, F32(g, g->P * g->V, "%s.dz", name), g->P * g->V, g->V, TOL_GRAD, "%s.dz", name);
	memset(g->dz, 0, g->P * g->V * sizeof(*g->dz));
}

/* Each loss on the logits, alone: its sum and its gradient there. */
static void test_logit_losses(void **state)
{
	struct golden *g = *state;
	const struct bd_kern *k = g->net->kern;
	size_t P = g->P, V = g->V, K = bd_st_find(g->file, "teacher.top")->shape[1];
	const uint16_t *zt = F16(g, P * V, "teacher.z"), *top = F16(g, P * K, "teacher.top");
	const uint32_t *ids = tensor(g, BD_I32, P * K, "teacher.top_ids")->data;
	const float *rest = F32(g, P, "teacher.top_rest");
	float tau = (float)option(g, "tau"), beta = (float)option(g, "beta");

	forward(g);
	check_dz(g, "ld", bd_loss_kl(k, g->dz, g->z, zt, tau, 0, 1, P, V, g->scratch));
	check_dz(g, "ld_tau2", bd_loss_kl(k, g->dz, g->z, zt, tau, 1, 1, P, V, g->scratch));
	check_dz(g, "ld_1", bd_loss_kl(k, g->dz, g->z, zt, 1, 0, 1, P, V, g->scratch));
	check_dz(g, "top", bd_loss_kl_topk(k, g->dz, g->z, top, ids, rest, K, tau, 1, 1, P, V, g->scratch));
	check_dz(g, "top_1", bd_loss_kl_topk(k, g->dz, g->z, top, ids, rest, K, 1, 0, 1, P, V, g->scratch));
	check_dz(g, "cakld", bd_loss_cakld(k, g->dz, g->z, zt, beta, 1, P, V, g->scratch));
}

/* Each relation loss on each state, alone. */
static void test_relation_losses(void **state)
{
	struct golden *g = *state;
	const char *names[] = {"ad", "ad_wide", "ad_dot"};

	forward(g);
	for (size_t i = 0; i < 3; i++) {
		struct relation o = relation(g, names[i]);

		for (int which = 0; which < 3; which++) {
			size_t n = g->T * g->width[which];
			char name[16];

			snprintf(name, sizeof(name), "%s.%c", names[i], "qkv"[which]);
			check_loss(g, relate(g, &o, which, 1), name);
			check(g, g->ds[which], F32(g, n, "%s.ds", name), n, g->width[which], TOL_GRAD,
			      "%s.ds", name);
		}
	}
}

/* The parameters' gradients of LD alone, of AD alone (a teacher like the student, and a wider one), and of
 * everything together. */
static void test_distillation(void **state)
{
	struct golden *g = *state;

	forward(g);
	add_ld(g, option(g, "lambda"));
	backward(g, -1, NULL);
	check_gradients(g, "ld_tau2");
	const char *names[] = {"ad", "ad_wide"};
	for (size_t i = 0; i < 2; i++) {
		forward(g);
		add_ad(g, names[i], option(g, "gamma"));
		backward(g, relation(g, names[i]).layer, NULL);
		check_gradients(g, names[i]);
	}
	check_loss(g, objective(g, true, NULL), "total");
	check_gradients(g, "total");
}

/* What bd_state_grad reports about the other losses: here CE alone. */
static void test_states2(void **state)
{
	struct golden *g = *state;
	double states2[3];
	float got[3];

	forward(g);
	add_ce(g, 1);
	backward(g, relation(g, "ad").layer, states2);
	for (int i = 0; i < 3; i++)
		got[i] = (float)states2[i];
	check(g, got, F32(g, 3, "ce.states2"), 3, 0, TOL_GRAD, "ce.states2");
}

static void adamw(const struct golden *g, float *moments, long step)
{
	struct bd_adamw o = {option(g, "beta1"), option(g, "beta2"), option(g, "eps"), option(g, "decay")};

	for (size_t i = 0; i < g->m->n_param; i++) {
		const struct bd_param *p = &g->m->param[i];
		enum bd_kind kind = bd_slot_info(p->slot)->kind;

		bd_adamw_step(&o, g->m->data + p->off, g->grad + p->off, moments + p->off,
		              moments + g->m->n + p->off, p->rows * p->cols, option(g, "lr"),
		              kind == BD_KIND_LINEAR || kind == BD_KIND_TABLE, step, 1);
	}
}

/* The losses before, between and after the steps. */
static void test_training(void **state)
{
	struct golden *g = *state;
	const struct bd_st_tensor *t = bd_st_find(g->file, "train.loss");

	assert_non_null(t);
	const float *want = F32(g, t->count, "train.loss");
	float *moments = bd_zalloc(2 * g->m->n, sizeof(*moments)), got[11];
	assert_int_equal(t->count, sizeof(got) / sizeof(*got));
	bool distil = bd_st_find(g->file, "teacher.z") != NULL;
	for (long step = 0; step < 11; step++) {
		got[step] = (float)objective(g, distil, NULL);
		check(g, got + step, want + step, 1, 0, TOL_LOSS, "loss after %ld steps", step);
		adamw(g, moments, step + 1);
		bd_net_refresh(g->net, g->m);
	}
	print_message("%s: losses agree to %.1e\n", g->name, compare(got, want, 11, TOL_LOSS).error);
	bd_free(moments);
}

/* clang-format off */
#define TEST(what, name) {name ": " #what, test_##what, open_case, close_case, (void *)name}
#define EVERY(name) TEST(forward, name), TEST(gradients, name)
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
	    EVERY("qwen3-tied"),
	    EVERY("qwen3-odd"),
	    EVERY("llama3-rope"),
	    EVERY("llama-bias"),
	    EVERY("llama-yarn"),
	    EVERY("qwen2-sliding"),
	    EVERY("gemma3-v4"),
	    EVERY("gemma3-v5"),
	    EVERY("bitnet-relu2"),
	    EVERY("ternary-subln"),
	    EVERY("ternary-all"),
	    EVERY("ternary-gemma3"),
	    EVERY("ternary-qwen2"),
	    TEST(logit_losses, "ternary-subln"),
	    TEST(relation_losses, "ternary-subln"),
	    TEST(distillation, "ternary-subln"),
	    TEST(states2, "ternary-subln"),
	    TEST(distillation, "ternary-gemma3"),
	    TEST(states2, "ternary-gemma3"),
	    TEST(training, "ternary-subln"),
	    TEST(training, "ternary-all"),
	    TEST(training, "ternary-gemma3"),
	    TEST(training, "ternary-qwen2"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
