/* Models as other people save them: what their config.json means, which of their tokens end a text. The
 * values of `ropes` are those of transformers 5.24: AutoConfig.from_pretrained(dir).rope_parameters. */
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/gguf.h"
#include "model/ckpt.h"
#include "model/hf.h"
#include "model/model.h"
#include "model/model_out.h"
#include "net/net_ckpt.h"
#include "run/infer.h"
#include "text/chat.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

static char dir[] = "/tmp/bd-test-others.XXXXXX";

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
	"\"hidden_size\":16,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"intermediate_size\":32,"     \
	"\"vocab_size\":64,\"max_position_embeddings\":256"
#define LLAMA "\"model_type\":\"llama\"," SHAPE
#define GEMMA "\"model_type\":\"gemma3_text\",\"head_dim\":8," SHAPE

static void put(const char *file, const char *text)
{
	bd_write_file(file, text, strlen(text));
}

static struct bd_config config(const char *text)
{
	char *all = bd_sprintf("{%s}", text);
	json_t *j = bd_json_parse(all, strlen(all), "test");
	struct bd_config c = bd_config_parse(j, "test");

	json_decref(j);
	bd_free(all);
	return c;
}

static void parse(void *text)
{
	struct bd_config c = config(text);

	bd_config_free(&c);
}

#define YARN "\"factor\":4.0,\"original_max_position_embeddings\":64"
static const struct {
	const char *text;
	enum bd_rope_kind kind;
	double theta, factor, local;
} ropes[] = {
    {LLAMA ",\"rope_theta\":1e4,\"rope_scaling\":{\"rope_type\":\"yarn\"," YARN
           "},\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":1e4}",
     BD_ROPE_YARN, 1e4, 4, 1e4},
    {LLAMA ",\"rope_theta\":5e5,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0},\"rope_parameters\":{"
           "\"rope_type\":\"default\",\"rope_theta\":5e5}",
     BD_ROPE_LINEAR, 5e5, 2, 5e5},
    {LLAMA ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"rope_theta\":7e5," YARN
           "},\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5}",
     BD_ROPE_YARN, 7e5, 4, 7e5},
    {LLAMA ",\"rope_theta\":1e4,\"rope_scaling\":{\"rope_type\":\"default\"},\"rope_parameters\":{"
           "\"rope_type\":\"yarn\",\"rope_theta\":1e4," YARN "}",
     BD_ROPE_DEFAULT, 1e4, 1, 1e4},
    {LLAMA ",\"rope_theta\":1e4,\"rope_scaling\":{},\"rope_parameters\":{\"rope_type\":\"yarn\","
           "\"rope_theta\":1e4," YARN "}",
     BD_ROPE_YARN, 1e4, 4, 1e4},
    {LLAMA ",\"rope_theta\":1e6,\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5}",
     BD_ROPE_DEFAULT, 5e5, 1, 5e5},
    {GEMMA ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0},\"rope_parameters\":{"
           "\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":3e6},"
           "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":2e4}}",
     BD_ROPE_LINEAR, 3e6, 8, 2e4},
    {GEMMA ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0},\"rope_theta\":2e6,"
           "\"rope_local_base_freq\":2e4",
     BD_ROPE_LINEAR, 2e6, 8, 2e4},
};

static void both_dialects(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ropes) / sizeof(*ropes); i++) {
		struct bd_config c = config(ropes[i].text);

		assert_int_equal(c.rope.kind, ropes[i].kind);
		assert_true(c.rope.theta == ropes[i].theta && c.rope.factor == ropes[i].factor);
		assert_true(c.rope_local.theta == ropes[i].local);
		if (c.family == BD_GEMMA3)
			assert_int_equal(c.rope_local.kind, BD_ROPE_DEFAULT);
		bd_config_free(&c);
	}
}

