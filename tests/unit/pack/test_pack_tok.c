/* The tokenizer's keys in a packed file as other programs read them: from the vocabulary and the merges of
 * tokenizer.json, without the library's tokenizer. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/gguf.h"
#include "pack/pack_tok.h"
#include "text/tokenizer.h"

#include <stdlib.h>

enum { MORE = 3 }; /* ids of the model beyond the tokenizer's */

static char dir[] = "/tmp/bd-test-pack-tok.XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	bd_remove_tree(dir);
	return 0;
}

static void put(const char *name, const char *text, size_t n)
{
	char *path = bd_path(dir, name);

	bd_write_file(path, text, n);
	bd_free(path);
}

/* The keys for a golden tokenizer in a model with a vocabulary of V and these members of its config. */
static struct bd_gguf *packed(const char *golden, size_t V, const char *config, const char *tokenizer_config)
{
	size_t n;
	char *from = bd_sprintf("tests/golden/tok-%s.json", golden), *text = bd_read_file(from, &n),
	     *path = bd_path(dir, "packed.gguf"),
	     *model =
	         bd_sprintf("{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 1,"
	                    " \"num_attention_heads\": 2, \"intermediate_size\": 64, \"vocab_size\": %zu%s}",
	                    V, config);
	json_t *j = bd_json_parse(model, strlen(model), "test");
	struct bd_config c = bd_config_parse(j, "test");

	put("tokenizer.json", text, n);
	put("tokenizer_config.json", tokenizer_config, strlen(tokenizer_config));
	bd_special_dir(&c.special, dir, V);
	struct bd_gguf_writer *w = bd_gguf_create(path);
	bd_pack_tokenizer(w, dir, &c, NULL);
	bd_gguf_finish(w);
	struct bd_gguf *g = bd_gguf_open(path);
	bd_config_free(&c);
	json_decref(j);
	bd_free(model);
	bd_free(path);
	bd_free(text);
	bd_free(from);
	return g;
}

/* The value of a key as people see it; NULL without it. */
static const char *shown(const struct bd_gguf *g, const char *key)
{
	static char value[80];

	for (size_t i = 0; i < bd_gguf_keys(g); i++)
		if (strcmp(bd_gguf_key_at(g, i), key) == 0) {
			char *text = bd_gguf_show(g, i, sizeof(value) - 1);

			snprintf(value, sizeof(value), "%s", text);
			bd_free(text);
			return value;
		}
	return NULL;
}

static void says(const struct bd_gguf *g, const char *key, const char *want)
{
	char *name = bd_sprintf("tokenizer.ggml.%s", key);
	const char *got = shown(g, name);

	if ((got == NULL) != (want == NULL) || (want != NULL && strcmp(got, want) != 0))
		fail_msg("%s: %s, not %s", name, got != NULL ? got : "absent",
		         want != NULL ? want : "absent");
	bd_free(name);
}

/* ---- what is wanted, from the JSON alone ---- */

struct token {
	const char *text;
	int32_t type;
	float score;
};

/* Text, kind and score of each id below V; the score of a token that merge i makes is -i, of others minus the
 * number of merges, and 0 of what is no word. */
static struct token *tokens_of(const json_t *j, size_t V, bool pieces)
{
	struct token *t = bd_zalloc(V, sizeof(*t));
	const json_t *model = json_object_get(j, "model"), *vocab = json_object_get(model, "vocab"),
	             *merges = json_object_get(model, "merges"), *added = json_object_get(j, "added_tokens");
	const char *text;
	json_t *v;
	size_t i;

