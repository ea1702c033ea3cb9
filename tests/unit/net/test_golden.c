/* The network, the losses and the optimiser against golden vectors: dense models from Hugging Face
 * transformers, the ternary student and its distillation from a PyTorch implementation of the method.
 * tests/golden/README.md says what the vectors are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>

#include "child.h"
#include "compare.h"
#include "device.h"
#include "math/loss.h"
#include "base/mem.h"
#include "net/net.h"
#include "net/net_model.h"
#include "format/safetensors.h"
#include "train/optimiser.h"

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
	struct bd_dev *dev;
	struct bd_net *net; /* for training */
	struct bd_acts *acts;
	struct bd_batch batch;
	size_t T, V, P, width[3]; /* tokens, vocabulary, target positions; of q, k, v */
	size_t *row;              /* [P] rows that predict a target */
	uint32_t *y;              /* [P] */
	/* device */
	const float *h;    /* [T,C] of the last forward */
	float *dev_z, *dh; /* [P,V] logits, then their gradient; [T,C] */
	float *dev_grad;   /* as m->data */
	float *dev_ds[3];  /* [T,width] */
	/* host */
	float *z, *dz; /* [P,V] */
	float *grad;   /* as m->data */
	float *ds[3];  /* [T,width] */
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
	if (!t || t->dtype != type || t->count != n)
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

/* A case on a device. */
struct place {
	const char *name;
	bool locked;
};

static int open_case(void **state)
{
	struct golden *g = bd_zalloc(1, sizeof(*g));
	const char *root = getenv("BD_GOLDEN");
	const struct place *at = *state;
	g->name = at->name;
	*state = g;
	char *dir = bd_sprintf("%s/%s", root ? root : BD_GOLDEN, g->name),
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
	g->dev = at->locked ? locked_new(g->par) : bd_dev_cpu(g->par, NULL);
	g->net = bd_net_from_model(g->m, g->dev, true);
	g->acts = bd_acts_new(g->net, true);
	g->dev_z = bd_dev_alloc(g->dev, g->P * g->V, sizeof(*g->z));
	g->dh = bd_dev_alloc(g->dev, g->T * C, sizeof(*g->dh));
	g->dev_grad = bd_dev_alloc(g->dev, g->m->n, sizeof(*g->grad));
	g->z = bd_alloc(g->P * g->V, sizeof(*g->z));
	g->dz = bd_zalloc(g->P * g->V, sizeof(*g->dz));
	g->grad = bd_zalloc(g->m->n, sizeof(*g->grad));
	for (int i = 0; i < 3; i++) {
		g->ds[i] = bd_zalloc(g->T * g->width[i], sizeof(*g->ds[i]));
		g->dev_ds[i] = bd_dev_alloc(g->dev, g->T * g->width[i], sizeof(*g->ds[i]));
	}
	g->scratch = bd_alloc(2 * g->V, sizeof(*g->scratch));
	return 0;
}

static int close_case(void **state)
{
	struct golden *g = *state;
	void *blocks[] = {g->batch.start, g->batch.ids, g->row,   g->y,     g->z,      g->dz,
	                  g->grad,        g->ds[0],     g->ds[1], g->ds[2], g->scratch};
	float *on_device[] = {g->dev_z, g->dh, g->dev_grad, g->dev_ds[0], g->dev_ds[1], g->dev_ds[2]};
	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		bd_free(blocks[i]);
	for (size_t i = 0; i < sizeof(on_device) / sizeof(*on_device); i++)
		bd_dev_free(g->dev, on_device[i]);
	bd_acts_free(g->acts);
	bd_net_free(g->net);
	bd_dev_close(g->dev);
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
	bd_net_logits(g->net, g->dev_z, g->h, g->row, g->P, true);
	bd_dev_from(g->dev, g->z, g->dev_z, g->P * g->V * sizeof(*g->z));
	memset(g->dz, 0, g->P * g->V * sizeof(*g->dz));
}

static double add_ce(struct golden *g, double w)
{
	double sum = 0;
	for (size_t i = 0; i < g->P; i++)
		sum += bd_loss_ce(bd_kern(), g->dz + i * g->V, g->z + i * g->V, g->y[i],
		                  (float)(w / (double)g->P), g->V, g->scratch);
	return sum / (double)g->P;
}

