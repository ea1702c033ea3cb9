/* Configs and checkpoints: both dialects, every spelling, and what must be refused. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "model/ckpt.h"
#include "model/model.h"
#include "model/model_diff.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

static char dir[] = "/tmp/bd-test-model.XXXXXX";

static int set_up(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") != 0)
		return -1;
	bd_remove_tree(dir);
	return 0;
}

#define SHAPE                                                                                                \
	"\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"     \
	"\"intermediate_size\":12,\"vocab_size\":10,\"rms_norm_eps\":1e-5"
#define LLAMA "\"model_type\":\"llama\"," SHAPE
#define QWEN  "\"model_type\":\"qwen3\",\"head_dim\":6," SHAPE

static struct bd_config config(const char *text)
{
	char *all = bd_sprintf("{%s}", text);
	json_t *j = bd_json_parse(all, strlen(all), "test");
	struct bd_config c = bd_config_parse(j, "some/dir/test/");

	json_decref(j);
	bd_free(all);
	return c;
}

static void parse(void *text)
{
	struct bd_config c = config(text);

	bd_config_free(&c);
}

static void same_rope(const struct bd_rope *a, const struct bd_rope *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_true(a->theta == b->theta && a->factor == b->factor && a->low == b->low &&
	            a->high == b->high && a->original == b->original && a->attention == b->attention &&
	            a->truncate == b->truncate);
}

static void same_facts(const struct bd_config *a, const struct bd_config *b)
{
	struct bd_config x = *a, y = *b;

	same_rope(&x.rope, &y.rope);
	same_rope(&x.rope_local, &y.rope_local);
	assert_true(x.eps == y.eps && x.attn_scale == y.attn_scale && x.embed_scale == y.embed_scale);
	assert_int_equal(x.window, y.window);
	assert_int_equal(x.sliding != NULL, y.sliding != NULL);
	if (x.sliding != NULL)
		assert_memory_equal(x.sliding, y.sliding, (size_t)x.layers * sizeof(*x.sliding));
	assert_int_equal(x.act, y.act);
	assert_int_equal(x.post_norms, y.post_norms);
	assert_int_equal(x.gain_offset, y.gain_offset);
	assert_int_equal(x.o_bias, y.o_bias);
	assert_int_equal(x.family, y.family);
	assert_memory_equal(&x.hidden, &y.hidden, 8 * sizeof(int));
	assert_int_equal(x.tied, y.tied);
	assert_int_equal(x.qk_norm, y.qk_norm);
	assert_int_equal(x.attn_bias, y.attn_bias);
	assert_int_equal(x.mlp_bias, y.mlp_bias);
	assert_int_equal(x.ternary, y.ternary);
	assert_int_equal(x.norms, y.norms);
	assert_int_equal(x.special.bos, y.special.bos);
	assert_int_equal(x.special.n_eos, y.special.n_eos);
	assert_memory_equal(x.special.eos, y.special.eos, sizeof(x.special.eos));
}

static void facts(void **state)
{
	struct bd_config c = config(
	    LLAMA ",\"eos_token_id\":[3,4,99],\"bos_token_id\":1,\"mlp_bias\":true,\"attention_bias\":true,"
	          "\"tie_word_embeddings\":true,\"max_position_embeddings\":77,\"head_dim\":null");

	(void)state;
	assert_int_equal(c.family, BD_LLAMA);
	assert_int_equal(c.hidden, 8);
	assert_int_equal(c.layers, 2);
	assert_int_equal(c.heads, 4);
	assert_int_equal(c.kv_heads, 2);
	assert_int_equal(c.head_dim, 2);
	assert_int_equal(c.ffn, 12);
	assert_int_equal(c.vocab, 10);
	assert_int_equal(c.context, 77);
	assert_true(c.eps == 1e-5f && c.rope.theta == 10000);
	assert_true(c.tied && c.attn_bias && c.mlp_bias && !c.qk_norm && !c.ternary);
	assert_int_equal(c.special.n_eos, 2); /* 99 is outside the vocabulary */
	assert_int_equal(c.special.eos[1], 4);
	assert_int_equal(c.special.bos, 1);
	assert_string_equal(c.name, "test");
	bd_config_free(&c);
	c = config(QWEN ",\"eos_token_id\":5,\"bos_token_id\":null,\"mlp_bias\":true");
	assert_true(c.qk_norm && !c.mlp_bias && !c.tied);
	assert_int_equal(c.head_dim, 6);
	assert_int_equal(c.special.bos, -1);
	assert_int_equal(c.special.eos[0], 5);
	bd_config_free(&c);
}

#define QWEN2  "\"model_type\":\"qwen2\"," SHAPE
#define GEMMA  "\"model_type\":\"gemma3_text\",\"head_dim\":6," SHAPE
#define BITNET "\"model_type\":\"bitnet\"," SHAPE
#define TWO_ROPES                                                                                            \
	"\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8.0,\"rope_theta\":"   \
	"1e6},"                                                                                              \
	"\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":3e4}}"

