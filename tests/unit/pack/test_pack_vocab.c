/* Packing with the tokens that a stream needs: the logits of kept tokens are the same bits as in the file
 * with all of them, every id is renumbered, and streams made before are read as if made for the file. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "device.h"
#include "format/gguf.h"
#include "model/model_out.h"
#include "pack/pack.h"
#include "pack/pack_vocab.h"
#include "run/infer.h"

#include <stdlib.h>

#define TOKENIZER "tests/golden/tok-bytes.json"
enum { V = 370 };

/* The head tied and of its own; the ids: of special tokens, one and several, of golden prompts. */
static const char *const config[] = {
    "{\"model_type\": \"qwen3\", \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
    " \"num_key_value_heads\": 2, \"head_dim\": 24, \"intermediate_size\": 140, \"vocab_size\": 370,"
    " \"max_position_embeddings\": 128, \"tie_word_embeddings\": true, \"bos_token_id\": 361,"
    " \"eos_token_id\": [360, 300], \"pad_token_id\": 366,"
    " \"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\", \"golden\": [[290, 291], [3]]}}",
    "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,"
    " \"intermediate_size\": 96, \"vocab_size\": 370, \"max_position_embeddings\": 128,"
    " \"tie_word_embeddings\": false, \"eos_token_id\": 360,"
    " \"bitdistill\": {\"norms\": \"none\", \"weights\": \"ternary\"}}",
};
static const enum bd_ggml_type tables[] = {BD_GGML_F32, BD_GGML_F16, BD_GGML_Q8_0, BD_GGML_Q4_0};

static char root[] = "/tmp/bd-test-pack-vocab-XXXXXX";
static struct bd_tok *tok;

static char *path_of(const char *name)
{
	return bd_path(root, name);
}

static void make_model(const char *name, const char *text)
{
	json_t *json = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(json, "test");
	struct bd_model *m = bd_model_new(&c);
	char *dir = path_of(name), *file = bd_path(dir, "tokenizer.json"), *json_text;
	struct bd_outdir *out = bd_outdir_open(dir, false);
	size_t n;

	bd_model_init(m, 5);
	bd_model_save(m, bd_outdir_path(out), BD_F32, NULL);
	bd_outdir_commit(out);
	json_text = bd_read_file(TOKENIZER, &n);
	bd_write_file(file, json_text, n);
	bd_free(json_text);
	bd_free(file);
	bd_free(dir);
	bd_model_free(m);
	bd_config_free(&c);
	json_decref(json);
}

/* A stream of texts with two labels. */
static void make_stream(const char *name, const char *const *text, size_t n)
{
	uint32_t choice[2] = {(uint32_t)bd_tok_id(tok, "a"), (uint32_t)bd_tok_id(tok, "b")};
	struct bd_stream_head h = {.vocab = V, .choice = choice, .n_choice = 2, .layer = -1};
	char *path = path_of(name);
	struct bd_sink *s;

	snprintf(h.tokenizer, sizeof(h.tokenizer), "%s", bd_tok_digest(tok));
	s = bd_sink_open(path, 0, &h);
	for (size_t i = 0; i < n; i++) {
		struct bd_ids ids = {0};
		struct bd_record r = {.label = (int32_t)(i % 2)};

		bd_tok_encode(tok, text[i], strlen(text[i]), 0, &ids);
		r.ids = ids.id;
		r.n = ids.n;
		r.target = bd_zalloc(r.n, 1);
		r.target[r.n - 1] = 1;
		bd_sink_put(s, &r);
		bd_free(r.target);
		bd_ids_free(&ids);
	}
	bd_sink_close(s);
	bd_free(path);
}

static int set_up(void **state)
{
	static const char *const needed[] = {"the story was good", "the end of it"},
	                         *const other[] = {"the story", "thing inside", "good inside things"};

	(void)state;
	if (mkdtemp(root) == NULL)
		return -1;
	bd_msg_tool("test_pack_vocab");
	tok = bd_tok_open(TOKENIZER);
	make_model("tied", config[0]);
	make_model("untied", config[1]);
	make_stream("needed.bds", needed, 2);
	make_stream("other.bds", other, 3);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bd_tok_free(tok);
	bd_remove_tree(root);
	return 0;
}

/* Packs a model, whole or with what needed.bds needs, and opens it. */
static struct bd_infer *packed(const char *name, enum bd_ggml_type embd, bool part)
{
	char *dir = path_of(name), *file = path_of(part ? "part.gguf" : "whole.gguf"),
	     *stream = path_of("needed.bds");
	struct bd_pack_opt o = {.target = BD_TARGET_BD, .ternary = BD_GGML_F32, .embd = embd};
	struct bd_infer *m;

	if (part)
		o.vocab_from = (struct bd_list){{stream}, 1};
	bd_pack_write(dir, file, &o, cpu());
	m = bd_infer_open(file, cpu(), false);
	bd_free(stream);
	bd_free(file);
	bd_free(dir);
	return m;
}

