/* Models as other people save them: what their config.json means, which of their tokens end a text. The
 * values of `ropes` are those of transformers 5.24: AutoConfig.from_pretrained(dir).rope_parameters. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "model/config.h"

#include <stdlib.h>

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
	    cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
