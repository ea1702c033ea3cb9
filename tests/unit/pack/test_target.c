/* Targets: which student can go where and why not; every file gives the directory's bits; files of other
 * programs are read. */
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "device.h"
#include "format/gguf_ternary.h"
#include "model/ckpt.h"
#include "net/net_ckpt.h"
#include "net/net_parts.h"
#include "pack/pack.h"
#include "pack/pack_items.h"
#include "pack/pack_keys.h"
#include "pack/packed.h"
#include "pack/packed_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 96, T = 19 };

/* A config of 512 columns everywhere, one layer, with what differs; later keys win. */
#define SHAPE                                                                                                \
	"\"hidden_size\": 512, \"num_hidden_layers\": 1, \"num_attention_heads\": 8, "                       \
	"\"num_key_value_heads\": 2,"                                                                        \
	" \"head_dim\": 64, \"intermediate_size\": 512, \"vocab_size\": 96, \"max_position_embeddings\": "   \
	"64,"                                                                                                \
	" \"rms_norm_eps\": 1e-6"
#define LLAMA3                                                                                               \
	"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "          \
	"\"high_freq_factor\": 4.0,"                                                                         \
	" \"original_max_position_embeddings\": 32}"
#define YARN                                                                                                 \
	"\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "                                      \
	"\"original_max_position_embeddings\": 32"

/* What a row of --list-targets is: the architecture, or part of the reason. */
static const struct {
	const char *what, *model_type, *norms, *rest, *is[4]; /* stock, ik, bitnet.cpp; NULL-terminated */
} promise[] = {
    {"llama with SubLN", "llama", "subln", "\"tie_word_embeddings\": true", {"bitnet", "bitnet", "bitnet"}},
    {"llama, head of its own",
     "llama",
     "subln",
     "\"tie_word_embeddings\": false",
     {"no separate head", "no separate head", "no separate head"}},
    {"llama, biases",
     "llama",
     "subln",
     "\"tie_word_embeddings\": true, \"attention_bias\": true",
     {"biases", "biases", "biases"}},
    {"llama, llama3 rope",
     "llama",
     "subln",
     "\"tie_word_embeddings\": true, " LLAMA3,
     {"llama3 rope", "llama3 rope", "llama3 rope"}},
    {"llama, seven norms",
     "llama",
     "all",
     "\"tie_word_embeddings\": true",
     {"norm on the input of every linear", "norm on the input of every linear",
      "norm on the input of every linear"}},
    {"llama, heads wider",
     "llama",
     "subln",
     "\"tie_word_embeddings\": true, \"num_attention_heads\": 16",
     {"heads x head size", "heads x head size", "heads x head size"}},
    {"llama without SubLN",
     "llama",
     "none",
     "\"tie_word_embeddings\": false, \"attention_bias\": true, " LLAMA3,
     {"llama", "llama", "llama"}},
    {"llama, YaRN", "llama", "none", YARN "}", {"llama", "llama", "llama"}},
    {"llama, unusual YaRN", "llama", "none", YARN ", \"beta_fast\": 16}", {"YaRN", "YaRN", "YaRN"}},
    {"qwen2 with SubLN",
     "qwen2",
     "subln",
     "\"tie_word_embeddings\": true",
     {"biases", "biases", "both biases and SubLN"}},
    {"qwen2 without",
     "qwen2",
     "none",
     "\"tie_word_embeddings\": true",
     {"qwen2", "qwen2", "computes I2_S only in"}},
    {"qwen3 with SubLN",
     "qwen3",
     "subln",
     "\"tie_word_embeddings\": false",
     {"none for q and k", "none for q and k", "qwen3"}},
    {"qwen3, seven norms",
     "qwen3",
     "all",
     "\"tie_word_embeddings\": true",
     {"every linear", "every linear", "qwen3"}},
    {"qwen3 without", "qwen3", "none", "\"tie_word_embeddings\": true", {"qwen3", "qwen3", "qwen3"}},
    {"qwen3, biases", "qwen3", "none", "\"attention_bias\": true", {"no biases", "no biases", "no biases"}},
    {"qwen3, llama3 rope", "qwen3", "none", LLAMA3, {"llama3 rope", "llama3 rope", "llama3 rope"}},
    {"gemma3 with SubLN",
     "gemma3_text",
     "subln",
     "\"num_hidden_layers\": 6, \"query_pre_attn_scalar\": 64, \"sliding_window\": 8",
     {"q and k", "q and k", "gemma3"}},
    {"gemma3 without",
     "gemma3_text",
     "none",
     "\"num_hidden_layers\": 6, \"query_pre_attn_scalar\": 64, \"sliding_window\": 8",
     {"gemma3", "gemma3", "gemma3"}},
    {"gemma3, other scale",
     "gemma3_text",
     "none",
     "\"query_pre_attn_scalar\": 100",
     {"scales", "scales", "scales"}},
    {"gemma3, other pattern",
     "gemma3_text",
     "none",
     "\"query_pre_attn_scalar\": 64, \"sliding_window_pattern\": 1",
     {"sliding attention", "sliding attention", "sliding attention"}},
    {"bitnet, ReLU^2",
     "bitnet",
     "subln",
     "\"hidden_act\": \"relu2\", \"tie_word_embeddings\": true",
     {"computes silu", "bitnet-b1.58", "computes silu"}},
    {"narrow rows",
     "llama",
     "none",
     "\"intermediate_size\": 448, \"tie_word_embeddings\": true",
     {"llama", "512 or more", "multiples of 128"}},
    {"odd rows",
     "llama",
     "none",
     "\"intermediate_size\": 520",
     {"multiples of 256", "multiples of 64", "multiples of 128"}},
    {"qwen2, sliding",
     "qwen2",
     "none",
     "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 0",
     {"no sliding layers", "no sliding layers", "computes I2_S only in"}},
};
enum { PROMISES = sizeof(promise) / sizeof(*promise) };