/* What each family's name decides, and its defaults. */
static void families(void **state)
{
	struct bd_config c = config(QWEN2);

	(void)state;
	assert_true(c.attn_bias && !c.o_bias && !c.mlp_bias && !c.qk_norm && !c.post_norms && !c.tied);
	assert_true(c.head_dim == 2 && c.act == BD_SILU && c.window == 0 && c.sliding == NULL);
	assert_true(c.embed_scale == 1 && c.attn_scale == (float)sqrt(0.5) &&
	            c.rope_local.theta == c.rope.theta);
	assert_false(bd_slot_exists(&c, BD_BIAS + BD_LIN_O));
	assert_true(bd_slot_exists(&c, BD_BIAS + BD_LIN_V));
	bd_config_free(&c);
	c = config(GEMMA ",\"query_pre_attn_scalar\":64");
	assert_true(c.qk_norm && c.post_norms && c.gain_offset && c.tied && c.act == BD_GELU_TANH &&
	            !c.attn_bias);
	assert_true(c.attn_scale == 0.125f && c.embed_scale == (float)sqrt(8));
	assert_true(c.rope.theta == 1e6 && c.rope_local.theta == 1e4);
	assert_true(c.window == 4096 && c.sliding[0] && c.sliding[1]); /* the 6th would not */
	bd_config_free(&c);
	c = config(
	    "\"model_type\":\"bitnet\",\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
	    "\"intermediate_size\":12,\"vocab_size\":10,\"attention_bias\":true");
	assert_true(c.norms == BD_NORMS_SUBLN && c.act == BD_RELU2 && c.rope.theta == 5e5 && c.eps == 1e-5f &&
	            c.o_bias);
	assert_true(!c.ternary && !c.gain_offset);
	bd_config_free(&c);
	c = config(BITNET ",\"hidden_act\":\"silu\"");
	assert_true(c.act == BD_SILU);
	bd_config_free(&c);
}

/* Which of three layers slide, as a number in binary, the first layer first; 8: the window. */
static int sliding_of(const char *text)
{
	struct bd_config c = config(text);
	int all = 0;

	for (int i = 0; c.window > 0 && i < c.layers; i++)
		all = 2 * all + c.sliding[i];
	if (c.window > 0)
		assert_int_equal(c.window, 5);
	bd_config_free(&c);
	return all;
}

static void sliding(void **state)
{
#define THREE                                                                                                \
	"\"num_attention_heads\":4,\"intermediate_size\":12,\"vocab_size\":10,\"hidden_size\":8,\"num_"      \
	"hidden_layers\":3,\"sliding_window\":5"
#define TYPES "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\"]"
	(void)state;
	assert_int_equal(sliding_of("\"model_type\":\"gemma3_text\"," THREE), 7);
	assert_int_equal(sliding_of("\"model_type\":\"gemma3_text\"," THREE ",\"sliding_window_pattern\":2"),
	                 5);
	assert_int_equal(sliding_of("\"model_type\":\"gemma3_text\"," THREE ",\"sliding_window_pattern\":1"),
	                 0);
	assert_int_equal(
	    sliding_of("\"model_type\":\"gemma3_text\"," THREE ",\"sliding_window_pattern\":1," TYPES), 5);
	assert_int_equal(sliding_of("\"model_type\":\"qwen2\"," THREE ",\"max_window_layers\":1"), 0);
	assert_int_equal(sliding_of("\"model_type\":\"qwen2\"," THREE
	                            ",\"max_window_layers\":1,\"use_sliding_window\":true"),
	                 3);
	assert_int_equal(sliding_of("\"model_type\":\"qwen3\"," THREE ",\"use_sliding_window\":true"), 0);
	assert_int_equal(sliding_of("\"model_type\":\"qwen3\"," THREE ",\"use_sliding_window\":true," TYPES),
	                 5);
}

