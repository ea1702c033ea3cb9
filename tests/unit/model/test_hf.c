/* transformers' formats: packing byte by byte, the layout of what is written, and every format of every
 * family read back as the model it was made from; damaged ones are refused. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "device.h"
#include "machine/quant.h"
#include "model/ckpt.h"
#include "model/hf.h"
#include "model/hf_quant.h"
#include "net/net_ckpt.h"
#include "net/net_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { V = 96, T = 23 };

#define SHAPE                                                                                                \
	"\"hidden_size\": 48, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "                        \
	"\"num_key_value_heads\": 2,"                                                                        \
	" \"vocab_size\": 96, \"max_position_embeddings\": 64, \"tie_word_embeddings\": true,"
#define WIDE "\"head_dim\": 20,"
static const struct {
	const char *name, *json; /* model_type; the rest of config.json */
	bool bias;
} family[] = {
    {"llama", "", false},
    {"llama", "\"attention_bias\": true, \"mlp_bias\": true,", true},
    {"llama", WIDE, false},
    {"qwen2", "", true},
    {"qwen2", "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 1,", true},
    {"qwen3", WIDE, false},
    {"gemma3_text",
     WIDE "\"query_pre_attn_scalar\": 20, \"sliding_window\": 8, \"sliding_window_pattern\": 2,", false},
    {"bitnet", "\"hidden_act\": \"relu2\",", false},
};
enum { FAMILIES = sizeof(family) / sizeof(*family) };

static int ffn = 140;
static const char *weights = "ternary";
static char root[] = "/tmp/bd-test-hf-XXXXXX";

/* A directory under the root; of a student of family i, which is made. */
static char *path(const char *name)
{
	return bd_sprintf("%s/%s", root, name);
}

static char *student(const char *name, size_t i, const char *norms)
{
	char *dir = path(name),
	     *text = bd_sprintf("{\"model_type\": \"%s\", \"intermediate_size\": %d, %s %s \"rms_norm_eps\": "
	                        "1e-5, \"rope_theta\": 10000.0,"
	                        " \"bitdistill\": {\"norms\": \"%s\", \"weights\": \"%s\"}}",
	                        family[i].name, ffn, SHAPE, family[i].json, norms, weights);
	json_t *json = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(json, "test");
	struct bd_model *m = bd_model_new(&c);
	struct bd_outdir *out = bd_outdir_open(dir, true);

	bd_model_init(m, 5);
	for (size_t p = 0; p < m->n_param; p++)
		for (size_t j = 0; m->param[p].rows == 1 && j < m->param[p].cols; j++)
			m->data[m->param[p].off + j] += 0.2f * (float)bd_rng_normal(9, p, j);
	bd_model_save(m, bd_outdir_path(out), BD_F32, NULL);
	bd_outdir_commit(out);
	bd_model_free(m);
	bd_config_free(&c);
	json_decref(json);
	bd_free(text);
	return dir;
}

/* z[T,V] of the directory. */
static float *logits(const char *dir)
{
	uint32_t ids[T];
	struct bd_net *net = bd_net_from_ckpt(bd_ckpt_open(dir), cpu(), true);
	float *z;

	for (size_t i = 0; i < T; i++)
		ids[i] = (uint32_t)bd_rng_below(3, 0, i, V);
	z = logits_of(net, ids, T);
	bd_net_free(net);
	return z;
}

/* Same logits, to the bit unless near. */
static void assert_same_model(const char *a, const char *b, bool near)
{
	float *x = logits(a), *y = logits(b), largest = 0;

	for (size_t i = 0; i < T * V; i++)
		largest = fmaxf(largest, fabsf(x[i]));
	assert_true(largest > 0 && isfinite(largest));
	for (size_t i = 0; i < T * V; i++)
		assert_true(near ? fabsf(x[i] - y[i]) <= 1e-5f * largest : x[i] == y[i]);
	bd_free(x);
	bd_free(y);
}

static int setup(void **state)
{
	(void)state;
	bd_msg_tool("test_hf");
	return mkdtemp(root) == NULL;
}

static int teardown(void **state)
{
	(void)state;
	bd_remove_tree(root);
	return 0;
}

/* ---- packing ---- */