static char root[] = "/tmp/bd-test-target-XXXXXX";
static char *dir, *file;
static uint32_t ids[T];

static struct bd_config config_with(size_t i, const char *last)
{
	char *text = bd_sprintf(
	    "{\"model_type\": \"%s\", \"bitdistill\": {\"norms\": \"%s\", \"weights\": \"ternary\"}, " SHAPE
	    "}",
	    promise[i].model_type, promise[i].norms);
	char *rest = bd_sprintf("{%s%s}", promise[i].rest, last);
	json_t *json = bd_json_parse(text, strlen(text), "test"),
	       *more = bd_json_parse(rest, strlen(rest), "test");
	struct bd_config c;

	json_object_update(json, more);
	c = bd_config_parse(json, "test");
	json_decref(json);
	json_decref(more);
	bd_free(text);
	bd_free(rest);
	return c;
}

static struct bd_config config_of(size_t i)
{
	return config_with(i, "");
}

/* dir: a student of this config with random weights, gains around one and biases. */
static void make_dir(const struct bd_config *c)
{
	struct bd_model *m = bd_model_new(c);
	struct bd_outdir *out = bd_outdir_open(dir, true);

	bd_model_init(m, 5);
	for (size_t i = 0; i < m->n_param; i++)
		for (size_t j = 0; m->param[i].rows == 1 && j < m->param[i].cols; j++)
			m->data[m->param[i].off + j] += 0.1f * (float)bd_rng_normal(9, i, j);
	bd_model_save(m, bd_outdir_path(out), BD_F32, NULL);
	bd_outdir_commit(out);
	bd_model_free(m);
}

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(root) == NULL)
		return -1;
	bd_msg_tool("test_target");
	dir = bd_sprintf("%s/student", root);
	file = bd_sprintf("%s/packed.gguf", root);
	for (size_t i = 0; i < T; i++)
		ids[i] = (uint32_t)bd_rng_below(3, 0, i, V);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bd_remove_tree(root);
	bd_free(dir);
	bd_free(file);
	return 0;
}

/* z[T,V] of ids; frees the net. */
static float *logits(struct bd_net *net)
{
	float *z = logits_of(net, ids, T);

	bd_net_free(net);
	return z;
}

/* ---- the promise ---- */

static void test_promise(void **state)
{
	(void)state;
	for (size_t i = 0; i < PROMISES; i++) {
		struct bd_config c = config_of(i);

		for (int t = BD_TARGET_STOCK; t <= BD_TARGET_BITNET_CPP; t++) {
			const char *want = promise[i].is[t - BD_TARGET_STOCK];
			enum bd_ggml_type type;
			struct bd_layout l;
			char *why = bd_target_layout(&l, &c, (enum bd_target)t);

			if (why == NULL)
				why = bd_target_type(&c, (enum bd_target)t, &type);
			if (why == NULL ? strcmp(l.arch, want) != 0 : strstr(why, want) == NULL)
				fail_msg("%s, %s: %s where %s is wanted", promise[i].what,
				         bd_target_name((enum bd_target)t), why != NULL ? why : l.arch, want);
			bd_free(why);
		}
		bd_config_free(&c);
	}
}