/* Sum over the positions of a divergence from the teacher's logits zt[P,cols]; with zi,
 * rest: the largest ones. */
static double diverge(struct golden *g, const struct bd_soften *s, const uint16_t *zt, size_t cols, float w)
{
	double sum = 0;
	for (size_t i = 0; i < g->P; i++) {
		struct bd_teacher_logits t = {.zt = zt + i * cols};
		if (cols < g->V) {
			t.zi = (const uint32_t *)tensor(g, BD_I32, g->P * cols, "teacher.top_ids")->data +
			       i * cols;
			t.zr = F32(g, g->P, "teacher.top_rest")[i];
			t.K = cols;
		}
		sum += bd_loss_divergence(bd_kern(), s, &t, g->dz + i * g->V, g->z + i * g->V, w, g->V,
		                          g->scratch);
	}
	return sum;
}

static double add_ld(struct golden *g, double w)
{
	struct bd_soften s = {.tau = (float)option(g, "tau"), .tau2 = true};
	return diverge(g, &s, F16(g, g->P * g->V, "teacher.z"), g->V, (float)(w / (double)g->P)) /
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
	float *s = bd_alloc(g->T * ws, sizeof(*s));
	bd_dev_from(g->dev, s, bd_acts_state(g->acts, o->layer, which), g->T * ws * sizeof(*s));
	memset(g->ds[which], 0, g->T * ws * sizeof(float));
	double loss = 0;
	for (size_t i = 0; i < g->batch.n_seq; i++) {
		size_t t0 = g->batch.start[i];
		struct bd_relation r = {g->batch.start[i + 1] - t0, ws,       wt, o->heads,
		                        (float)o->temperature,      o->cosine};
		float *scratch = bd_alloc(bd_loss_relation_scratch(&r), sizeof(*scratch));
		loss += bd_loss_relation(bd_kern(), &r, g->ds[which] + t0 * ws, s + t0 * ws,
		                         (const uint16_t *)t->data + t0 * wt, (float)w, scratch);
		bd_free(scratch);
	}
	bd_free(s);
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
	struct bd_state_grad sg = {.layer = layer, .d = {g->dev_ds[0], g->dev_ds[1], g->dev_ds[2]}};
	const struct bd_param *head = bd_model_param(g->m, g->m->cfg.tied ? BD_EMBED : BD_HEAD, -1);
	for (int i = 0; i < 3; i++)
		bd_dev_to(g->dev, g->dev_ds[i], g->ds[i], g->T * g->width[i] * sizeof(*g->ds[i]));
	bd_dev_to(g->dev, g->dev_z, g->dz, g->P * g->V * sizeof(*g->dz));
	bd_dev_fill(g->dev, g->dev_grad, 0, g->m->n * sizeof(*g->grad));
	bd_dev_fill(g->dev, g->dh, 0, g->T * (size_t)g->m->cfg.hidden * sizeof(*g->dh));
	bd_net_logits_backward(g->net, g->dh, g->dev_grad + head->off, g->dev_z, g->h, g->row, g->P);
	bd_net_backward(g->net, g->acts, &g->batch, g->dh, g->m, g->dev_grad, layer < 0 ? NULL : &sg);
	bd_dev_from(g->dev, g->grad, g->dev_grad, g->m->n * sizeof(*g->grad));
	if (states2)
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
	float *z = bd_alloc(n, sizeof(*z)), *dev_z = bd_dev_alloc(g->dev, n, sizeof(*z));
	for (size_t i = 0; i < g->T; i++)
		all[i] = i;
	for (int train = 0; train < 2; train++) {
		struct bd_net *net = bd_net_from_model(g->m, g->dev, train);
		for (int layer = 0; layer < g->m->cfg.layers; layer++) {
			struct bd_acts *acts = bd_acts_new(net, train);
			if (!train)
				bd_acts_watch(acts, layer);
			const float *h = bd_net_forward(net, acts, &g->batch, NULL);
			bd_net_logits(net, dev_z, h, all, g->T, train);
			bd_dev_from(g->dev, z, dev_z, n * sizeof(*z));
			check(g, z, F32(g, n, "logits"), n, g->V, TOL_LOGIT, "logits, %s",
			      train ? "training" : "inference");
			for (int i = 0; i < 3; i++) {
				size_t w = g->width[i];
				float *s = bd_alloc(g->T * w, sizeof(*s));
				bd_dev_from(g->dev, s, bd_acts_state(acts, layer, i), g->T * w * sizeof(*s));
				check(g, s, F32(g, g->T * w, "state.%d.%c", layer, "qkv"[i]), g->T * w, w,
				      TOL_LOGIT, "%c of layer %d, %s", "qkv"[i], layer,
				      train ? "training" : "inference");
				bd_free(s);
			}
			bd_acts_free(acts);
		}
		print_message("%s: %s: logits agree to %.1e\n", g->name, train ? "training" : "inference",
		              compare(z, F32(g, n, "logits"), n, TOL_LOGIT).error);
		bd_net_free(net);
	}
	bd_free(all);
	bd_free(z);
	bd_dev_free(g->dev, dev_z);
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
	size_t V = g->V, K = bd_st_find(g->file, "teacher.top")->shape[1];
	const uint16_t *zt = F16(g, g->P * V, "teacher.z"), *top = F16(g, g->P * K, "teacher.top");
	float tau = (float)option(g, "tau"), beta = (float)option(g, "beta");
	const struct bd_soften soft = {BD_DIV_KL, tau, false, 0}, squared = {BD_DIV_KL, tau, true, 0},
	                       one = {BD_DIV_KL, 1, false, 0}, cakld = {BD_DIV_CAKLD, 1, false, beta};
	forward(g);
	check_dz(g, "ld", diverge(g, &soft, zt, V, 1));
	check_dz(g, "ld_tau2", diverge(g, &squared, zt, V, 1));
	check_dz(g, "ld_1", diverge(g, &one, zt, V, 1));
	check_dz(g, "top_1", diverge(g, &one, top, K, 1));
	check_dz(g, "cakld", diverge(g, &cakld, zt, V, 1));
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

/* The losses before, between and after the steps. */
static void test_training(void **state)
{
	struct golden *g = *state;
	const struct bd_st_tensor *t = bd_st_find(g->file, "train.loss");
	assert_non_null(t);
	const float *want = F32(g, t->count, "train.loss");
	struct bd_optim o = {BD_OPTIM_ADAMW, option(g, "beta1"), option(g, "beta2"), option(g, "eps"),
	                     option(g, "decay")};
	struct bd_optimiser u = bd_optimiser_new(g->m, g->dev, &o, 0);
	float got[11];
	assert_int_equal(t->count, sizeof(got) / sizeof(*got));
	bool distil = bd_st_find(g->file, "teacher.z");
	for (long step = 0; step < 11; step++) {
		got[step] = (float)objective(g, distil, NULL);
		check(g, got + step, want + step, 1, 0, TOL_LOSS, "loss after %ld steps", step);
		bd_dev_within(g->dev, u.grad, g->dev_grad, g->m->n * sizeof(*u.grad));
		bd_optimiser_step(&u, g->net->params, 0, option(g, "lr"), step + 1);
		bd_net_refresh(g->net);
	}
	print_message("%s: losses agree to %.1e\n", g->name, compare(got, want, 11, TOL_LOSS).error);
	bd_optimiser_free(&u);
}

/* The locked device is one: reading a tensor directly ends the process. */
static void read_directly(void *arg)
{
	const struct golden *g = arg;
	signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on with the next test */
	volatile float x = g->net->final_norm[0];
	(void)x;
}

static void test_direct_access(void **state)
{
	struct child c = child_run(read_directly, *state);
	assert_true(c.signal == SIGSEGV || c.status == 99); /* 99: AddressSanitizer's word */
}

/* clang-format off */
#define CASE(what, name, suffix, locked) \
	{name ": " #what suffix, test_##what, open_case, close_case, &(struct place){name, locked}}
#define TEST(what, name) CASE(what, name, "", false), CASE(what, name, ", locked", true)
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
	    CASE(direct_access, "ternary-subln", "", true),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