/* The example of transformers' unpack_weights. */
static void test_example(void **state)
{
	static const uint8_t packed[] = {0xa1, 0x18, 0x90, 0x0a};
	static const float want[8][2] = {{0, -1}, {-1, 1}, {-1, 1}, {-1, 1},
	                                 {1, 0},  {0, -1}, {1, -1}, {1, -1}};
	uint8_t codes[8 * 32], back[4];
	float w[8][2];

	(void)state;
	assert_true(bd_hf_unpack(codes, packed, 8, 2));
	bd_ternary_unpack(&w[0][0], codes, 8, 2, 1);
	for (size_t i = 0; i < 8; i++)
		for (size_t j = 0; j < 2; j++)
			assert_true(w[i][j] == want[i][j]);
	bd_hf_pack(back, codes, 8, 2);
	assert_memory_equal(back, packed, sizeof(packed));
	assert_false(bd_hf_unpack(codes, (const uint8_t[]){0xa1, 0x18, 0x90, 0x0e}, 8, 2));
}

static void test_packing_round_trip(void **state)
{
	static const size_t cols[] = {1, 31, 32, 127, 128, 129, 300};

	(void)state;
	for (size_t i = 0; i < sizeof(cols) / sizeof(*cols); i++) {
		size_t rows = 4 * (i + 1), k = cols[i], n = rows * bd_ternary_stride(k);
		float *w = bd_alloc(rows * k, sizeof(*w));
		uint8_t *codes = bd_alloc(n, 1), *packed = bd_alloc(rows / 4, k), *back = bd_alloc(n, 1);

		for (size_t j = 0; j < rows * k; j++)
			w[j] = (float)bd_rng_below(7, i, j, 3) - 1;
		bd_ternary_pack(codes, w, rows, k, 1);
		bd_hf_pack(packed, codes, rows, k);
		for (size_t j = 0; j < rows * k; j++)
			assert_int_equal(packed[j % (rows / 4 * k)] >> 2 * (j / (rows / 4 * k)) & 3,
			                 (int)w[j] + 1);
		assert_true(bd_hf_unpack(back, packed, rows, k));
		assert_memory_equal(codes, back, n);
		bd_free(w);
		bd_free(codes);
		bd_free(packed);
		bd_free(back);
	}
}

/* ---- round trips ---- */

static void round_trip(size_t i, const char *norms, enum bd_hf_form form)
{
	char *dir = student("student", i, norms), *out = path("out"), *again = path("again");
	struct bd_hf_opt o = {.form = form, .dtype = BD_F32, .force = true};

	bd_hf_write(dir, out, &o);
	assert_same_model(dir, out, family[i].bias && form == BD_HF_OFFLINE);
	bd_hf_write(out, again, &o);
	assert_same_model(out, again, family[i].bias && form == BD_HF_OFFLINE);
	if (form == BD_HF_ONLINE) { /* can be trained further, and is saved in our own format */
		struct bd_model *m = bd_model_load(out);
		struct bd_outdir *d = bd_outdir_open(again, true);

		bd_model_save(m, bd_outdir_path(d), BD_F32, NULL);
		bd_outdir_commit(d);
		assert_same_model(dir, again, strcmp(family[i].name, "gemma3_text") == 0);
		bd_model_free(m);
	}
	bd_free(dir);
	bd_free(out);
	bd_free(again);
}

static void test_round_trips(void **state)
{
	static const char *const norms[] = {"subln", "none", "all"};

	(void)state;
	for (size_t i = 0; i < FAMILIES; i++)
		for (size_t j = 0; j < (strcmp(family[i].name, "bitnet") == 0 ? 1 : 3); j++) {
			round_trip(i, norms[j], BD_HF_ONLINE);
			round_trip(i, norms[j], BD_HF_OFFLINE);
		}
}

/* Without ternary weights a checkpoint is run as it is stored: near what its numbers in f32 give, and with
 * few tokens, as with one. */