/* ---- names and order, by hand ---- */

static void test_order(void **state)
{
	static const size_t want[16] = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
	const struct bd_layout l = {.pairs = true}, plain = {.pairs = false};
	const struct bd_rope r = {
	    .kind = BD_ROPE_LLAMA3, .theta = 10000, .factor = 8, .low = 1, .high = 4, .original = 1024};
	float f[4];

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		assert_int_equal(bd_layout_row(&l, BD_W + BD_LIN_K, i, 8), want[i]);
		assert_int_equal(bd_layout_row(&l, BD_BIAS + BD_LIN_Q, i, 8), want[i]);
		assert_int_equal(bd_layout_row(&l, BD_W + BD_LIN_V, i, 8), i);
		assert_int_equal(bd_layout_row(&plain, BD_W + BD_LIN_Q, i, 8), i);
	}
	/* waves of 2 pi 10^i: 6.3 and 63 are shorter than 1024 / 4, 628 is between (1024 / 628.3 = 1.6297),
	 * 6283 longer than 1024 */
	bd_rope_factors(f, &r, 8);
	assert_true(f[0] == 1 && f[1] == 1 && f[3] == 8);
	assert_true(fabsf(f[2] - (float)(1 / ((1 - 0.629747 / 3) / 8 + 0.629747 / 3))) < 1e-4f);
}

static void pack_for(enum bd_target target, enum bd_ggml_type type)
{
	bd_pack_write(dir, file,
	              &(struct bd_pack_opt){.target = target, .ternary = type, .embd = BD_GGML_F32}, cpu());
}

static const float *floats(const struct bd_gguf *g, const char *name, size_t n)
{
	const struct bd_gguf_tensor *t = bd_gguf_find(g, name);

	if (t == NULL || t->type != BD_GGML_F32 || t->ndim != 1 || t->cols != n)
		fail_msg("%s: missing, or no vector of %zu floats", name, n);
	return t->data;
}

/* What bitnet.cpp's qwen3 asks for: the two norms under its names, and the fold. */
static void test_fold(void **state)
{
	struct bd_config c = config_of(11);
	struct bd_model *m;
	struct bd_gguf *g;
	const float *gain, *ones;

	(void)state;
	make_dir(&c);
	pack_for(BD_TARGET_BITNET_CPP, BD_GGML_I2_S);
	m = bd_model_load(dir);
	g = bd_gguf_open(file);
	assert_string_equal(bd_gguf_str(g, "general.architecture", NULL), "qwen3");
	/* embedding, norm, head; linears; block, q/k norms; norms in */
	assert_int_equal(bd_gguf_tensors(g), 3 + 7 + 2 + 2 + 4);
	gain = bd_model_data(m, BD_FFN_NORM, 0);
	ones = floats(g, "blk.0.ffn_norm.weight", 512);
	for (size_t i = 0; i < 512; i++)
		assert_true(ones[i] == 1);
	assert_memory_equal(floats(g, "blk.0.ffn_gate_norm_in.weight", 512), gain, 2048);
	assert_memory_equal(floats(g, "blk.0.ffn_up_norm_in.weight", 512), gain, 2048);
	assert_memory_equal(floats(g, "blk.0.attn_output_norm_in.weight", 512),
	                    bd_model_data(m, BD_SUBLN + BD_LIN_O, 0), 2048);
	assert_memory_equal(floats(g, "blk.0.ffn_down_norm_in.weight", 512),
	                    bd_model_data(m, BD_SUBLN + BD_LIN_DOWN, 0), 2048);
	bd_gguf_close(g);
	bd_model_free(m);
	bd_config_free(&c);
}