/* Only 1bitLLM's models have these bits, and only one choice of them is ternary. */
static void bits(void **state)
{
	static const struct {
		const char *text;
		bool ternary;
	} cases[] = {
	    {LLAMA ",\"architectures\":[\"BitnetForCausalLM\"],\"weight_bits\":1,\"input_bits\":8", true},
	    {LLAMA ",\"architectures\":[\"BitnetForCausalLM\"]", true},
	    {LLAMA ",\"weight_bits\":1", true},
	    {LLAMA ",\"architectures\":[\"LlamaForCausalLM\"]", false},
	    {LLAMA ",\"architectures\":[\"BitnetForCausalLM\"],\"weight_bits\":1,"
	           "\"bitdistill\":{\"weights\":\"full\"}",
	     false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_config c = config(cases[i].text);

		assert_int_equal(c.ternary, cases[i].ternary);
		bd_config_free(&c);
	}
}

/* ---- tokens that end a text ---- */

#define TOKENIZER                                                                                            \
	"{\"model\":{\"vocab\":{\"a\":0,\"</s>\":2}},\"added_tokens\":[{\"id\":7,\"content\":\"<|end|>\"},"  \
	"{\"id\":64,\"content\":\"<|far|>\"}]}"

static void ends(void **state)
{
	static const struct {
		const char *config, *generation, *tokenizer, *map; /* NULL: no such file */
		const char *eos;                                   /* as JSON; NULL: none */
		int bos, pad;
	} cases[] = {
	    {"", NULL, "{\"eos_token\":\"<|end|>\",\"model_max_length\":1000000000000000019884624838656}",
	     NULL, "7", -1, -1},
	    {"", NULL, "{\"eos_token\":{\"content\":\"</s>\",\"lstrip\":false}}", NULL, "2", -1, -1},
	    {"", NULL, "{}", "{\"eos_token\":{\"content\":\"<|end|>\"}}", "7", -1, -1},
	    {"", "{\"eos_token_id\":[3,4]}", "{\"eos_token\":\"<|end|>\"}", NULL, "[3,4]", -1, -1},
	    {",\"eos_token_id\":5,\"bos_token_id\":1,\"pad_token_id\":-1", "{\"pad_token_id\":6}", NULL, NULL,
	     "5", 1, 6},
	    {",\"eos_token_id\":5", "{\"eos_token_id\":[9,9,8]}", NULL, NULL, "[9,8]", -1, -1},
	    {",\"eos_token_id\":-1", NULL, "{\"eos_token\":\"</s>\"}", NULL, "2", -1, -1},
	    {",\"eos_token_id\":[],\"bos_token_id\":-1", NULL, NULL, NULL, NULL, -1, -1},
	    /* never a token: not cast, but left out */
	    {",\"eos_token_id\":[-5,4294967298,64,3],\"bos_token_id\":64,\"pad_token_id\":4294967296", NULL,
	     NULL, NULL, "3", -1, -1},
	    {"", NULL, "{\"eos_token\":\"<|far|>\"}", NULL, NULL, -1, -1},
	    {"", NULL, "{\"eos_token\":\"unheard of\"}", NULL, NULL, -1, -1},
	};

	(void)state;
	put("tokenizer.json", TOKENIZER);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *const file[3] = {"generation_config.json", "tokenizer_config.json",
		                             "special_tokens_map.json"},
		                  *const text[3] = {cases[i].generation, cases[i].tokenizer, cases[i].map};
		char *all = bd_sprintf("{" LLAMA "%s}", cases[i].config), *eos;
		json_t *j;

		put("config.json", all);
		for (size_t f = 0; f < 3; f++)
			if (text[f] != NULL)
				put(file[f], text[f]);
			else
				unlink(file[f]);
		struct bd_config c = bd_config_load(dir);
		j = bd_special_eos_json(&c.special);
		eos = j != NULL ? bd_json_text(j, false) : NULL;
		assert_int_equal(eos != NULL, cases[i].eos != NULL);
		if (eos != NULL)
			assert_string_equal(eos, cases[i].eos);
		assert_int_equal(c.special.bos, cases[i].bos);
		assert_int_equal(c.special.pad, cases[i].pad);
		json_decref(j);
		/* what is written says so to readers that look into config.json only */
		j = bd_config_json(&c);
		struct bd_config again = bd_config_parse(j, "again");
		assert_int_equal(again.special.n_eos, c.special.n_eos);
		assert_memory_equal(again.special.eos, c.special.eos, sizeof(c.special.eos));
		json_decref(j);
		bd_config_free(&again);
		bd_config_free(&c);
		bd_free(eos);
		bd_free(all);
	}
}