/* What is written is read again, whichever of the two dialects the reader knows. */
static void written(void **state)
{
	static const char *const texts[] = {
	    QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":5,\"max_window_layers\":1",
	    LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0,\"mscale\":0.7,\"mscale_all_dim\":1.1,"
	          "\"truncate\":false}",
	    LLAMA
	    ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"beta_fast\":20,\"beta_slow\":2}",
	    GEMMA ",\"sliding_window_pattern\":2,\"sliding_window\":5,\"rope_local_base_freq\":3e4,"
	          "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0}",
	    GEMMA
	    ",\"layer_types\":[\"sliding_attention\",\"full_attention\"],\"sliding_window\":5," TWO_ROPES,
	    GEMMA
	    ",\"layer_types\":[\"full_attention\",\"sliding_attention\"],\"sliding_window\":5," TWO_ROPES,
	    BITNET ",\"attention_bias\":true",
	};
	static const char *const v4[] = {"rope_theta", "rope_scaling", "rope_local_base_freq",
	                                 "sliding_window_pattern"},
	                         *const v5[] = {"rope_parameters", "layer_types"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (int without = 4; without <= 5; without++) {
			struct bd_config a = config(texts[i]), b;
			json_t *j = bd_config_json(&a);

			for (size_t k = 0; k < (without == 4 ? 4 : 2); k++)
				/* no pattern says "full, sliding": there v4 has no words */
				if (i != 5 || without == 4 || k == 0)
					json_object_del(j, without == 4 ? v4[k] : v5[k]);
			b = bd_config_parse(j, "test");
			same_facts(&a, &b);
			json_decref(j);
			bd_config_free(&a);
			bd_config_free(&b);
		}
}

#define LLAMA3                                                                                               \
	"\"factor\":32.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_"          \
	"embeddings\":8192"

static void dialects(void **state)
{
	static const char
	    *const v4[] =
	        {
	            ",\"rope_theta\":5e5,\"rope_scaling\":null",
	            ",\"rope_theta\":5e5,\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}",
	            ",\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\"," LLAMA3 "}",
	        },
	           *const v5[] = {
	               ",\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"default\"}",
	               ",\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"linear\",\"factor\":4.0}",
	               ",\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"llama3\"," LLAMA3 "}",
	           };

	(void)state;
	for (int i = 0; i < 3; i++) {
		char *old = bd_sprintf(LLAMA "%s", v4[i]), *new = bd_sprintf(LLAMA "%s", v5[i]);
		struct bd_config a = config(old), b = config(new);

		assert_int_equal(a.rope.kind, i);
		assert_true(a.rope.theta == 5e5);
		same_facts(&a, &b);
		/* What is written says the same in both dialects: remove one, and read the other. */
		for (int keep = 0; keep < 2; keep++) {
			json_t *j = bd_config_json(&b);

			json_object_del(j, keep ? "rope_theta" : "rope_parameters");
			json_object_del(j, keep ? "rope_scaling" : "");
			struct bd_config c = bd_config_parse(j, "test");
			same_facts(&a, &c);
			bd_config_free(&c);
			json_decref(j);
		}
		bd_config_free(&a);
		bd_config_free(&b);
		bd_free(old);
		bd_free(new);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"\"model_type\":\"gemma2\"," SHAPE,
	     "\"gemma2\" is not supported; supported are: llama, qwen2, qwen3, gemma3_text, bitnet"},
	    {SHAPE, "\"model_type\" is missing"},
	    {"\"model_type\":\"llama\"", "\"hidden_size\" is missing"},
	    {LLAMA ",\"hidden_act\":\"gelu\"", "hidden_act \"gelu\" is not supported"},
	    {LLAMA ",\"pretraining_tp\":2", "pretraining_tp above 1"},
	    {LLAMA ",\"head_dim\":3", "head_dim 3 is odd"},
	    {LLAMA ",\"head_dim\":\"8\"", "\"head_dim\" is not a whole number"},
	    {LLAMA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0}", "\"dynamic\" is not supported"},
	    {LLAMA ",\"rope_parameters\":{\"rope_type\":\"longrope\"}", "\"longrope\" is not supported"},
	    {LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":4.0}",
	     "\"original_max_position_embeddings\" is missing"},
	    {LLAMA ",\"rope_theta\":-1", "\"rope_theta\" is missing or not positive"},
	    {LLAMA ",\"rope_parameters\":{\"rope_theta\":1e4,\"mrope_section\":[1]}", "mrope_section"},
	    {LLAMA "," TWO_ROPES, "must not have entries for full_attention"},
	    {GEMMA ",\"rope_parameters\":{\"rope_theta\":1e4}", "must have entries for full_attention"},
	    {LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0,\"beta_fast\":1,\"beta_slow\":2}",
	     "beta_fast not below"},
	    {LLAMA ",\"rope_scaling\":{\"type\":\"yarn\"}", "\"factor\" is missing"},
	    {GEMMA ",\"use_bidirectional_attention\":true", "use_bidirectional_attention is not supported"},
	    {GEMMA ",\"final_logit_softcapping\":30.0", "logit softcapping is not supported"},
	    {GEMMA ",\"hidden_activation\":\"gelu\"", "hidden_activation \"gelu\" is not supported"},
	    {GEMMA ",\"query_pre_attn_scalar\":0", "\"query_pre_attn_scalar\" is missing or not positive"},
	    {GEMMA ",\"layer_types\":[\"full_attention\"]", "layer_types has 1 entries for 2 layers"},
	    {GEMMA ",\"layer_types\":[\"full_attention\",\"chunked_attention\"]",
	     "layer_types \"chunked_attention\" is not supported"},
	    {GEMMA ",\"layer_types\":[\"full_attention\",3]", "layer_types"},
	    {GEMMA ",\"layer_types\":\"full_attention\"", "layer_types has 0 entries"},
	    {LLAMA ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]",
	     "this family has no sliding attention"},
	    {LLAMA ",\"num_local_experts\":8", "a mixture of experts is not supported"},
	    {"\"model_type\":\"qwen2_moe\"", "\"qwen2_moe\" is not supported"},
	    {"\"model_type\":\"gemma3\"", "save it as gemma3_text"},
	    {BITNET ",\"bitdistill\":{\"norms\":\"all\"}", "but a bitnet model has subln"},
	    {LLAMA ",\"partial_rotary_factor\":0.5", "partial_rotary_factor"},
	    {LLAMA ",\"quantization_config\":{\"quant_method\":\"gptq\"}", "\"gptq\" are not supported"},
	    {LLAMA ",\"eos_token_id\":\"x\"", "eos_token_id is neither"},
	    {QWEN ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]",
	     "use_sliding_window is false"},
	    {LLAMA ",\"bitdistill\":{\"norms\":\"some\"}", "norms \"some\" is not supported"},
	    {LLAMA ",\"bitdistill\":{\"weights\":\"4-bit\"}", "weights \"4-bit\" is not supported"},
	    {LLAMA ",\"bitdistill\":{\"quantizer\":\"other\"}", "quantizer \"other\" is not supported"},
	    {LLAMA ",\"bitdistill\":{\"eps\":1e-8}", "eps differs from rms_norm_eps"},
	    {LLAMA ",\"bitdistill\":[]", "bitdistill is not an object"},
	    {"\"model_type\":\"llama\",\"hidden_size\":7,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
	     "\"intermediate_size\":8,\"vocab_size\":9",
	     "hidden_size 7 cannot be divided into 2 heads"},
	    {"\"model_type\":\"llama\",\"hidden_size\":12,\"num_hidden_layers\":1,\"num_attention_heads\":6,"
	     "\"num_key_value_heads\":4,\"intermediate_size\":8,\"vocab_size\":9",
	     "6 heads cannot be divided among 4"},
	    {"\"model_type\":\"llama\",\"hidden_size\":-8", "\"hidden_size\" is -8"},
	    {"\"model_type\":\"llama\",\"hidden_size\":1e3", "not a whole number"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		child_dies(parse, (void *)(uintptr_t)bad[i].text, BD_DATA, bad[i].why);
}