/* What llama.cpp's bitnet asks for: exactly these, D in tensors of one float, blocks of d = 1. */
static void test_stock(void **state)
{
	struct bd_config c = config_of(0);
	struct bd_net *net;
	struct bd_gguf *g;
	const struct bd_gguf_tensor *t;

	(void)state;
	make_dir(&c);
	pack_for(BD_TARGET_STOCK, BD_GGML_Q2_0);
	net = bd_net_from_ckpt(bd_ckpt_open(dir), cpu(), true);
	g = bd_gguf_open(file);
	assert_int_equal(bd_gguf_tensors(g), 2 + 2 * 7 + 4);
	floats(g, "blk.0.attn_sub_norm.weight", 512);
	floats(g, "blk.0.ffn_sub_norm.weight", 512);
	assert_true(*floats(g, "blk.0.ffn_down.scale", 1) == net->block[0].lin[BD_LIN_DOWN].scale);
	t = bd_gguf_find(g, "blk.0.attn_q.weight");
	assert_int_equal(t->type, 42);
	assert_memory_equal(t->data, "\x00\x3c", 2); /* 1 as f16 */
	assert_false(bd_gguf_has(g, "bitnet.hidden_activation"));
	bd_gguf_close(g);
	bd_net_free(net);
	bd_config_free(&c);
}

/* ---- the same bits ---- */

struct attempt {
	enum bd_target target;
	enum bd_ggml_type type;
};

static void pack(void *arg)
{
	const struct attempt *t = arg;

	bd_pack_write(dir, file,
	              &(struct bd_pack_opt){.target = t->target, .ternary = t->type, .embd = BD_GGML_F32},
	              cpu());
}

static void check_file(const struct bd_config *c, const struct attempt *t, const float *want)
{
	struct bd_layout l;
	char *why = bd_target_layout(&l, c, t->target);
	float *got;
	size_t n;

	if (why == NULL)
		why = bd_target_misfit(c, t->target, t->type);
	if (why != NULL) {
		child_dies(pack, (void *)(uintptr_t)t, BD_DATA, why);
		assert_false(bd_exists(file));
		bd_free(why);
		return;
	}
	pack((void *)(uintptr_t)t);
	got = logits(bd_packed_open(file, cpu()));
	assert_memory_equal(got, want, T * V * sizeof(*got));
	assert_int_equal(bd_packed_check(file, &n), 0);
	bd_free(got);
	assert_int_equal(remove(file), 0);
}

/* Every student to every target in every type: what is possible is written and read back, the rest is refused
 * with the reason given. */
static void test_every_file(void **state)
{
	(void)state;
	for (size_t i = 0; i < PROMISES; i++) {
		struct bd_config c = config_of(i);
		float *want;

		make_dir(&c);
		want = logits(bd_net_from_ckpt(bd_ckpt_open(dir), cpu(), true));
		for (int t = BD_TARGET_BD; t <= BD_TARGET_BITNET_CPP; t++) {
			enum bd_ggml_type type[BD_TERNARIES];
			size_t n = bd_target_types(BD_TARGET_BD, type);

			for (size_t k = 0; k < n; k++)
				check_file(&c, &(struct attempt){(enum bd_target)t, type[k]}, want);
		}
		bd_free(want);
		bd_config_free(&c);
	}
}

/* The logits of one position are those that it has among several, whatever the head's type. */
static void same_alone(struct bd_net *net)
{
	struct bd_acts *a = bd_acts_new(net, false);
	size_t start[2] = {0, T}, row = T - 1;
	struct bd_batch b = {.n_seq = 1, .T = T, .start = start, .ids = ids};
	float *z = logits_of(net, ids, T), alone[V];

	bd_net_logits(net, alone, bd_net_forward(net, a, &b, NULL), &row, 1, false);
	assert_memory_equal(alone, z + row * V, sizeof(alone));
	bd_acts_free(a);
	bd_free(z);
}

static void test_tables(void **state)
{
	static const enum bd_ggml_type type[] = {BD_GGML_F16, BD_GGML_Q8_0, BD_GGML_Q6_K, BD_GGML_Q4_0};
	struct bd_config c = config_of(1);

	(void)state;
	make_dir(&c);
	for (size_t i = 0; i < 4; i++) {
		struct bd_pack_opt o = {.embd = type[i], .own_head = true, .head = type[(i + 1) % 4]};
		struct bd_net *net;

		bd_pack_write(dir, file, &o, cpu());
		net = bd_packed_open(file, cpu());
		assert_int_equal(net->embed.type, type[i]);
		assert_int_equal(net->head.type, type[(i + 1) % 4]);
		same_alone(net);
		bd_net_free(net);
	}
	bd_config_free(&c);
}