static void test_full_precision(void **state)
{
	static const enum bd_dtype types[] = {BD_F32, BD_BF16, BD_F16};
	uint32_t ids[T];

	(void)state;
	for (size_t i = 0; i < T; i++)
		ids[i] = (uint32_t)bd_rng_below(3, 0, i, V);
	weights = "full";
	for (size_t i = 0; i < 3; i++) {
		char *dir = student("as-f32", 0, "none"), *stored = path("stored");
		struct bd_model *m = bd_model_load(dir);
		struct bd_outdir *out = bd_outdir_open(stored, true);

		bd_model_save(m, bd_outdir_path(out), types[i], NULL);
		bd_outdir_commit(out);
		bd_model_free(m);
		m = bd_model_load(stored);
		for (size_t n = 1; n <= T; n = 3 * n + 1) {
			struct bd_net *a = bd_net_from_model(m, cpu(), false),
			              *b = bd_net_from_ckpt(bd_ckpt_open(stored), cpu(), false);
			float *x = logits_of(a, ids, n), *y = logits_of(b, ids, n), largest = 0;

			assert_int_equal(b->block[0].lin[0].half != NULL, types[i] != BD_F32);
			for (size_t j = 0; j < n * V; j++)
				largest = fmaxf(largest, fabsf(x[j]));
			for (size_t j = 0; j < n * V; j++)
				assert_true(fabsf(x[j] - y[j]) <= 1e-5f * largest);
			bd_free(x);
			bd_free(y);
			bd_net_free(a);
			bd_net_free(b);
		}
		bd_model_free(m);
		bd_free(dir);
		bd_free(stored);
	}
	weights = "ternary";
}

static void test_half_types(void **state)
{
	static const enum bd_dtype types[] = {BD_BF16, BD_F16};
	char *dir = student("student", 5, "subln"), *out = path("out");

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		bd_hf_write(dir, out, &(struct bd_hf_opt){BD_HF_OFFLINE, types[i], true});
		struct bd_st *st = bd_st_open(out);
		assert_int_equal(bd_st_find(st, "model.embed_tokens.weight")->dtype, types[i]);
		assert_int_equal(bd_st_find(st, "model.layers.0.mlp.up_proj.weight_scale")->dtype, BD_F32);
		bd_st_close(st);
		bd_free(logits(out));
	}
	bd_free(dir);
	bd_free(out);
}

/* ---- layout ---- */

struct want {
	const char *name;
	enum bd_dtype t;
	size_t rows, cols; /* rows 0: a vector */
};

static void assert_layout(const char *dir, const struct want *w, size_t n)
{
	struct bd_st *st = bd_st_open(dir);

	for (size_t i = 0; i < n; i++) {
		const struct bd_st_tensor *t = bd_st_find(st, w[i].name);

		if (t == NULL)
			fail_msg("no tensor %s", w[i].name);
		assert_int_equal(t->dtype, w[i].t);
		assert_int_equal(t->ndim, w[i].rows > 0 ? 2 : 1);
		assert_int_equal(t->shape[t->ndim - 1], w[i].cols);
		if (w[i].rows > 0)
			assert_int_equal(t->shape[0], w[i].rows);
	}
	assert_string_equal(json_string_value(json_object_get(bd_st_metadata(st), "format")), "pt");
	bd_st_close(st);
}

/* Text of config.json's key, or of a key of its object. */
static void assert_config(const char *dir, const char *object, const char *key, const char *want)
{
	char *file = bd_path(dir, "config.json"), *expected = bd_sprintf("{\"%s\":%s}", key, want);
	json_t *j = bd_json_load(file), *one = json_object();
	char *text;

	json_object_set(one, key, json_object_get(object != NULL ? bd_json_get(j, object) : j, key));
	text = bd_json_text(one, false);
	assert_string_equal(text, expected);
	bd_free(text);
	bd_free(expected);
	bd_free(file);
	json_decref(one);
	json_decref(j);
}

static void test_bitnet_layout(void **state)
{
	static const struct want w[] = {
	    {"model.layers.1.self_attn.attn_sub_norm.weight", BD_F32, 0, 48},
	    {"model.layers.1.mlp.ffn_sub_norm.weight", BD_F32, 0, 140},
	    {"model.layers.1.self_attn.k_proj.weight", BD_U8, 6, 48},
	    {"model.layers.1.self_attn.k_proj.weight_scale", BD_F32, 0, 1},
	    {"model.layers.1.self_attn.k_proj.bias", BD_F32, 0, 24},
	    {"model.layers.1.self_attn.o_proj.bias", BD_F32, 0, 48},
	    {"model.layers.1.mlp.down_proj.weight", BD_U8, 12, 140},
	};
	char *dir = student("student", 3, "subln"), *out = path("out");
	struct bd_st *st;
	float bias[48];

	(void)state;
	bd_hf_write(dir, out, &(struct bd_hf_opt){BD_HF_OFFLINE, BD_F32, true});
	assert_layout(out, w, sizeof(w) / sizeof(*w));
	st = bd_st_open(out);
	bd_st_f32(bd_st_find(st, "model.layers.1.self_attn.o_proj.bias"), 0, 48, bias);
	for (size_t i = 0; i < 48; i++)
		assert_true(bias[i] == 0);
	bd_st_close(st);
	assert_config(out, NULL, "model_type", "\"bitnet\"");
	assert_config(out, NULL, "architectures", "[\"BitNetForCausalLM\"]");
	assert_config(out, NULL, "hidden_act", "\"silu\"");
	assert_config(out, NULL, "attention_bias", "true");
	assert_config(out, NULL, "rms_norm_eps", "1e-5");
	assert_config(out, "quantization_config", "quantization_mode", "\"offline\"");
	/* AutoBitLinear scales the bias too */
	assert_config(out, "quantization_config", "linear_class", "\"bitlinear\"");
	assert_config(out, "quantization_config", "use_rms_norm", "false");
	bd_free(dir);
	bd_free(out);
}