/* ---- slots ---- */

static void slots(void **state)
{
	struct bd_config c = config(QWEN ",\"attention_bias\":true,\"bitdistill\":{\"norms\":\"subln\"}");
	static const struct {
		enum bd_slot slot;
		size_t rows, cols;
		const char *hf, *gguf;
	} want[] = {
	    {BD_EMBED, 10, 8, "model.embed_tokens.weight", "token_embd.weight"},
	    {BD_ATTN_NORM, 1, 8, "model.layers.1.input_layernorm.weight", "blk.1.attn_norm.weight"},
	    {BD_Q_NORM, 1, 6, "model.layers.1.self_attn.q_norm.weight", "blk.1.attn_q_norm.weight"},
	    {BD_W + BD_LIN_Q, 24, 8, "model.layers.1.self_attn.q_proj.weight", "blk.1.attn_q.weight"},
	    {BD_W + BD_LIN_V, 12, 8, "model.layers.1.self_attn.v_proj.weight", "blk.1.attn_v.weight"},
	    {BD_W + BD_LIN_O, 8, 24, "model.layers.1.self_attn.o_proj.weight", "blk.1.attn_output.weight"},
	    {BD_W + BD_LIN_UP, 12, 8, "model.layers.1.mlp.up_proj.weight", "blk.1.ffn_up.weight"},
	    {BD_W + BD_LIN_DOWN, 8, 12, "model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight"},
	    {BD_SUBLN + BD_LIN_O, 1, 24, "model.layers.1.self_attn.o_proj.norm.weight",
	     "blk.1.attn_sub_norm.weight"},
	    {BD_SUBLN + BD_LIN_DOWN, 1, 12, "model.layers.1.mlp.down_proj.norm.weight",
	     "blk.1.ffn_sub_norm.weight"},
	    {BD_BIAS + BD_LIN_K, 1, 12, "model.layers.1.self_attn.k_proj.bias", "blk.1.attn_k.bias"},
	    {BD_FINAL_NORM, 1, 8, "model.norm.weight", "output_norm.weight"},
	    {BD_HEAD, 10, 8, "lm_head.weight", "output.weight"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		size_t rows, cols;
		char name[128];

		assert_true(bd_slot_exists(&c, want[i].slot));
		bd_slot_shape(&c, want[i].slot, &rows, &cols);
		assert_int_equal(rows, want[i].rows);
		assert_int_equal(cols, want[i].cols);
		bd_slot_name(&c, want[i].slot, 1, name, sizeof(name));
		assert_string_equal(name, want[i].hf);
		bd_slot_gguf_name(want[i].slot, 1, name, sizeof(name));
		assert_string_equal(name, want[i].gguf);
	}
	assert_false(bd_slot_exists(&c, BD_SUBLN + BD_LIN_Q));
	assert_false(bd_slot_exists(&c, BD_BIAS + BD_LIN_UP));
	bd_config_free(&c);
}

/* The families that have another name for a slot. */
static void names(void **state)
{
	static const struct {
		const char *text;
		enum bd_slot slot;
		const char *hf, *gguf;
	} want[] = {
	    {LLAMA, BD_FFN_NORM, "post_attention_layernorm", "ffn_norm"},
	    {GEMMA, BD_FFN_NORM, "pre_feedforward_layernorm", "ffn_norm"},
	    {GEMMA, BD_ATTN_POST, "post_attention_layernorm", "post_attention_norm"},
	    {GEMMA, BD_FFN_POST, "post_feedforward_layernorm", "post_ffw_norm"},
	    {BITNET, BD_SUBLN + BD_LIN_O, "self_attn.attn_sub_norm", "attn_sub_norm"},
	    {BITNET, BD_SUBLN + BD_LIN_DOWN, "mlp.ffn_sub_norm", "ffn_sub_norm"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct bd_config c = config(want[i].text);
		char name[128], *hf = bd_sprintf("model.layers.1.%s.weight", want[i].hf),
		                *gguf = bd_sprintf("blk.1.%s.weight", want[i].gguf);

		assert_true(bd_slot_exists(&c, want[i].slot));
		bd_slot_name(&c, want[i].slot, 1, name, sizeof(name));
		assert_string_equal(name, hf);
		bd_slot_gguf_name(want[i].slot, 1, name, sizeof(name));
		assert_string_equal(name, gguf);
		bd_free(hf);
		bd_free(gguf);
		bd_config_free(&c);
	}
	struct bd_config c = config(LLAMA);
	assert_false(bd_slot_exists(&c, BD_ATTN_POST) || bd_slot_exists(&c, BD_FFN_POST));
	bd_config_free(&c);
}

/* ---- models on disk ---- */

static void save(const struct bd_model *m, const char *path, enum bd_dtype t)
{
	struct bd_outdir *d = bd_outdir_open(path, true);

	bd_model_save(m, bd_outdir_path(d), t, NULL);
	bd_outdir_commit(d);
}

static struct bd_model *make(const char *text)
{
	struct bd_config c = config(text);
	struct bd_model *m = bd_model_new(&c);

	bd_model_init(m, 7);
	for (size_t i = 0; i < m->n_param; i++) /* gains that no default could have put there */
		if (bd_slot_info(m->param[i].slot)->kind == BD_KIND_GAIN)
			for (size_t j = 0; j < m->param[i].cols; j++)
				m->data[m->param[i].off + j] = (float)(i + 1) / 8 + (float)j / 64;
	bd_config_free(&c);
	return m;
}

static void round_trip(void **state)
{
	static const char *const texts[] = {
	    LLAMA ",\"tie_word_embeddings\":true",
	    LLAMA ",\"attention_bias\":true,\"mlp_bias\":true,\"bitdistill\":{\"norms\":\"all\",\"weights\":"
	          "\"ternary\"}",
	    QWEN ",\"bitdistill\":{\"norms\":\"subln\",\"weights\":\"ternary\"},\"kept\":{\"a\":[1,null]}",
	    GEMMA ",\"bitdistill\":{\"norms\":\"subln\",\"weights\":\"ternary\"}",
	    QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":5,\"max_window_layers\":1",
	    BITNET ",\"tie_word_embeddings\":true",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct bd_model *m = make(texts[i]), *back;

		save(m, "a", BD_F32);
		back = bd_model_load("a");
		same_facts(&m->cfg, &back->cfg);
		assert_int_equal(m->n, back->n);
		assert_memory_equal(m->data, back->data, m->n * sizeof(float));
		if (i == 2)
			assert_true(json_equal(json_object_get(m->cfg.json, "kept"),
			                       json_object_get(back->cfg.json, "kept")));
		for (size_t p = 0; p < m->n_param; p++)
			assert_ptr_equal(bd_model_param(m, m->param[p].slot, m->param[p].layer),
			                 &m->param[p]);
		bd_model_free(m);
		save(back, "b", BD_F32);
		bd_model_free(back);
		json_t *d = bd_diff("a", "b");
		assert_true(json_is_true(json_object_get(d, "equal")));
		json_decref(d);
		size_t na, nb;
		char *a = bd_read_file("a/model.safetensors", &na),
		     *b = bd_read_file("b/model.safetensors", &nb);
		assert_int_equal(na, nb);
		assert_memory_equal(a, b, na);
		bd_free(a);
		bd_free(b);
	}
}

/* Gemma's files hold gains minus one, except those of SubLN. */
static void offset_gains(void **state)
{
	struct bd_model *m = make(GEMMA ",\"bitdistill\":{\"norms\":\"subln\"}");
	struct bd_ckpt *k;
	struct bd_st *st;

	(void)state;
	save(m, "a", BD_F32);
	k = bd_ckpt_open("a");
	st = bd_st_open("a");
	for (size_t i = 0; i < m->n_param; i++) {
		const struct bd_param *p = &m->param[i];
		char name[128];
		float file[32], mean[32], less = p->slot >= BD_SUBLN && p->slot < BD_BIAS ? 0 : 1;

		if (bd_slot_info(p->slot)->kind != BD_KIND_GAIN)
			continue;
		bd_slot_name(&m->cfg, p->slot, p->layer, name, sizeof(name));
		bd_st_f32(bd_st_find(st, name), 0, p->cols, file);
		bd_ckpt_vector(k, p->slot, p->layer, mean);
		for (size_t j = 0; j < p->cols; j++)
			assert_true(file[j] == m->data[p->off + j] - less && mean[j] == m->data[p->off + j]);
	}
	bd_st_close(st);
	bd_ckpt_close(k);
	bd_model_free(m);
}

/* Written piece by piece with any number of threads: what init and save make in memory. */
static void random_on_disk(void **state)
{
	struct bd_config c = config(GEMMA);
	struct bd_model *m = bd_model_new(&c);
	size_t na, nb;

	(void)state;
	bd_model_init(m, 3);
	save(m, "a", BD_BF16);
	char *a = bd_read_file("a/model.safetensors", &na);
	for (int threads = 1; threads <= 3; threads++) {
		struct bd_par *par = bd_par_new(threads);
		struct bd_outdir *d = bd_outdir_open("b", true);

		bd_model_save_random(&c, 3, NULL, bd_outdir_path(d), BD_BF16, NULL, par);
		bd_outdir_commit(d);
		char *b = bd_read_file("b/model.safetensors", &nb);
		assert_int_equal(na, nb);
		assert_memory_equal(a, b, na);
		bd_free(b);
		bd_par_free(par);
	}
	bd_free(a);
	bd_model_free(m);
	bd_config_free(&c);
}

static void narrow_types(void **state)
{
	struct bd_model *m = make(LLAMA);

	(void)state;
	save(m, "a", BD_F32);
	for (enum bd_dtype t = BD_F16; t <= BD_BF16; t++) {
		double bound = t == BD_F16 ? 0x1p-11 : 0x1p-8;

		save(m, "b", t);
		struct bd_model *back = bd_model_load("b");
		for (size_t i = 0; i < m->n; i++)
			assert_true(fabs((double)m->data[i] - (double)back->data[i]) <=
			            fabs((double)m->data[i]) * bound + 1e-7);
		assert_true(memcmp(m->data, back->data, m->n * sizeof(float)) != 0);
		bd_model_free(back);
		json_t *d = bd_diff("a", "b");
		assert_false(json_is_true(json_object_get(d, "equal")));
		json_decref(d);
	}
	bd_model_free(m);
}

static void digests(void **state)
{
	struct bd_model *m = make(LLAMA), *a, *b, *c;

	(void)state;
	save(m, "a", BD_F32);
	a = bd_model_load("a");
	assert_int_equal(strlen(a->digest), 32);
	save(a, "b", BD_F32);
	b = bd_model_load("b");
	assert_string_equal(a->digest, b->digest); /* the history differs, the model does not */
	b->data[b->param[3].off] += 1;
	save(b, "c", BD_F32);
	c = bd_model_load("c");
	assert_string_not_equal(a->digest, c->digest);
	assert_string_equal(json_string_value(json_object_get(bd_config_bitdistill(&c->cfg), "parent")),
	                    a->digest);
	bd_model_free(m);
	bd_model_free(a);
	bd_model_free(b);
	bd_model_free(c);
}

static void initial_values(void **state)
{
	struct bd_config c = config(
	    "\"model_type\":\"llama\",\"hidden_size\":128,\"num_hidden_layers\":1,\"num_attention_heads\":4,"
	    "\"intermediate_size\":256,\"vocab_size\":300,\"initializer_range\":0.05,\"mlp_bias\":true");
	struct bd_model *m = bd_model_new(&c), *other = bd_model_new(&c);
	const struct bd_param *p = bd_model_param(m, BD_W + BD_LIN_UP, 0);
	double sum = 0, sum2 = 0, n = (double)(p->rows * p->cols);

	(void)state;
	bd_model_init(m, 1);
	for (size_t i = 0; i < p->rows * p->cols; i++) {
		double x = (double)m->data[p->off + i];

		sum += x;
		sum2 += x * x;
	}
	assert_true(fabs(sum / n) < 5 * 0.05 / sqrt(n));
	assert_true(fabs(sqrt(sum2 / n) / 0.05 - 1) < 5 / sqrt(2 * n));
	for (size_t i = 0; i < 128; i++)
		assert_true(bd_model_data(m, BD_FINAL_NORM, -1)[i] == 1 &&
		            bd_model_data(m, BD_BIAS + BD_LIN_DOWN, 0)[i] == 0);
	bd_model_init(other, 1);
	assert_memory_equal(m->data, other->data, m->n * sizeof(float));
	bd_model_init(other, 2);
	assert_true(memcmp(m->data, other->data, m->n * sizeof(float)) != 0);
	assert_null(bd_model_data(m, BD_Q_NORM, 0));
	bd_model_free(m);
	bd_model_free(other);
	bd_config_free(&c);
}

/* Writes m's tensors with a few names changed or left out ("" as the new name), and the config text. */
static void write_renamed(const struct bd_model *m, const char *text, const char *const *pairs,
                          const json_t *meta)
{
	struct bd_st_writer *w;
	char *all = bd_sprintf("{%s}", text);

	bd_remove_tree("r");
	assert_int_equal(mkdir("r", 0700), 0);
	bd_write_file("r/config.json", all, strlen(all));
	bd_free(all);
	w = bd_st_create("r/model.safetensors", meta);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < m->n_param; i++) {
			const struct bd_param *p = &m->param[i];
			size_t shape[2] = {p->rows, p->cols};
			bool vector = bd_slot_info(p->slot)->kind == BD_KIND_GAIN ||
			              bd_slot_info(p->slot)->kind == BD_KIND_BIAS;
			char name[128];
			const char *as = name;

			bd_slot_name(&m->cfg, p->slot, p->layer, name, sizeof(name));
			for (size_t k = 0; pairs != NULL && pairs[k] != NULL; k += 2)
				if (strcmp(name, pairs[k]) == 0)
					as = pairs[k + 1];
			if (*as == '\0')
				continue;
			if (pass == 0)
				bd_st_declare(w, as, BD_F32, vector ? 1 : 2, vector ? shape + 1 : shape);
			else
				bd_st_data(w, m->data + p->off, p->rows * p->cols * sizeof(float));
		}
	bd_st_finish(w);
}

static void load(void *path)
{
	bd_model_free(bd_model_load(path));
}

#define L0               "model.layers.0."
#define L1               "model.layers.1."
#define RENAME(part, to) L0 part ".norm.weight", L0 to, L1 part ".norm.weight", L1 to

static void aliases(void **state)
{
	static const char *const spelled[][9] = {
	    {NULL},
	    {RENAME("self_attn.o_proj", "self_attn.attn_sub_norm.weight"),
	     RENAME("mlp.down_proj", "mlp.ffn_sub_norm.weight")},
	    {RENAME("self_attn.o_proj", "self_attn.inner_attn_ln.weight"),
	     RENAME("mlp.down_proj", "mlp.ffn_layernorm.weight")},
	    {RENAME("self_attn.o_proj", "self_attn.o_proj.rms_norm.weight"),
	     RENAME("mlp.down_proj", "mlp.down_proj.rms_norm.weight")},
	};
	struct bd_model *m = make(LLAMA ",\"bitdistill\":{\"norms\":\"subln\"}"),
	                *all = make(LLAMA ",\"bitdistill\":{\"norms\":\"all\"}");

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		write_renamed(m, LLAMA, spelled[i], NULL); /* without a bitdistill object: inferred */
		struct bd_model *back = bd_model_load("r");
		assert_int_equal(back->cfg.norms, BD_NORMS_SUBLN);
		assert_memory_equal(m->data, back->data, m->n * sizeof(float));
		bd_model_free(back);
	}
	write_renamed(all, LLAMA, NULL, NULL);
	struct bd_model *back = bd_model_load("r");
	assert_int_equal(back->cfg.norms, BD_NORMS_ALL);
	assert_memory_equal(all->data, back->data, all->n * sizeof(float));
	bd_model_free(back);
	bd_model_free(m);
	bd_model_free(all);
}