/* ---- files of other programs ---- */

/* A file as others make them: keys of the architecture, no bd.*; from the student in dir. */
static void write_foreign(const char *arch, const struct bd_layout *l, enum bd_ggml_type embd)
{
	struct bd_net *net = bd_net_from_ckpt(bd_ckpt_open(dir), cpu(), true);
	struct bd_gguf_writer *w = bd_gguf_create(file);
	struct bd_layout named = *l;
	size_t n, stride;
	struct bd_part *part = bd_net_parts(net, &n);
	static const char tail[28];
	char name[96];

	snprintf(named.arch, sizeof(named.arch), "%s", arch);
	bd_pack_keys(w, &net->cfg, &named, BD_GGML_I2_S, NULL);
	bd_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 7);
	for (size_t i = 0; i < n; i++) {
		bd_layout_name(l, part[i].slot, part[i].layer, name, sizeof(name));
		if (part[i].kind == BD_KIND_LINEAR)
			bd_gguf_declare(w, name, BD_GGML_I2_S, part[i].cols, part[i].rows);
		else
			bd_gguf_declare(w, name, part[i].kind == BD_KIND_TABLE ? embd : BD_GGML_F32,
			                part[i].cols, part[i].kind == BD_KIND_TABLE ? part[i].rows : 0);
	}
	for (size_t i = 0; i < n; i++) {
		stride = part[i].kind == BD_KIND_LINEAR ? bd_ggml_stride(BD_GGML_I2_S, part[i].cols) : 0;
		if (part[i].kind == BD_KIND_LINEAR) {
			bd_gguf_data(w, part[i].linear->codes, part[i].rows * stride);
			bd_gguf_data(w, &part[i].linear->scale, 4);
			bd_gguf_data(w, tail, sizeof(tail));
		} else if (part[i].kind == BD_KIND_TABLE) {
			bd_gguf_data(w, part[i].table->p, part[i].rows * part[i].cols * 4);
		} else {
			bd_gguf_data(w, *part[i].vector, part[i].cols * 4);
		}
	}
	bd_gguf_finish(w);
	bd_free(part);
	bd_net_free(net);
}

/* microsoft/bitnet-b1.58-2B-4T's layout, and the same as architecture bitnet, where the
 * activation is another. */
static void test_foreign(void **state)
{
	static const char *const arch[] = {"bitnet-b1.58", "bitnet-25", "bitnet"};
	struct bd_config c = config_of(20);
	const struct bd_layout l = {.target = BD_TARGET_STOCK};
	float *want, *got;

	(void)state;
	assert_int_equal(c.act, BD_RELU2);
	make_dir(&c);
	want = logits(bd_net_from_ckpt(bd_ckpt_open(dir), cpu(), true));
	for (size_t i = 0; i < 3; i++) {
		struct bd_net *net;

		write_foreign(arch[i], &l, BD_GGML_F32);
		net = bd_packed_open(file, cpu());
		assert_int_equal(net->cfg.act, i < 2 ? BD_RELU2 : BD_SILU);
		assert_int_equal(net->cfg.special.eos[0], 7);
		got = logits(net);
		assert_int_equal(memcmp(got, want, T * V * sizeof(*got)) == 0, i < 2);
		bd_free(got);
	}
	bd_free(want);
	bd_config_free(&c);
}

static void use(void *arg)
{
	struct bd_net *net = bd_packed_open(file, cpu());

	if (arg != NULL)
		bd_free(logits(net));
	else
		bd_net_free(net);
}

/* A fold that cannot be undone: a norm that is not one, or another gain for up than for gate. */
static void test_fold_refused(void **state)
{
	struct bd_config c = config_of(11);
	float x[512];
	size_t n;

	(void)state;
	make_dir(&c);
	for (int i = 0; i < 2; i++) {
		pack_for(BD_TARGET_BITNET_CPP, BD_GGML_I2_S);
		use(NULL);
		struct bd_gguf *g = bd_gguf_open(file);
		memcpy(x, floats(g, i == 0 ? "blk.0.ffn_norm.weight" : "blk.0.ffn_up_norm_in.weight", 512),
		       sizeof(x));
		bd_gguf_close(g);
		char *bytes = bd_read_file(file, &n), *at = memmem(bytes, n, x, sizeof(x));
		assert_non_null(at);
		x[511] += 0.5f;
		memcpy(at, x, sizeof(x));
		bd_write_file(file, bytes, n);
		bd_verify(false); /* not a matter of digests */
		child_dies(use, NULL, BD_DATA, "layer 0: ffn_norm is not all ones");
		bd_verify(true);
		bd_free(bytes);
	}
	bd_config_free(&c);
}