/* ---- tensors and files ---- */

/* A random model in `m`, whose tensors are then written again under other names: s/from/to/ in each, and
 * `without` is left out. */
static void renamed(const char *config_text, const char *from, const char *to, const char *without)
{
	struct bd_config c = config(config_text);

	bd_remove_tree("m");
	assert_int_equal(mkdir("m", 0755), 0);
	bd_model_save_random(&c, 1, NULL, "m", BD_F32, NULL, NULL);
	bd_config_free(&c);
	struct bd_st *s = bd_st_open("m");
	struct bd_st_writer *w = bd_st_create("other.safetensors", NULL);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < bd_st_count(s); i++) {
			const struct bd_st_tensor *t = bd_st_at(s, i);
			bool fits = strncmp(t->name, from, strlen(from)) == 0;
			char *name =
			    fits ? bd_sprintf("%s%s", to, t->name + strlen(from)) : bd_strdup(t->name);

			if (strcmp(t->name, without) != 0 && pass == 0)
				bd_st_declare(w, name, t->dtype, t->ndim, t->shape);
			else if (strcmp(t->name, without) != 0)
				bd_st_data(w, t->data, t->bytes);
			bd_free(name);
		}
	bd_st_finish(w);
	bd_st_close(s);
	assert_int_equal(rename("other.safetensors", "m/model.safetensors"), 0);
}

static void open_model(void *path)
{
	bd_ckpt_close(bd_ckpt_open(path));
}

#define TIED LLAMA ",\"tie_word_embeddings\":true"

/* The digest says that it is the same model, whatever its names. */
static void names(void **state)
{
	static const char *const prefix[] = {"", "language_model.model.", "model.language_model.",
	                                     "language_model."};
	char digest[64];

	(void)state;
	renamed(TIED, "model.", "model.", "");
	struct bd_ckpt *k = bd_ckpt_open("m");
	snprintf(digest, sizeof(digest), "%s", bd_ckpt_digest(k));
	bd_ckpt_close(k);
	for (size_t i = 0; i < sizeof(prefix) / sizeof(*prefix); i++) {
		renamed(TIED, "model.", prefix[i], "");
		k = bd_ckpt_open("m");
		assert_string_equal(bd_ckpt_digest(k), digest);
		bd_ckpt_close(k);
	}
	renamed(LLAMA ",\"tie_word_embeddings\":false", "lm_head.", "language_model.lm_head.", "");
	bd_ckpt_close(bd_ckpt_open("m"));
	renamed(LLAMA ",\"tie_word_embeddings\":false", "model.", "", "lm_head.weight");
	child_dies(open_model, "m", BD_DATA,
	           "tensor lm_head.weight is missing; there are 11 others, such as ");
	renamed(TIED, "model.", "transformer.", "");
	child_dies(open_model, "m", BD_DATA,
	           "model.embed_tokens.weight is missing; there are 11 others, such as transformer.");
	renamed(TIED, "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.qweight", "");
	child_dies(open_model, "m", BD_DATA,
	           "it has model.layers.0.mlp.up_proj.qweight instead (GPTQ or AWQ)");
}