static void lost_gains(void **state)
{
	static const char *const none[] = {L0 "self_attn.o_proj.norm.weight",
	                                   "",
	                                   L1 "self_attn.o_proj.norm.weight",
	                                   "",
	                                   L0 "mlp.down_proj.norm.weight",
	                                   "",
	                                   L1 "mlp.down_proj.norm.weight",
	                                   "",
	                                   NULL};
	static const char *const *const half = none + 4;
	static const char *const one[] = {L1 "mlp.down_proj.norm.weight", "", NULL};
	struct bd_model *m = make(LLAMA ",\"bitdistill\":{\"norms\":\"subln\"}");

#undef L0
#undef L1
	(void)state;
	write_renamed(m, LLAMA ",\"bitdistill\":{\"norms\":\"subln\"}", none, NULL);
	child_dies(load, "r", BD_DATA,
	           "bitdistill.norms in config.json is \"subln\", but the tensors have \"none\"");
	write_renamed(m, LLAMA ",\"bitdistill\":{\"norms\":\"none\"}", NULL, NULL);
	child_dies(load, "r", BD_DATA,
	           "bitdistill.norms in config.json is \"none\", but the tensors have \"subln\"");
	write_renamed(m, LLAMA, half, NULL);
	child_dies(load, "r", BD_DATA, "norms before 1 of the 7 linear layers");
	write_renamed(m, LLAMA, one, NULL);
	child_dies(load, "r", BD_DATA, "1 of 2 layers have a norm before");
	bd_model_free(m);
}