/* Spoils a key's name in the file; false if it is not there. */
static bool hide_key(const char *key)
{
	size_t n, len = strlen(key);
	char *bytes = bd_read_file(file, &n), counted[80]; /* a name follows its length */
	uint64_t length = len;

	memcpy(counted, &length, 8);
	memcpy(counted + 8, key, len);
	char *at = memmem(bytes, n, counted, 8 + len);
	if (at != NULL) {
		at[7 + len] = '!';
		bd_write_file(file, bytes, n);
	}
	bd_free(bytes);
	return at != NULL;
}

/* A target that there is not, or that is no file. */
static void test_unknown_target(void **state)
{
	static const char *const bad[] = {"hf", "xx"};
	struct bd_config c = config_of(0);
	size_t n, at = strlen("bd.target") + 4 + 8; /* the value follows its type and its length */

	(void)state;
	make_dir(&c);
	for (size_t i = 0; i < 2; i++) {
		pack_for(BD_TARGET_BD, BD_GGML_I2_S);
		char *bytes = bd_read_file(file, &n),
		     *key = memmem(bytes, n, "bd.target", strlen("bd.target"));
		assert_non_null(key);
		assert_memory_equal(key + at, "bd", 2);
		memcpy(key + at, bad[i], 2);
		bd_write_file(file, bytes, n);
		bd_verify(false);
		child_dies(use, NULL, BD_DATA, "unknown bd.target");
		bd_verify(true);
		bd_free(bytes);
	}
	bd_config_free(&c);
}

/* ---- a file that contradicts its config ---- */

/* The bytes that follow the name in the file, whose size is *n; the caller frees *bytes. */
static char *after_name(const char *name, char **bytes, size_t *n)
{
	size_t len = strlen(name);
	char counted[80]; /* a name follows its length */
	uint64_t length = len;

	*bytes = bd_read_file(file, n);
	memcpy(counted, &length, 8);
	memcpy(counted + 8, name, len);
	char *at = memmem(*bytes, *n, counted, 8 + len);
	if (at == NULL)
		fail_msg("%s: not in the file", name);
	return at + 8 + len;
}

/* Shapes that need as many bytes as the right ones, since tensors are filled up to 32 of them; scales, one
 * for each linear, of another type. */
static void test_wrong_shapes(void **state)
{
	enum { TYPE, COLUMNS };
	static const struct {
		size_t config;
		struct attempt try;
		const char *name;
		int what;
		uint32_t was, is;
		const char *text;
	} cases[] = {
	    {0,
	     {BD_TARGET_STOCK, BD_GGML_Q2_0},
	     "blk.0.ffn_down.scale",
	     COLUMNS,
	     1,
	     2,
	     "blk.0.ffn_down.scale: F32 of 1 x 2, but the config requires 1 x 1"},
	    {0,
	     {BD_TARGET_STOCK, BD_GGML_Q2_0},
	     "output_norm.weight",
	     COLUMNS,
	     512,
	     506,
	     "output_norm.weight: F32 of 1 x 506, but the config requires 1 x 512"},
	    {0,
	     {BD_TARGET_IK, BD_GGML_IQ1_BN},
	     "bd.scales",
	     TYPE,
	     BD_GGUF_F32,
	     BD_GGUF_U32,
	     "bd.scales: 7 entries for 1 layers of 7 linears"},
	};

	(void)state;
	bd_verify(false); /* not a matter of digests */
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_config c = config_of(cases[i].config);
		struct attempt t = cases[i].try;
		uint32_t was;
		size_t n;
		char *bytes, *at;

		make_dir(&c);
		pack(&t);
		use(NULL);
		at = after_name(cases[i].name, &bytes, &n) +
		     4; /* the number of dimensions; that it is an array */
		memcpy(&was, at, 4);
		assert_int_equal(was, cases[i].was);
		memcpy(at, &cases[i].is, 4);
		bd_write_file(file, bytes, n);
		child_dies(use, NULL, BD_DATA, cases[i].text);
		bd_free(bytes);
		bd_config_free(&c);
	}
	bd_verify(true);
}