static struct bd_packed_vocab vocab_of(const struct bd_infer *m)
{
	struct bd_packed_vocab v;

	assert_true(bd_packed_vocab(m->net->release_arg, (size_t)m->net->cfg.vocab, &v));
	return v;
}

/* Of both models the logits after each token of the stream; part's ids are the stream's, renumbered. */
static void compare(struct bd_infer *whole, struct bd_infer *part)
{
	struct bd_packed_vocab v = vocab_of(part);
	char *path = path_of("needed.bds");
	struct bd_source *s[2] = {bd_source_open(path), bd_source_open(path)};
	struct bd_record r[2] = {{0}, {0}};
	size_t n = (size_t)part->net->cfg.vocab;

	bd_infer_fits(whole, s[0]);
	bd_infer_fits(part, s[1]);
	assert_string_equal(bd_source_head(s[1])->tokenizer, bd_tok_digest(part->tok));
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(v.id[bd_source_head(s[1])->choice[i]], bd_source_head(s[0])->choice[i]);
	while (bd_source_next(s[0], &r[0])) {
		assert_true(bd_source_next(s[1], &r[1]));
		assert_int_equal(r[1].n, r[0].n);
		for (size_t i = 0; i < r[0].n; i++)
			assert_int_equal(v.id[r[1].ids[i]], r[0].ids[i]);
		float *a = logits_of(whole->net, r[0].ids, r[0].n),
		      *b = logits_of(part->net, r[1].ids, r[1].n);

		for (size_t i = 0; i < r[0].n; i++)
			for (size_t k = 0; k < n; k++)
				assert_memory_equal(&a[i * V + v.id[k]], &b[i * n + k], sizeof(float));
		bd_free(a);
		bd_free(b);
	}
	assert_false(bd_source_next(s[1], &r[1]));
	bd_source_close(s[0]);
	bd_source_close(s[1]);
	bd_free(path);
}

static void same_bits(void **state)
{
	static const char *const model[] = {"tied", "untied"};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < sizeof(tables) / sizeof(*tables); k++) {
			struct bd_infer *whole = packed(model[i], tables[k], false),
			                *part = packed(model[i], tables[k], true);

			assert_true(part->net->cfg.vocab < V - 50);
			/* the padding token is none of the tokenizer's */
			assert_int_equal(bd_tok_vocab(part->tok), part->net->cfg.vocab - (i == 0));
			compare(whole, part);
			bd_infer_close(whole);
			bd_infer_close(part);
		}
}

static void is_now(const struct bd_packed_vocab *v, const json_t *id, uint32_t was)
{
	assert_true(json_is_integer(id));
	assert_int_equal(v->id[json_integer_value(id)], was);
}

static void config_ids(void **state)
{
	struct bd_infer *m = packed("tied", BD_GGML_F16, true);
	struct bd_packed_vocab v = vocab_of(m);
	const struct bd_config *c = &m->net->cfg;
	const json_t *golden = json_object_get(json_object_get(c->json, "bitdistill"), "golden");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(c->json, "vocab_size")), c->vocab);
	assert_int_equal(v.id[c->special.bos], 361);
	assert_int_equal(c->special.n_eos, 2);
	assert_int_equal(v.id[c->special.eos[0]], 360);
	assert_int_equal(v.id[c->special.eos[1]], 300);
	is_now(&v, json_object_get(c->json, "bos_token_id"), 361);
	is_now(&v, json_array_get(json_object_get(c->json, "eos_token_id"), 1), 300);
	is_now(&v, json_object_get(c->json, "pad_token_id"), 366);
	is_now(&v, json_array_get(json_array_get(golden, 0), 1), 291);
	is_now(&v, json_array_get(json_array_get(golden, 1), 0), 3);
	assert_string_equal(v.tokenizer, bd_tok_digest(tok));
	bd_infer_close(m);
}

static void evaluate_other(void *model)
{
	char *path = path_of("other.bds");
	struct bd_source *s = bd_source_open(path);
	struct bd_record r = {0};

	bd_infer_fits(model, s);
	while (bd_source_next(s, &r))
		;
}

/* "inside" is no token of the needed texts: in two of three examples. */
static void not_kept(void **state)
{
	struct bd_infer *m = packed("untied", BD_GGML_F16, true);

	(void)state;
	child_dies(evaluate_other, m, BD_DATA, "in 2 of 3 examples are not among those that");
	child_dies(evaluate_other, m, BD_DATA, "in example 1; pack it again with --vocab-from");
	bd_infer_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_bits),
	    cmocka_unit_test(config_ids),
	    cmocka_unit_test(not_kept),
	};

	return cmocka_run_group_tests_name("pack_vocab", tests, set_up, tear_down);
}