static void tied(void **state)
{
	static const char *const as_head[] = {"model.embed_tokens.weight", "lm_head.weight", NULL};
	static const char *const no_head[] = {"lm_head.weight", "", NULL};
	struct bd_model *m = make(LLAMA ",\"tie_word_embeddings\":true"), *untied = make(LLAMA), *back;
	json_t *meta = json_pack("{s:s}", "model.embed_tokens.weight", "lm_head.weight");
	json_t *other = json_pack("{s:s}", "lm_head.weight", "model.embed_tokens.weight");

	(void)state;
	/* the embedding under the head's name, with and without the note in the metadata */
	for (int i = 0; i < 2; i++) {
		write_renamed(m, LLAMA ",\"tie_word_embeddings\":true", as_head, i ? meta : NULL);
		back = bd_model_load("r");
		assert_memory_equal(m->data, back->data, m->n * sizeof(float));
		bd_model_free(back);
	}
	write_renamed(m, LLAMA, NULL, NULL); /* config.json does not say */
	back = bd_model_load("r");
	assert_true(back->cfg.tied);
	bd_model_free(back);
	write_renamed(untied, LLAMA, NULL, NULL);
	back = bd_model_load("r");
	assert_false(back->cfg.tied);
	bd_model_free(back);
	write_renamed(untied, LLAMA ",\"tie_word_embeddings\":false", no_head, other);
	back = bd_model_load("r");
	assert_memory_equal(bd_model_data(back, BD_HEAD, -1), bd_model_data(untied, BD_EMBED, -1),
	                    80 * sizeof(float));
	bd_model_free(back);
	write_renamed(untied, LLAMA ",\"tie_word_embeddings\":false", no_head, NULL);
	child_dies(load, "r", BD_DATA, "tensor lm_head.weight is missing");
	write_renamed(untied, LLAMA ",\"tie_word_embeddings\":true", NULL, NULL);
	assert_non_null(strstr(child_run(load, "r").err, "lm_head.weight differs from the embedding"));
	json_decref(meta);
	json_decref(other);
	bd_model_free(m);
	bd_model_free(untied);
}