/* Linears that have rows or columns enough, but not those of the config, in which a number is changed. */
static void test_other_config(void **state)
{
	static const struct {
		const char *key, *was, *is, *text;
	} cases[] = {
	    {"\"intermediate_size\"", "512", "384",
	     "blk.0.ffn_gate.weight: I2_S of 512 x 512, but the config requires 384 x 512"},
	    {"\"num_attention_heads\"", "8", "4",
	     "blk.0.attn_q.weight: I2_S of 512 x 512, but the config requires 256 x 512"},
	    {"\"num_key_value_heads\"", "2", "4",
	     "blk.0.attn_k.weight: I2_S of 128 x 512, but the config requires 256 x 512"},
	};
	struct bd_config c = config_of(0);

	(void)state;
	bd_verify(false); /* not a matter of digests */
	make_dir(&c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n, len = strlen(cases[i].was);

		pack_for(BD_TARGET_BD, BD_GGML_I2_S);
		char *bytes = bd_read_file(file, &n),
		     *at = memmem(bytes, n, cases[i].key, strlen(cases[i].key));
		assert_non_null(at);
		at += strcspn(at, "0123456789");
		assert_memory_equal(at, cases[i].was, len);
		memcpy(at, cases[i].is, len);
		bd_write_file(file, bytes, n);
		child_dies(use, NULL, BD_DATA, cases[i].text);
		bd_free(bytes);
	}
	bd_config_free(&c);
	bd_verify(true);
}

/* Scaled rope and the model that this one comes from, by the keys that other programs read; and read back as
 * another program's. */
static void test_keys(void **state)
{
	static const char *const base[] = {"", ", \"_name_or_path\": \"\"",
	                                   ", \"_name_or_path\": \"some/base\""};
	static const struct {
		const char *rope;
		enum bd_rope_kind kind;
		const char *name;
	} scaled[] = {
	    {", " YARN "}", BD_ROPE_YARN, "yarn"},
	    {", \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4.0}", BD_ROPE_LINEAR, "linear"},
	    {"", BD_ROPE_DEFAULT, NULL},
	};
	const struct bd_layout l = {.target = BD_TARGET_STOCK};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char *more = bd_sprintf("%s%s", scaled[i].rope, base[i]);
		struct bd_config c = config_with(13, more);
		struct bd_gguf *g;

		make_dir(&c);
		pack_for(BD_TARGET_STOCK, BD_GGML_TQ2_0);
		g = bd_gguf_open(file);
		assert_int_equal(bd_gguf_has(g, "general.base_model.count"), i == 2);
		assert_int_equal(bd_gguf_has(g, "general.base_model.0.name"), i == 2);
		if (i == 2)
			assert_string_equal(bd_gguf_str(g, "general.base_model.0.name", NULL), "some/base");
		assert_int_equal(bd_gguf_has(g, "qwen3.rope.scaling.type"), scaled[i].name != NULL);
		if (scaled[i].name != NULL) {
			assert_string_equal(bd_gguf_str(g, "qwen3.rope.scaling.type", NULL), scaled[i].name);
			assert_true(bd_gguf_real(g, "qwen3.rope.scaling.factor") == 4);
		}
		assert_int_equal(bd_gguf_has(g, "qwen3.rope.scaling.original_context_length"),
		                 scaled[i].kind == BD_ROPE_YARN);
		bd_gguf_close(g);
		write_foreign("qwen3", &l, BD_GGML_F32);
		struct bd_net *net = bd_packed_open(file, cpu());
		assert_int_equal(net->cfg.rope.kind, scaled[i].kind);
		if (scaled[i].name != NULL)
			assert_true(net->cfg.rope.factor == 4);
		if (scaled[i].kind == BD_ROPE_YARN)
			assert_true(net->cfg.rope.original == 32);
		bd_net_free(net);
		bd_config_free(&c);
		bd_free(more);
	}
}