static void test_folded_layout(void **state)
{
	static const struct want w[] = {
	    {"model.layers.0.self_attn.q_proj.rms_norm.weight", BD_F32, 0, 48},
	    {"model.layers.0.self_attn.o_proj.rms_norm.weight", BD_F32, 0, 80},
	    {"model.layers.0.mlp.up_proj.rms_norm.weight", BD_F32, 0, 48},
	    {"model.layers.0.mlp.down_proj.rms_norm.weight", BD_F32, 0, 140},
	    {"model.layers.0.self_attn.q_proj.weight", BD_F32, 80, 48},
	    {"model.layers.0.pre_feedforward_layernorm.weight", BD_F32, 0, 48},
	};
	char *dir = student("student", 6, "subln"), *out = path("out");
	struct bd_ckpt *k = bd_ckpt_open(dir);
	float gain[48], folded[48];
	struct bd_st *st;

	(void)state;
	bd_hf_write(dir, out, &(struct bd_hf_opt){BD_HF_ONLINE, BD_F32, true});
	assert_layout(out, w, sizeof(w) / sizeof(*w));
	st = bd_st_open(out);
	bd_ckpt_vector(k, BD_FFN_NORM, 0, gain);
	bd_st_f32(bd_st_find(st, w[2].name), 0, 48, folded);
	assert_memory_equal(gain, folded, sizeof(gain)); /* 1 + what Gemma stores */
	bd_st_f32(bd_st_find(st, w[5].name), 0, 48, folded);
	for (size_t i = 0; i < 48; i++)
		assert_true(folded[i] == 0);
	assert_config(out, NULL, "model_type", "\"gemma3_text\"");
	assert_config(out, "quantization_config", "linear_class", "\"autobitlinear\"");
	assert_config(out, "quantization_config", "quantization_mode", "\"online\"");
	assert_config(out, "quantization_config", "use_rms_norm", "true");
	assert_config(out, "quantization_config", "rms_norm_eps", "1e-5");
	bd_st_close(st);
	bd_ckpt_close(k);
	bd_free(dir);
	bd_free(out);
}

/* ---- others' variants, and damage ---- */

static const struct bd_st *all; /* the tensors that rewrite goes through */

typedef void change_fn(const struct bd_st_tensor *t, float *x);

/* Floats of a tensor; unpack: codes as -1, 0 and 1. */
static float *values(const struct bd_st_tensor *t, size_t n)
{
	float *x = bd_alloc(n, sizeof(*x));

	if (t->dtype != BD_U8)
		bd_st_f32(t, 0, n, x);
	for (size_t j = 0; t->dtype == BD_U8 && j < n; j++)
		x[j] = (float)(((const uint8_t *)t->data)[j % t->count] >> 2 * (j / t->count) & 3) - 1;
	return x;
}

/* Changes the values of the tensors whose name has `part`, leaves those out if fn is NULL; unpack:
 * stores codes as floats. */
static void rewrite(const char *dir, const char *part, change_fn *fn, bool unpack)
{
	struct bd_st *st = bd_st_open(dir);
	char *file = bd_path(dir, "model.safetensors"), *fresh = bd_path(dir, "fresh");
	struct bd_st_writer *w = bd_st_create(fresh, NULL);

	all = st;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < bd_st_count(st); i++) {
			const struct bd_st_tensor *t = bd_st_at(st, i);
			bool hit = strstr(t->name, part) != NULL, packed = t->dtype == BD_U8;
			size_t shape[2] = {t->shape[0] * (packed && unpack ? 4 : 1), t->shape[1]};
			size_t n = shape[0] * (t->ndim == 2 ? shape[1] : 1);
			float *x = values(t, n);

			if (hit && fn != NULL)
				fn(t, x);
			if (!(hit && fn == NULL) && pass == 0)
				bd_st_declare(w, t->name, packed && !unpack ? BD_U8 : BD_F32, t->ndim, shape);
			else if (!(hit && fn == NULL))
				bd_st_data(w, packed && !unpack ? t->data : x,
				           packed && !unpack ? t->bytes : n * sizeof(*x));
			bd_free(x);
		}
	bd_st_finish(w);
	bd_st_close(st);
	assert_int_equal(rename(fresh, file), 0);
	bd_free(file);
	bd_free(fresh);
}