static void wrong_tensors(void **state)
{
	static const char *const less[] = {"model.layers.1.mlp.up_proj.weight", "", NULL};
	static const char *const swapped[] = {
	    "model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight",
	    "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.up_proj.weight", NULL};
	static const char *const odd[] = {"model.layers.1.self_attn.q_norm.weight", "model.layers.1.other",
	                                  NULL};
	struct bd_model *m = make(LLAMA), *q = make(QWEN);

	(void)state;
	write_renamed(m, LLAMA, less, NULL);
	child_dies(load, "r", BD_DATA, "tensor model.layers.1.mlp.up_proj.weight is missing");
	write_renamed(m, LLAMA, swapped, NULL);
	child_dies(load, "r", BD_DATA, "its shape is not [12, 8] as config.json requires");
	write_renamed(q, QWEN, odd, NULL);
	child_dies(load, "r", BD_DATA, "q_norm.weight is missing");
	write_renamed(q, LLAMA ",\"head_dim\":6", NULL, NULL); /* q/k norms have no place in a Llama */
	struct child c = child_run(load, "r");
	assert_int_equal(c.status, 0);
	assert_non_null(strstr(c.err, "4 tensors do not belong to a llama model"));
	child_dies(load, "nowhere", BD_DATA, "not a model directory");
	bd_model_free(m);
	bd_model_free(q);
}