/* What files of other programs need not say, and what they must. */
static void test_foreign_keys(void **state)
{
	static const struct {
		const char *key;
		bool needed;
	} keys[] = {
	    {"llama.embedding_length", true},         {"llama.block_count", true},
	    {"llama.feed_forward_length", true},      {"llama.context_length", true},
	    {"llama.attention.head_count", true},     {"llama.attention.layer_norm_rms_epsilon", true},
	    {"llama.attention.head_count_kv", false}, {"llama.attention.key_length", false},
	    {"llama.rope.dimension_count", false},    {"llama.rope.freq_base", false},
	};
	/* every query head has a key/value head, as is so where nothing else is said */
	struct bd_config c = config_with(0, ", \"num_key_value_heads\": 8");
	const struct bd_layout l = {.target = BD_TARGET_STOCK, .norm_in = true};

	(void)state;
	make_dir(&c);
	write_foreign("llama", &l, BD_GGML_F32);
	float *want = logits(bd_packed_open(file, cpu()));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		write_foreign("llama", &l, BD_GGML_F32);
		assert_true(hide_key(keys[i].key));
		if (keys[i].needed) {
			child_dies(use, NULL, BD_DATA, keys[i].key);
		} else {
			float *got = logits(bd_packed_open(file, cpu()));
			assert_memory_equal(got, want, T * V * sizeof(*got));
			bd_free(got);
		}
	}
	bd_free(want);
	bd_config_free(&c);
}

static void test_foreign_refused(void **state)
{
	struct bd_config c = config_of(0);
	const struct bd_layout l = {.target = BD_TARGET_STOCK},
	                       wrong = {.target = BD_TARGET_STOCK, .norm_in = true};

	(void)state;
	make_dir(&c);
	write_foreign("mamba", &l, BD_GGML_F32);
	child_dies(use, NULL, BD_DATA, "architecture \"mamba\"");
	write_foreign("llama", &wrong, BD_GGML_F32);
	use("");
	write_foreign("qwen3", &l, BD_GGML_F32); /* has q and k norms */
	child_dies(use, NULL, BD_DATA, "attn_q_norm.weight is missing");
	bd_config_free(&c);
	c = config_of(13);
	make_dir(&c);
	write_foreign("qwen2", &l, BD_GGML_F32);
	child_dies(use, NULL, BD_DATA, "bias is missing");
	write_foreign("llama", &l, BD_GGML_F32);
	child_dies(use, NULL, BD_DATA, "without the others it would be a different model");
	bd_config_free(&c);
}

/* Changed bytes anywhere, of files of every target: refused or run, never a crash. */
static void test_changed_bytes(void **state)
{
	static const struct {
		size_t config;
		struct attempt try;
	} of[] = {{0, {BD_TARGET_STOCK, BD_GGML_TQ1_0}},
	          {0, {BD_TARGET_IK, BD_GGML_IQ1_BN}},
	          {11, {BD_TARGET_BITNET_CPP, BD_GGML_I2_S}},
	          {17, {BD_TARGET_STOCK, BD_GGML_Q2_0}},
	          {6, {BD_TARGET_STOCK, BD_GGML_TQ2_0}}};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
		struct bd_config c = config_of(of[i].config);
		struct attempt t = of[i].try;
		char *p;
		size_t n;

		make_dir(&c);
		pack(&t);
		p = bd_read_file(file, &n);
		for (uint64_t k = 0; k < 60; k++) {
			size_t at = (size_t)bd_rng_below(6, i, 2 * k, k % 4 == 0 ? n : 8000);
			char was = p[at];
			struct child x;

			p[at] ^= (char)(1 << bd_rng_below(6, i, 2 * k + 1, 8));
			bd_write_file(file, p, k % 10 == 9 ? at : n);
			x = child_run(use, "");
			if (x.signal != 0 || (x.status != BD_OK && x.status != BD_DATA))
				fail_msg("file %zu, byte %zu: exit %d, signal %d: %s", i, at, x.status,
				         x.signal, x.err);
			p[at] = was;
		}
		bd_free(p);
		bd_config_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_promise),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_fold),
	    cmocka_unit_test(test_fold_refused),
	    cmocka_unit_test(test_stock),
	    cmocka_unit_test(test_every_file),
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_foreign),
	    cmocka_unit_test(test_foreign_refused),
	    cmocka_unit_test(test_foreign_keys),
	    cmocka_unit_test(test_unknown_target),
	    cmocka_unit_test(test_wrong_shapes),
	    cmocka_unit_test(test_other_config),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_changed_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