static void set_class(const char *dir, const char *class)
{
	char *file = bd_path(dir, "config.json"), *text;
	json_t *j = bd_json_load(file);

	json_object_set_new(bd_json_get(j, "quantization_config"), "linear_class", json_string(class));
	text = bd_json_text(j, true);
	bd_write_file(file, text, strlen(text));
	bd_free(text);
	json_decref(j);
	bd_free(file);
}

static void invert(const struct bd_st_tensor *t, float *x)
{
	(void)t;
	x[0] = 1 / x[0];
}

/* A bias that will be multiplied by D, with 1 / D stored still. */
static void divide_bias(const struct bd_st_tensor *t, float *x)
{
	char name[128];
	float inverse;

	snprintf(name, sizeof(name), "%.*s.weight_scale", (int)(strrchr(t->name, '.') - t->name), t->name);
	bd_st_f32(bd_st_find(all, name), 0, 1, &inverse);
	for (size_t i = 0; i < t->count; i++)
		x[i] *= inverse;
}

static void change_first(const struct bd_st_tensor *t, float *x)
{
	(void)t;
	x[0] += 0.5f;
}

static void clear(const struct bd_st_tensor *t, float *x)
{
	(void)t;
	x[0] = 0;
}

/* A fresh export of family i with SubLN. */
static void export(size_t i, enum bd_hf_form form)
{
	char *dir = student("student", i, "subln"), *out = path("out"), *list;

	bd_hf_write(dir, out, &(struct bd_hf_opt){form, BD_F32, true});
	list = bd_path(out, "bd-digests.txt"); /* others write none */
	assert_int_equal(unlink(list), 0);
	bd_free(list);
	bd_free(dir);
	bd_free(out);
}

static void test_variants(void **state)
{
	char *dir = path("student"), *out = path("out");

	(void)state;
	export(0, BD_HF_OFFLINE); /* unpacked by transformers and saved again */
	rewrite(out, "-", NULL, true);
	assert_same_model(dir, out, false);
	export(0, BD_HF_OFFLINE); /* bitlinear: weight_scale is 1 / D */
	rewrite(out, "weight_scale", invert, false);
	set_class(out, "bitlinear");
	assert_same_model(dir, out, true);
	export(3, BD_HF_OFFLINE); /* autobitlinear: (C x + bias) D */
	rewrite(out, "bias", divide_bias, false);
	rewrite(out, "weight_scale", invert, false);
	set_class(out, "autobitlinear");
	assert_same_model(dir, out, true);
	bd_free(dir);
	bd_free(out);
}

static void open_student(void *dir)
{
	bd_net_free(bd_net_from_ckpt(bd_ckpt_open(dir), cpu(), true));
}

static void load(void *dir)
{
	bd_model_free(bd_model_load(dir));
}

static void test_damage(void **state)
{
	char *out = path("out"), *file = bd_path(out, "model.safetensors"), *bytes;
	size_t n;

	(void)state;
	export(0, BD_HF_OFFLINE);
	child_dies(load, out, BD_DATA, "masters");
	bytes = bd_read_file(file, &n);
	bytes[n - 1] = (char)0xff; /* the widest type comes first, codes last */
	bd_write_file(file, bytes, n);
	bd_free(bytes);
	child_dies(open_student, out, BD_DATA, "codes that are not ternary");
	export(0, BD_HF_OFFLINE);
	rewrite(out, "q_proj.weight_scale", clear, false);
	child_dies(open_student, out, BD_DATA, "not a positive number");
	export(0, BD_HF_OFFLINE);
	rewrite(out, "q_proj.weight_scale", NULL, false);
	child_dies(open_student, out, BD_DATA, "q_proj.weight_scale is missing");
	export(0, BD_HF_OFFLINE);
	rewrite(out, "q_proj.weight", change_first, true);
	child_dies(open_student, out, BD_DATA, "values other than -1, 0 and 1");
	export(5, BD_HF_ONLINE);
	rewrite(out, "0.input_layernorm", change_first, false);
	child_dies(open_student, out, BD_DATA, "is not the identity");
	export(5, BD_HF_ONLINE);
	rewrite(out, "1.self_attn.k_proj.rms_norm", change_first, false);
	child_dies(open_student, out, BD_DATA, "differ");
	bd_free(out);
	bd_free(file);
}