/* The index may list more than the model needs, and less is told by whom it was promised. */
static void indices(void **state)
{
	static const char *const surplus[] = {"lm_head.weight", "model.layers.1.input_layernorm.weight",
	                                      "model.mtp.norm.weight"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		renamed(TIED, "model.", "model.", "");
		assert_int_equal(rename("m/model.safetensors", "m/a.safetensors"), 0);
		char *text =
		    bd_sprintf("{\"weight_map\":{\"model.norm.weight\":\"a.safetensors\",\"%s\":\"%s\"}}",
		               surplus[i], i == 1 ? "b.safetensors" : "a.safetensors");
		put("m/model.safetensors.index.json", text);
		bd_ckpt_close(bd_ckpt_open("m"));
		bd_free(text);
	}
	renamed(TIED, "model.", "model.", "model.norm.weight");
	assert_int_equal(rename("m/model.safetensors", "m/a.safetensors"), 0);
	put("m/model.safetensors.index.json",
	    "{\"weight_map\":{\"model.embed_tokens.weight\":\"a.safetensors\","
	    "\"model.norm.weight\":\"b.safetensors\"}}");
	child_dies(
	    open_model, "m", BD_DATA,
	    "model.norm.weight is missing: the index names b.safetensors, which is absent; download it");
}

#define POINTER "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"

static void open_gguf(void *path)
{
	bd_gguf_close(bd_gguf_open(path));
}

static void read_json(void *path)
{
	json_decref(bd_json_load(path));
}

static void read_chat(void *path)
{
	bd_free(bd_chat_source(path));
}