	for (i = 0; i < V; i++)
		t[i].type = 5;
	json_object_foreach((json_t *)(uintptr_t)vocab, text, v) {
		bool byte = pieces && strlen(text) == 6 && memcmp(text, "<0x", 3) == 0;

		t[json_integer_value(v)] =
		    (struct token){text, byte ? 6 : 1, byte ? 0 : -(float)json_array_size(merges)};
	}
	json_array_foreach(added, i, v) {
		text = json_string_value(json_object_get(v, "content"));
		t[json_integer_value(json_object_get(v, "id"))] =
		    (struct token){text,
		                   pieces && strcmp(text, "<unk>") == 0          ? 2
		                   : json_is_true(json_object_get(v, "special")) ? 3
		                                                                 : 4,
		                   0};
	}
	for (i = json_array_size(merges); i-- > 0;) {
		v = json_array_get(merges, i);
		char *both = bd_sprintf("%s%s", json_string_value(json_array_get(v, 0)),
		                        json_string_value(json_array_get(v, 1)));
		if (json_is_array(v))
			t[json_integer_value(json_object_get(vocab, both))].score = -(float)i;
		bd_free(both);
	}
	return t;
}

static void test_tokens(void **state)
{
	static const struct {
		const char *golden, *model, *space; /* whether a text gets a space in front */
	} cases[] = {
	    {"spm", "llama", "true"},      {"metaspace", "llama", "true"}, {"gemma", "llama", "false"},
	    {"unfused", "llama", "false"}, {"bytes", "gpt2", NULL},        {"llama3", "gpt2", NULL},
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		bool pieces = strcmp(cases[k].model, "llama") == 0;
		char *path = bd_sprintf("tests/golden/tok-%s.json", cases[k].golden);
		json_t *j = bd_json_load(path), *model = json_object_get(j, "model"),
		       *merges = json_object_get(model, "merges"), *v;
		size_t V = json_object_size(json_object_get(model, "vocab")) + MORE, i;
		const void *text, *kind, *score;
		uint32_t type;

		json_array_foreach(json_object_get(j, "added_tokens"), i, v)
			if (json_integer_value(json_object_get(v, "id")) >= (json_int_t)(V - MORE))
				V = (size_t)json_integer_value(json_object_get(v, "id")) + 1 + MORE;
		struct token *want = tokens_of(j, V, pieces);
		struct bd_gguf *g = packed(cases[k].golden, V, "", "{}");
		says(g, "model", cases[k].model);
		says(g, "add_space_prefix", cases[k].space);
		says(g, "add_eos_token", "false");
		assert_int_equal(bd_gguf_array(g, "tokenizer.ggml.tokens", &type, &text), V);
		assert_int_equal(bd_gguf_array(g, "tokenizer.ggml.token_type", &type, &kind), V);
		assert_int_equal(bd_gguf_has(g, "tokenizer.ggml.scores"), pieces);
		if (pieces)
			assert_int_equal(bd_gguf_array(g, "tokenizer.ggml.scores", &type, &score), V);
		for (i = 0; i < V; i++) {
			char pad[32];

			snprintf(pad, sizeof(pad), "[PAD%zu]", i);
			assert_string_equal(((const char *const *)text)[i],
			                    want[i].text != NULL ? want[i].text : pad);
			if (((const int32_t *)kind)[i] != want[i].type ||
			    (pieces && ((const float *)score)[i] != want[i].score))
				fail_msg("%s: %s: kind %d, not %d", cases[k].golden, want[i].text,
				         ((const int32_t *)kind)[i], want[i].type);
		}
		assert_int_equal(bd_gguf_has(g, "tokenizer.ggml.merges"), !pieces);
		if (!pieces) {
			assert_int_equal(bd_gguf_array(g, "tokenizer.ggml.merges", &type, &text),
			                 json_array_size(merges));
			json_array_foreach(merges, i, v)
				assert_string_equal(((const char *const *)text)[i], json_string_value(v));
		}
		bd_gguf_close(g);
		bd_free(want);
		bd_free(path);
		json_decref(j);
	}
}

/* The config's ids go before those that tokenizer_config.json names; ids outside the vocabulary are left
 * out. */