/* ---- what cannot be written, or is not read ---- */

static void assert_refused(const char *dir, struct bd_hf_opt o, const char *text)
{
	struct bd_ckpt *k = bd_ckpt_open(dir);
	char *why = bd_hf_why_not(k, &o);

	if (text == NULL && why != NULL)
		fail_msg("refused: %s", why);
	else if (text != NULL && (why == NULL || strstr(why, text) == NULL))
		fail_msg("not refused for \"%s\": %s", text, why != NULL ? why : "possible");
	bd_free(why);
	bd_ckpt_close(k);
}

static void test_why_not(void **state)
{
	char *dir = student("student", 0, "subln"), *out = path("out");

	(void)state;
	assert_refused(dir, (struct bd_hf_opt){BD_HF_OFFLINE, BD_F32, false}, NULL);
	bd_hf_write(dir, out, &(struct bd_hf_opt){BD_HF_OFFLINE, BD_F32, true});
	assert_refused(out, (struct bd_hf_opt){BD_HF_OFFLINE, BD_F32, false}, NULL);
	assert_refused(out, (struct bd_hf_opt){BD_HF_ONLINE, BD_F32, false}, "masters");
	bd_free(dir);
	ffn = 138;
	dir = student("student", 0, "subln");
	assert_refused(dir, (struct bd_hf_opt){BD_HF_ONLINE, BD_F32, false}, NULL);
	assert_refused(dir, (struct bd_hf_opt){BD_HF_OFFLINE, BD_F32, false}, "138");
	bd_free(dir);
	ffn = 140;
	weights = "full";
	dir = student("student", 0, "none");
	assert_refused(dir, (struct bd_hf_opt){BD_HF_ONLINE, BD_F32, false},
	               "not trained as a ternary model");
	assert_refused(dir, (struct bd_hf_opt){BD_HF_ONLINE, BD_F32, true}, NULL);
	weights = "ternary";
	bd_free(dir);
	bd_free(out);
}

static void parse(void *text)
{
	json_t *j = bd_json_parse(text, strlen(text), "test");

	bd_hf_quant_parse(j, "test");
}

static void test_quantization_config(void **state)
{
	static char *const bad[][2] = {
	    {"{\"quantization_config\": {\"quant_method\": \"gptq\"}}", "gptq"},
	    {"{\"quantization_config\": {\"quant_method\": \"bitnet\", \"linear_class\": \"x\"}}",
	     "linear_class"},
	    {"{\"quantization_config\": {\"quant_method\": \"bitnet\", \"quantization_mode\": \"x\"}}",
	     "quantization_mode"},
	    {"{\"quantization_config\": {\"quant_method\": \"bitnet\", \"modules_to_not_convert\": "
	     "[\"q_proj\"]}}",
	     "excludes modules"},
	    {"{\"rms_norm_eps\": 1e-5, \"quantization_config\": {\"quant_method\": \"bitnet\", "
	     "\"use_rms_norm\": true}}",
	     "eps"},
	};
	static const char plain[] = "{\"quantization_config\": {\"quant_method\": \"bitnet\"}}";
	json_t *j = bd_json_parse(plain, strlen(plain), "test");
	struct bd_hf_quant q = bd_hf_quant_parse(j, "test");

	(void)state;
	assert_true(q.ternary && q.packed && q.inverse && !q.rms_norm); /* BitNetQuantConfig's defaults */
	json_decref(j);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		child_dies(parse, bad[i][0], BD_DATA, bad[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_packing_round_trip),
	    cmocka_unit_test(test_round_trips),
	    cmocka_unit_test(test_full_precision),
	    cmocka_unit_test(test_half_types),
	    cmocka_unit_test(test_bitnet_layout),
	    cmocka_unit_test(test_folded_layout),
	    cmocka_unit_test(test_variants),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_why_not),
	    cmocka_unit_test(test_quantization_config),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