/* Every file of a model, taken for what it is. */
static void kinds(void **state)
{
	static const struct {
		const char *text, *what;
	} cases[] = {
	    {POINTER, "a Git LFS pointer, not the file itself; run git lfs pull"},
	    {" \n<!DOCTYPE html><html>", "a web page, not the file itself"},
	    {"<HTML>Log in", "a web page, not the file itself"},
	    {"<?xml version=\"1.0\"?><Error>", "an XML text"},
	    {"\x80\x02}q\x01.", "a pickle (PyTorch)"},
	    {"PK\3\4archive/data.pkl", "a ZIP archive, as PyTorch saves"},
	    {"\x1f\x8b\x08", "compressed by gzip"},
	    {"\x89HDF\r\n", "an HDF5 file"},
	    {"", "empty"},
	};

	(void)state;
	renamed(TIED, "model.", "model.", "");
	assert_int_equal(rename("m/model.safetensors", "whole"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put("m/model.safetensors", cases[i].text);
		child_dies(open_model, "m", BD_DATA, cases[i].what);
		child_dies(open_gguf, "m/model.safetensors", BD_DATA, cases[i].what);
		if (*cases[i].text == '\0')
			continue;
		child_dies(read_json, "m/model.safetensors", BD_DATA, cases[i].what);
		put("m/chat_template.jinja", cases[i].text);
		child_dies(read_chat, "m", BD_DATA, cases[i].what);
	}
	child_dies(open_gguf, "whole", BD_DATA, "a safetensors file; give the directory");
	child_dies(open_gguf, "m/config.json", BD_DATA, "a JSON text");
	put("m/model.safetensors", "{\"error\":\"not found\"}");
	child_dies(open_model, "m", BD_DATA, "a JSON text");
	put("m/model.safetensors", "GGUF\3");
	child_dies(open_model, "m", BD_DATA, "a GGUF file; give it to bd-run");
}

/* Directories of something else. */
static void directories(void **state)
{
	static const struct {
		const char *file, *what;
	} cases[] = {
	    {"adapter_config.json", "adapter_config.json is a LoRA adapter, not a model"},
	    {"adapter_model.safetensors", "adapter_model.safetensors is a LoRA adapter, not a model"},
	    {"pytorch_model-00001-of-00002.bin", "is a pickle (PyTorch)"},
	    {"consolidated.00.pth", "is a pickle (PyTorch)"},
	    {"model-q4.gguf", "model-q4.gguf is a GGUF file"},
	    {"tf_model.h5", "is a TensorFlow model"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		char *path = bd_path("d", cases[i / 2].file);

		bd_remove_tree("d");
		assert_int_equal(mkdir("d", 0755), 0);
		put(path, "{}");
		put("d/z.onnx", "less telling");
		if (i % 2 == 1)
			put("d/config.json", "{" TIED "}");
		child_dies(open_model, "d", BD_DATA, cases[i / 2].what);
		bd_free(path);
	}
}

/* Only regular files are read, and a link may lead to one. */
static void bounds(void **state)
{
	static const char *const files[] = {"config.json", "generation_config.json", "tokenizer_config.json",
	                                    "model.safetensors"};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		for (int kind = 0; kind < 3; kind++) {
			char *path = bd_path("m", files[i]);

			renamed(TIED, "model.", "model.", "");
			unlink("m/" BD_DIGESTS);
			unlink(path);
			if (kind == 0)
				assert_int_equal(mkfifo(path, 0644), 0);
			else
				assert_int_equal(symlink(kind == 1 ? "/dev/zero" : "/dev/tty", path), 0);
			child_dies(open_model, "m", BD_DATA, kind < 2 ? "not a regular file" : "");
			bd_free(path);
		}
	renamed(TIED, "model.", "model.", "");
	unlink("m/" BD_DIGESTS);
	assert_int_equal(rename("m/model.safetensors", "blob"), 0);
	assert_int_equal(symlink("../blob", "m/model.safetensors"), 0);
	bd_ckpt_close(bd_ckpt_open("m"));
	put("large", "{}");
	assert_int_equal(truncate("large", (128 << 20) + 1), 0);
	child_dies(read_json, "large", BD_DATA, "a file of this kind may have 128 MiB");
}

static void copy(void *from)
{
	bd_model_out_companions(from, "to");
}

/* Writes a number over the first of a tensor's. */
static void spoil(const char *tensor, float x)
{
	struct bd_st *s = bd_st_open("m");
	const struct bd_st_tensor *t = bd_st_find(s, tensor);
	struct bd_map m = bd_map_file("m/model.safetensors");
	unsigned char *copy = bd_alloc(m.n, 1);
	size_t after = 0;

	assert_non_null(t);
	memcpy(copy, m.p, m.n);
	for (size_t i = 0; i < bd_st_count(s); i++) /* the tensors fill the end of the file */
		after +=
		    (const char *)bd_st_at(s, i)->data >= (const char *)t->data ? bd_st_at(s, i)->bytes : 0;
	memcpy(copy + m.n - after, &x, sizeof(x));
	bd_write_file("m/model.safetensors", copy, m.n);
	bd_free(copy);
	bd_unmap(&m);
	bd_st_close(s);
}

static void load(void *dir_)
{
	bd_model_free(bd_model_load(dir_));
}

static void run(void *dir_)
{
	struct bd_dev *dev = bd_dev_threads(2);

	bd_net_free(bd_net_from_ckpt(bd_ckpt_open(dir_), dev, true));
	bd_dev_close(dev);
}

static void run_dense(void *dir_)
{
	struct bd_dev *dev = bd_dev_threads(2);

	bd_net_free(bd_net_from_ckpt(bd_ckpt_open(dir_), dev, false));
	bd_dev_close(dev);
}

static void export_(void *dir_)
{
	bd_hf_write(dir_, "out", &(struct bd_hf_opt){.form = BD_HF_ONLINE, .dtype = BD_F32, .force = true});
}

/* However a model is loaded, the tensor with a NaN or an infinity is named. */
static void not_finite(void **state)
{
	static const char *const tensor[] = {"model.embed_tokens.weight",
	                                     "model.norm.weight",
	                                     "model.layers.0.self_attn.q_proj.weight",
	                                     "model.layers.0.self_attn.q_proj.bias",
	                                     "model.layers.0.mlp.down_proj.weight",
	                                     "lm_head.weight"};
	void (*const way[])(void *) = {load, run, run_dense, export_};

	(void)state;
	for (size_t i = 0; i < sizeof(tensor) / sizeof(*tensor); i++)
		for (size_t w = 0; w < sizeof(way) / sizeof(*way); w++) {
			char *message =
			    bd_sprintf("tensor %s has NaN or infinite weights, first in row 0", tensor[i]);

			renamed(LLAMA ",\"tie_word_embeddings\":false,\"attention_bias\":true", "model.",
			        "model.", "");
			way[w]("m");
			spoil(tensor[i], w % 2 == 0 ? NAN : -INFINITY);
			child_dies(way[w], "m", BD_DATA, message);
			bd_free(message);
		}
}

static void answer(void *dir_)
{
	struct bd_dev *dev = bd_dev_threads(1);
	struct bd_infer *m = bd_infer_open(dir_, dev, false);
	struct bd_seq *s = bd_seq_new(m, 4);
	const uint32_t id[] = {1, 2};

	bd_seq_feed(s, id, 2);
	bd_seq_free(s);
	bd_infer_close(m);
	bd_dev_close(dev);
}

/* Finite weights whose product is not. */
static void overflow(void **state)
{
	(void)state;
	renamed(LLAMA ",\"tie_word_embeddings\":false", "model.", "model.", "");
	answer("m");
	spoil("model.norm.weight", 3e38f);
	spoil("lm_head.weight", 3e38f);
	child_dies(answer, "m", BD_DATA, "m: computes logits that are NaN or infinite");
}

/* A companion is copied from where its link leads, with a warning unless that belongs to the model. */
static void links(void **state)
{
	static const struct {
		const char *dir, *to;
		bool warned;
	} cases[] = {
	    {"real", "../private", true},
	    {"real", "sub/file", false},
	    {"models--x--y/snapshots/rev", "../../blobs/file", false},
	    {"models--x--y/snapshots/rev", "../../../private", true},
	    {"models--x--y/rev", "../blobs/file", true},
	};

	(void)state;
	put("private", "{}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *command =
		    bd_sprintf("rm -rf real models--x--y to; mkdir -p real/sub to models--x--y/blobs %s && "
		               "touch real/sub/file models--x--y/blobs/file && ln -s %s %s/merges.txt",
		               cases[i].dir, cases[i].to, cases[i].dir);
		assert_int_equal(system(command), 0);
		struct child c = child_run(copy, (void *)cases[i].dir);
		assert_int_equal(c.status, 0);
		assert_int_equal(strstr(c.err, "outside the model's directory") != NULL, cases[i].warned);
		assert_true(bd_exists("to/merges.txt"));
		bd_free(command);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
	    {LLAMA ",\"rope_scaling\":{\"rope_type\":\"yarn\"," YARN
	           "},\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5}",
	     "rope_scaling takes the place of rope_parameters, with which rope_theta 500000 would be lost"},
	    {LLAMA ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"type\":\"linear\"," YARN "}",
	     "rope_type \"yarn\" and type \"linear\" of the same rope differ"},
	    {LLAMA ",\"rope_scaling\":[4.0]", "\"rope_scaling\" is not an object"},
	    {LLAMA ",\"rope_scaling\":{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":2.0}}",
	     "rope_scaling must not have entries"},
	    {LLAMA ",\"weight_bits\":4", "weight_bits 4 with input_bits 8 is not supported"},
	    {LLAMA ",\"architectures\":[\"BitnetForCausalLM\"],\"input_bits\":4",
	     "weight_bits 1 with input_bits 4 is not supported"},
	    {LLAMA ",\"eos_token_id\":1.5", "eos_token_id is neither a whole number nor a list"},
	    {LLAMA ",\"eos_token_id\":true", "eos_token_id is neither a whole number nor a list"},
	    {LLAMA ",\"eos_token_id\":\"2\"", "eos_token_id is neither a whole number nor a list"},
	    {LLAMA ",\"eos_token_id\":[[2]]", "eos_token_id is neither a whole number nor a list"},
	    {LLAMA ",\"bos_token_id\":false", "bos_token_id is neither a whole number"},
	    {LLAMA ",\"pad_token_id\":0.5", "pad_token_id is neither a whole number"},
	    {LLAMA ",\"eos_token_id\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]",
	     "more than 16 tokens end a text"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		child_dies(parse, (void *)cases[i].text, BD_DATA, cases[i].message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_dialects),
	    cmocka_unit_test(bits),
	    cmocka_unit_test_setup_teardown(ends, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(names, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(indices, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(kinds, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(directories, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(bounds, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(links, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(not_finite, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(overflow, set_up, tear_down),
	    cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