static void test_specials(void **state)
{
	static const struct {
		const char *config, *tokenizer_config, *bos, *eos, *pad, *unk;
	} cases[] = {
	    {"", "{}", "1", NULL, NULL, NULL},
	    {"",
	     "{\"eos_token\": \"</s>\", \"pad_token\": {\"content\": \"<pad>\"}, \"unk_token\": \"<unk>\"}",
	     "1", "2", "3", "0"},
	    {", \"bos_token_id\": 4, \"eos_token_id\": [7, 8], \"pad_token_id\": 9",
	     "{\"eos_token\": \"</s>\", \"pad_token\": \"<pad>\", "
	     "\"model_max_length\": "
	     "1000000000000000019884624838656}",
	     "4", "7", "9", NULL},
	    {", \"pad_token_id\": 368",
	     "{\"eos_token\": \"nothing\", \"model_max_length\": 1000000000000000019884624838656}", "1", NULL,
	     NULL, NULL},
	    {", \"pad_token_id\": 367", "{}", "1", NULL, "367", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_gguf *g = packed("spm", 368, cases[i].config, cases[i].tokenizer_config);

		says(g, "bos_token_id", cases[i].bos);
		says(g, "eos_token_id", cases[i].eos);
		says(g, "padding_token_id", cases[i].pad);
		says(g, "unknown_token_id", cases[i].unk);
		says(g, "add_bos_token", "true");
		bd_gguf_close(g);
	}
	struct bd_gguf *g = packed("bytes", 364, "", "{\"eos_token\": \"<|end|>\"}");
	says(g, "bos_token_id", NULL);
	says(g, "eos_token_id", "362");
	says(g, "add_bos_token", "false");
	bd_gguf_close(g);
}

/* ---- read back as another program's ---- */

/* The bytes `from` become `to`, of the same length, in the file packed last. */
static void hide(const char *from, const char *to)
{
	char *path = bd_path(dir, "packed.gguf"), *p;
	struct bd_map m = bd_map_file(path);
	char *copy = bd_alloc(m.n, 1);

	memcpy(copy, m.p, m.n);
	p = memmem(copy, m.n, from, strlen(from));
	assert_non_null(p);
	memcpy(p, to, strlen(to));
	bd_write_file(path, copy, m.n);
	bd_unmap(&m);
	bd_free(copy);
	bd_free(path);
}

/* The ids are those of the library `tokenizers`, although its tokenizer.json is not there. */
static void test_rebuilt(void **state)
{
	static const char *const golden[] = {"bytes", "digits", "llama3", "o200k", "spm"};

	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(*golden); i++) {
		char *file = bd_sprintf("tests/golden/tok-%s.cases.json", golden[i]), *why = NULL;
		json_t *list = bd_json_load(file), *c;
		size_t k, j, tested = 0;

		bd_gguf_close(packed(golden[i], 600, "", "{}"));
		hide("tokenizer.huggingface.json", "tokenizer.huggingfaceXjson");
		char *path = bd_path(dir, "packed.gguf");
		struct bd_gguf *g = bd_gguf_open(path);
		struct bd_tok *t = bd_tok_gguf(g, &why);
		assert_non_null(t);
		assert_true(bd_tok_rebuilt(t));
		json_array_foreach(list, k, c) {
			const char *text = json_string_value(json_object_get(c, "text"));
			json_t *want = json_object_get(c, "ids");
			struct bd_ids ids = {0};

			/* GGUF does not say which added tokens take spaces with them, or are normalised */
			if (strstr(text, "<mask>") != NULL || strstr(text, "<pad>") != NULL)
				continue;
			tested++;
			bd_tok_encode(t, text, json_string_length(json_object_get(c, "text")), BD_TOK_BOS,
			              &ids);
			assert_int_equal(ids.n, json_array_size(want));
			for (j = 0; j < ids.n; j++)
				assert_int_equal(ids.id[j], json_integer_value(json_array_get(want, j)));
			bd_ids_free(&ids);
		}
		assert_true(tested > 50);
		bd_tok_free(t);
		bd_gguf_close(g);
		json_decref(list);
		bd_free(path);
		bd_free(file);
	}
}

/* A file of nothing but a tokenizer; "" leaves a key out. */
static struct bd_gguf *foreign(const char *model, const char *pre, bool merges, int types)
{
	static const char *const token[] = {"1", "a", "11", "111", "<|begin_of_text|>", "[PAD5]"},
	                         *const merge[] = {"1 1", "11 1"};
	static const int32_t type[] = {1, 1, 1, 1, 3, 5};
	char *path = bd_path(dir, "packed.gguf");
	struct bd_gguf_writer *w = bd_gguf_create(path);