static void companions(void **state)
{
	static const char generation[] = "{\"eos_token_id\":[6,7],\"bos_token_id\":2}";
	struct bd_model *m = make(LLAMA ",\"eos_token_id\":3"), *back;
	char *text;

	(void)state;
	save(m, "a", BD_F32);
	bd_write_file("a/generation_config.json", generation, strlen(generation));
	bd_write_file("a/tokenizer.json", "{}", 2);
	bd_write_file("a/README.md", "not ours", 8);
	back = bd_model_load("a");
	assert_int_equal(back->cfg.special.n_eos, 2);
	assert_int_equal(back->cfg.special.eos[1], 7);
	assert_int_equal(back->cfg.special.bos, 2);
	save(back, "b", BD_F32);
	text = bd_read_file("b/tokenizer.json", NULL);
	assert_string_equal(text, "{}");
	bd_free(text);
	assert_true(bd_exists("b/generation_config.json"));
	assert_false(bd_exists("b/README.md"));
	bd_model_free(m);
	bd_model_free(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(facts),
	    cmocka_unit_test(families),
	    cmocka_unit_test(sliding),
	    cmocka_unit_test(dialects),
	    cmocka_unit_test(written),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(slots),
	    cmocka_unit_test(names),
	    cmocka_unit_test(initial_values),
	    cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(offset_gains, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(random_on_disk, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(narrow_types, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(digests, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(aliases, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(lost_gains, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(tied, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(wrong_tensors, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(companions, set_up, tear_down),
	};

	bd_msg_tool("test_model");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