	bd_gguf_put_str(w, "general.architecture", "llama");
	if (*model != '\0')
		bd_gguf_put_str(w, "tokenizer.ggml.model", model);
	if (*pre != '\0')
		bd_gguf_put_str(w, "tokenizer.ggml.pre", pre);
	bd_gguf_put_strs(w, "tokenizer.ggml.tokens", token, types < 0 ? 4 : 6);
	if (merges)
		bd_gguf_put_strs(w, "tokenizer.ggml.merges", merge, 2);
	if (types > 0)
		bd_gguf_put_i32s(w, "tokenizer.ggml.token_type", type, (size_t)types);
	bd_gguf_finish(w);
	struct bd_gguf *g = bd_gguf_open(path);
	bd_free(path);
	return g;
}

/* What keeps digits together: nothing, three of them, one. */
static void test_pre(void **state)
{
	static const struct {
		const char *pre;
		size_t n;
	} cases[] = {{"gpt-2", 2},     {"mpt", 2},      {"qwen2", 4},   {"smollm", 4},
	             {"llama-bpe", 2}, {"falcon_e", 2}, {"falcon3", 2}, {"deepseek-v3", 2},
	             {"tekken", 4},    {"gpt-4o", 2},   {"default", 2}, {"", 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *why = NULL;
		struct bd_gguf *g = foreign("gpt2", cases[i].pre, true, 6);
		struct bd_tok *t = bd_tok_gguf(g, &why);
		struct bd_ids ids = {0};

		assert_non_null(t);
		assert_int_equal(bd_tok_vocab(t), 5); /* the padding is no token */
		bd_tok_encode(t, "1111", 4, 0, &ids);
		assert_int_equal(ids.n, cases[i].n);
		bd_ids_free(&ids);
		bd_tok_encode(t, "a<|begin_of_text|>", 18, 0, &ids);
		assert_int_equal(ids.n, 2);
		assert_int_equal(ids.id[1], 4);
		bd_ids_free(&ids);
		bd_tok_free(t);
		bd_gguf_close(g);
	}
}

static void test_missing(void **state)
{
	static const struct {
		const char *model, *pre;
		bool merges;
		int types;
		const char *why;
	} cases[] = {
	    {"", "gpt-2", true, 6, "has no tokenizer: key tokenizer.ggml.model is missing"},
	    {"bert", "gpt-2", true, 6,
	     "has a tokenizer of the kind \"bert\"; only gpt2 and llama are supported"},
	    {"gpt2", "gpt-2", false, 6, "has an incomplete tokenizer: key tokenizer.ggml.merges is missing"},
	    {"llama", "", true, 6, "has an incomplete tokenizer: key tokenizer.ggml.scores is missing"},
	    {"gpt2", "", true, -1, "has no key tokenizer.ggml.pre, which says how its tokenizer cuts words"},
	    {"gpt2", "new-one", true, 6,
	     "tokenizer.ggml.pre \"new-one\" is unknown; bd-model(5) lists those"},
	    {"gpt2", "gpt-2 mpt", true, 6, "tokenizer.ggml.pre \"gpt-2 mpt\" is unknown"},
	    {"gpt2", "gpt-2", true, 3,
	     "tokenizer.ggml.token_type does not have an entry of the right type for each"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *why = NULL;
		struct bd_gguf *g = foreign(cases[i].model, cases[i].pre, cases[i].merges, cases[i].types);

		assert_null(bd_tok_gguf(g, &why));
		assert_non_null(strstr(why, cases[i].why));
		bd_free(why);
		bd_gguf_close(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tokens), cmocka_unit_test(test_specials), cmocka_unit_test(test_rebuilt),
	    cmocka_unit_test(test_pre),    cmocka_unit_test(test_missing),
	};

	bd_msg_tool("test_pack_tok");
	return cmocka_run_group_tests_name("pack_tok", tests, set_up, tear_down);
}
