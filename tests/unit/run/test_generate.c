/* Generation and answers with a small random model: what is computed again and what is not, endings, log
 * probabilities, requests. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "model/model.h"
#include "run/greedy.h"
#include "run/talk.h"

#include <math.h>
#include <stdlib.h>

#define TOKENIZER "tests/golden/tok-bytes.json"
static const char config[] =
    "{\"architectures\": [\"Qwen3ForCausalLM\"], \"model_type\": \"qwen3\", \"hidden_size\": 48, "
    "\"num_hidden_layers\": 2,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 16, \"intermediate_size\": 80, "
    "\"vocab_size\": 384,"
    " \"max_position_embeddings\": 600, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-06, \"rope_theta\": "
    "10000.0,"
    " \"attention_bias\": false, \"tie_word_embeddings\": false, \"initializer_range\": 0.2}";

static char dir[] = "/tmp/bd-test-gen.XXXXXX";
static struct bd_dev *dev;
static struct bd_infer *model;

static int open_model(void **state)
{
	struct bd_config c;
	struct bd_model *m;
	char *path[2];

	(void)state;
	assert_non_null(mkdtemp(dir));
	path[0] = bd_path(dir, "config.json");
	path[1] = bd_path(dir, "tokenizer.json");
	bd_write_file(path[0], config, strlen(config));
	c = bd_config_load(path[0]);
	m = bd_model_new(&c);
	bd_model_init(m, 3);
	bd_model_save(m, dir, BD_F32, NULL);
	bd_copy_file(TOKENIZER, path[1]);
	bd_model_free(m);
	bd_config_free(&c);
	dev = bd_dev_threads(1);
	model = bd_infer_open(dir, dev, false);
	bd_free(path[0]);
	bd_free(path[1]);
	return 0;
}

static int close_model(void **state)
{
	(void)state;
	bd_infer_close(model);
	bd_dev_close(dev);
	bd_remove_tree(dir);
	return 0;
}

static struct bd_gen_opts greedy(size_t n)
{
	return (struct bd_gen_opts){
	    .max_tokens = n, .sampler = {.top_p = 1}, .repeat_penalty = 1, .repeat_last = 64, .end = -1};
}

static void add(void *ctx, const char *text, size_t n)
{
	bd_buf_add(ctx, text, n);
}

/* The continuation of text; caller frees. */
static char *go_on(struct bd_gen *g, const char *text, const struct bd_gen_opts *o, struct bd_gen_result *r)
{
	struct bd_ids ids = {0};
	struct bd_buf out = {0};

	bd_buf_str(&out, "");
	bd_tok_encode(model->tok, text, strlen(text), 0, &ids);
	*r = bd_gen_run(g, &ids, o, add, &out);
	bd_ids_free(&ids);
	return out.p;
}

/* Second prompts that continue where the first ended, that diverge halfway, that are the same: only what is
 * new is computed, and the text is that of a fresh sequence. */
static void same_beginning(void **state)
{
	static const char *const prompt[] = {"the story was", "the story was good and", "the story is",
	                                     "the story is", "no"};
	struct bd_gen *g = bd_gen_new(model);
	struct bd_gen_opts o = greedy(9);
	size_t length = 0;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct bd_gen *fresh = bd_gen_new(model);
		struct bd_gen_result r, f;
		size_t before = bd_gen_fed(g);
		char *a = go_on(g, prompt[i], &o, &r), *b = go_on(fresh, prompt[i], &o, &f);

		assert_string_equal(a, b);
		assert_true(r.prompt == f.prompt && r.tokens == f.tokens);
		assert_int_equal(bd_gen_fed(fresh), f.prompt + f.tokens - 1); /* the last token is not fed */
		if (i == 3) /* the prompt's last token only */
			assert_int_equal(bd_gen_fed(g) - before, r.tokens);
		else if (i > 0 && i < 3)
			assert_true(bd_gen_fed(g) - before < r.prompt + r.tokens - 1);
		length = r.prompt;
		bd_gen_free(fresh);
		bd_free(a);
		bd_free(b);
	}
	assert_true(length > 0);
	bd_gen_free(g);
}

/* Beyond the room a sequence begins with, in pieces or at once. */
static void grows(void **state)
{
	struct bd_gen *g = bd_gen_new(model), *whole = bd_gen_new(model);
	struct bd_buf text = {0};
	struct bd_gen_result r;
	struct bd_gen_opts o = greedy(3);

	(void)state;
	for (int i = 0; i < 4; i++) {
		char *a, *b;

		for (int k = 0; k < 70; k++)
			bd_buf_fmt(&text, "%d ", 100 * i + k);
		text.p[text.n = text.n < 560 ? text.n : 560] = '\0';
		a = go_on(g, text.p, &o, &r);
		bd_gen_free(whole);
		whole = bd_gen_new(model);
		b = go_on(whole, text.p, &o, &r);
		assert_string_equal(a, b);
		bd_free(a);
		bd_free(b);
	}
	assert_true(r.prompt > 300);
	bd_gen_free(g);
	bd_gen_free(whole);
	bd_buf_free(&text);
}

static void endings(void **state)
{
	struct bd_gen *g = bd_gen_new(model);
	struct bd_gen_opts o = greedy(12);
	struct bd_gen_result r;
	char *all = go_on(g, "the sea", &o, &r), *cut, *at;
	char part[4] = {0};
	const char *stop[] = {"no such text", part};

	(void)state;
	assert_string_equal(r.finish, "length");
	assert_int_equal(r.tokens, 12);
	assert_true(strlen(all) > 8);
	memcpy(part, all + 4, 3);
	at = strstr(all, part);
	o.stop = stop;
	o.n_stop = 2;
	cut = go_on(g, "the sea", &o, &r);
	assert_string_equal(r.finish, "stop");
	assert_int_equal(strlen(cut), at - all);
	assert_memory_equal(cut, all, strlen(cut));
	bd_free(cut);
	o = greedy(12);
	o.context = r.prompt + 2;
	cut = go_on(g, "the sea", &o, &r);
	assert_string_equal(r.finish, "length");
	assert_int_equal(r.tokens, 2);
	bd_free(cut);
	bd_free(all);
	bd_gen_free(g);
}

/* Any token can be the one that ends a text; it is not part of it. */
static void end_token(void **state)
{
	struct bd_gen *g = bd_gen_new(model);
	struct bd_gen_opts o = greedy(5);
	struct bd_gen_result r;
	char *text;

	(void)state;
	o.logprobs = true;
	text = go_on(g, "in the", &o, &r);
	bd_free(text);
	o.end = json_integer_value(json_object_get(json_array_get(r.logprobs, 0), "id"));
	json_decref(r.logprobs);
	text = go_on(g, "in the", &o, &r);
	assert_string_equal(r.finish, "eos");
	assert_true(r.tokens == 0 && *text == '\0' && json_array_size(r.logprobs) == 0);
	json_decref(r.logprobs);
	bd_free(text);
	bd_gen_free(g);
}

/* log softmax of the logits, whatever is drawn. */
static void log_probabilities(void **state)
{
	struct bd_gen *g = bd_gen_new(model);
	struct bd_gen_opts o = greedy(4);
	struct bd_gen_result r;
	struct bd_seq *s = bd_seq_new(model, 4);
	struct bd_ids ids = {0};
	size_t V = (size_t)model->net->cfg.vocab;

	(void)state;
	o.logprobs = true;
	o.top = 5;
	o.sampler = (struct bd_sampler){.temperature = 2, .top_p = 1, .seed = 8};
	o.repeat_penalty = 3;
	bd_free(go_on(g, "maybe", &o, &r));
	assert_int_equal(json_array_size(r.logprobs), 4);
	bd_tok_encode(model->tok, "maybe", 5, 0, &ids);
	for (size_t i = 0; i < 4; i++) {
		const json_t *e = json_array_get(r.logprobs, i), *top = json_object_get(e, "top");
		uint32_t id = (uint32_t)json_integer_value(json_object_get(e, "id")), first;
		const float *z = bd_seq_feed(s, ids.id, ids.n);
		double sum = 0, last = 0;

		for (size_t v = 0; v < V; v++)
			sum += exp((double)z[v]);
		assert_true(
		    fabs(json_real_value(json_object_get(e, "logprob")) - ((double)z[id] - log(sum))) < 1e-5);
		assert_int_equal(json_array_size(top), 5);
		for (size_t k = 0; k < 5; k++) {
			const json_t *t = json_array_get(top, k);
			double p = json_real_value(json_object_get(t, "logprob"));
			size_t above = 0;

			first = (uint32_t)json_integer_value(json_object_get(t, "id"));
			for (size_t v = 0; v < V; v++)
				above += z[v] > z[first];
			assert_int_equal(above, k);
			assert_true(k == 0 || p <= last);
			assert_true(fabs(p - ((double)z[first] - log(sum))) < 1e-5);
			last = p;
		}
		ids.n = 0;
		bd_ids_push(&ids, id);
	}
	json_decref(r.logprobs);
	bd_ids_free(&ids);
	bd_seq_free(s);
	bd_gen_free(g);
}

/* The text of every token of a vocabulary of pieces as it is inside a text: with the space before a word, and
 * U+FFFD for a byte that is no character. */
static void token_texts(void **state)
{
	char *spm = bd_path(dir, "spm"), *file;
	struct bd_gen_opts o = greedy(1);
	struct bd_gen_result r;
	json_t *j = bd_json_load("tests/golden/tok-spm.json"),
	       *vocab = json_object_get(json_object_get(j, "model"), "vocab"), *id;
	const char *piece;
	size_t seen = 0;

	(void)state;
	struct bd_model *m = bd_model_load(dir);
	struct bd_outdir *out = bd_outdir_open(spm, true);
	bd_model_save(m, bd_outdir_path(out), BD_F32, NULL);
	file = bd_path(bd_outdir_path(out), "tokenizer.json");
	bd_copy_file("tests/golden/tok-spm.json", file);
	bd_outdir_commit(out);
	bd_model_free(m);
	struct bd_infer *pieces = bd_infer_open(spm, dev, false);
	struct bd_gen *g = bd_gen_new(pieces);
	o.logprobs = true;
	o.top = (size_t)pieces->net->cfg.vocab;
	bd_free(go_on(g, "the", &o, &r));
	const json_t *top = json_object_get(json_array_get(r.logprobs, 0), "top");
	assert_int_equal(json_array_size(top), o.top);
	for (size_t i = 0; i < o.top; i++) {
		const json_t *t = json_array_get(top, i);

		json_object_foreach(vocab, piece, id) {
			struct bd_buf want = {0};
			unsigned byte;

			if (json_integer_value(id) != json_integer_value(json_object_get(t, "id")))
				continue;
			if (sscanf(piece, "<0x%2X>", &byte) == 1)
				bd_buf_fmt(&want, byte < 0x80 ? "%c" : "\xef\xbf\xbd", (int)byte);
			else
				for (const char *c = piece; *c;
				     c += strncmp(c, "\xe2\x96\x81", 3) == 0 ? 3 : 1)
					bd_buf_fmt(&want, "%c",
					           strncmp(c, "\xe2\x96\x81", 3) == 0 ? ' ' : *c);
			const json_t *got = json_object_get(t, "token");
			if (json_string_length(got) != want.n ||
			    memcmp(json_string_value(got), want.p, want.n) != 0)
				fail_msg("%s: \"%s\", not \"%s\"", piece, json_string_value(got), want.p);
			bd_buf_free(&want);
			seen++;
		}
	}
	assert_int_equal(seen, json_object_size(vocab));
	json_decref(r.logprobs);
	json_decref(j);
	bd_gen_free(g);
	bd_infer_close(pieces);
	bd_free(file);
	bd_free(spm);
}

/* ---- requests ---- */

static struct bd_asked asked(void)
{
	return (struct bd_asked){.m = model, .opts = greedy(6), .template = BD_CHAT_NAMED_CHATML};
}

static json_t *ask(struct bd_asked *a, const char *object)
{
	json_t *j = bd_json_parse(object, strlen(object), "test"), *out = bd_answer_object(a, j, "here");

	json_decref(j);
	return out;
}

static void same_text(const json_t *a, const json_t *b, bool same)
{
	assert_int_equal(strcmp(json_string_value(json_object_get(a, "text")),
	                        json_string_value(json_object_get(b, "text"))) == 0,
	                 same);
}

static void requests(void **state)
{
	struct bd_asked a = asked();
	json_t *x = ask(&a, "{\"id\": {\"any\": [1]}, \"prompt\": \"the\", \"temperature\": 1, \"seed\": 5, "
	                    "\"max_tokens\": 8}");
	json_t *y = ask(
	    &a, "{\"prompt\": \"the\", \"seed\": 5, \"temperature\": 1.0, \"max_tokens\": 8, \"top_k\": 0}");
	json_t *z = ask(&a, "{\"prompt\": \"the\", \"seed\": 6, \"temperature\": 1.0, \"max_tokens\": 8}");

	(void)state;
	same_text(x, y, true);
	same_text(x, z, false);
	assert_int_equal(json_array_size(json_object_get(json_object_get(x, "id"), "any")), 1);
	assert_null(json_object_get(y, "id"));
	assert_int_equal(json_integer_value(json_object_get(x, "completion_tokens")), 8);
	assert_int_equal(json_integer_value(json_object_get(x, "prompt_tokens")), 1);
	json_decref(y);
	json_decref(z);
	y = ask(&a, "{\"prompt\": \"the\"}"); /* the options of one request end with it */
	assert_int_equal(json_integer_value(json_object_get(y, "completion_tokens")), 6);
	json_decref(y);
	y = ask(&a, "{\"prompt\": \"the\", \"logprobs\": 1, \"stop\": [\"zz\", \"yy\"], \"repeat_penalty\": "
	            "1.5, \"repeat_last_n\": 3}");
	assert_int_equal(json_array_size(json_object_get(y, "logprobs")), 6);
	json_decref(x);
	json_decref(y);
	y = ask(&a, "{\"prompt\": \"the\", \"logprobs\": 0}"); /* without alternatives */
	assert_int_equal(json_array_size(json_object_get(y, "logprobs")), 6);
	json_decref(y);
	y = ask(&a, "{\"prompt\": \"the\", \"logprobs\": -1}");
	assert_null(json_object_get(y, "logprobs"));
	json_decref(y);
	bd_asked_close(&a);
}

/* A conversation is its text, continued; the end of a turn, of which this vocabulary has no token, ends it as
 * a text. */
static void conversations(void **state)
{
	struct bd_asked a = asked();
	json_t *x = ask(&a, "{\"messages\": [{\"role\": \"user\", \"content\": \"the\"}]}");
	json_t *y = ask(&a, "{\"prompt\": \"<|im_start|>user\\nthe<|im_end|>\\n<|im_start|>assistant\\n\"}"),
	       *z;

	(void)state;
	same_text(x, y, true);
	a.system = "Be brief.";
	z = ask(&a, "{\"messages\": [{\"role\": \"user\", \"content\": \"the\"}]}");
	assert_true(json_integer_value(json_object_get(z, "prompt_tokens")) >
	            json_integer_value(json_object_get(x, "prompt_tokens")));
	json_decref(x);
	x = ask(&a, "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
	            "\"user\", \"content\": \"the\"}]}");
	same_text(x, z, true);
	assert_int_equal(json_integer_value(json_object_get(x, "prompt_tokens")),
	                 json_integer_value(json_object_get(z, "prompt_tokens")));
	json_decref(x);
	json_decref(y);
	json_decref(z);
	bd_asked_close(&a);
}

/* "thinking" of one request, in a template that has it; without it, what was asked for all. */
static void thinking(void **state)
{
	static const char begin[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"the\"}]";
	static const struct {
		bool none; /* asked for all */
		const char *one;
		bool thinks;
	} cases[] = {
	    {false, "}", true},
	    {false, ", \"thinking\": true}", true},
	    {false, ", \"thinking\": false}", false},
	    {true, "}", false},
	    {true, ", \"thinking\": true}", true},
	    {true, ", \"thinking\": false}", false},
	};
	int64_t tokens[2] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_asked a = asked();
		char *object = bd_sprintf("%s%s", begin, cases[i].one);

		a.template = BD_CHAT_NAMED_QWEN3;
		a.no_thinking = cases[i].none;
		json_t *x = ask(&a, object);
		int64_t n = json_integer_value(json_object_get(x, "prompt_tokens")),
		        *same = &tokens[cases[i].thinks];
		assert_true(*same == 0 || *same == n);
		*same = n;
		json_decref(x);
		bd_free(object);
		bd_asked_close(&a);
	}
	assert_true(tokens[0] > tokens[1]); /* the thoughts are there, and empty */
}

/* A talk that exceeds its context continues without its beginning; as long as it fits, only new tokens are
 * computed. */
static void talks(void **state)
{
	struct bd_asked a = asked();
	struct bd_talk t = {0};
	size_t longest = 0, computed = 0;

	(void)state;
	a.opts.context = 400;
	a.opts.logprobs = false;
	for (int i = 0; i < 6; i++) {
		json_t *answer = bd_talk_turn(&t, &a, "the sea was good and the story was bad", NULL, NULL);
		size_t prompt = (size_t)json_integer_value(json_object_get(answer, "prompt_tokens"));

		if (i == 1)
			assert_true(bd_gen_fed(a.gen) - computed < prompt);
		computed = bd_gen_fed(a.gen);
		longest = t.n > longest ? t.n : longest;
		assert_true(prompt + 6 <= 400 && t.n % 2 == 0);
		json_decref(answer);
	}
	assert_true(longest > 2 && longest < 12);
	assert_int_equal(a.opts.sampler.seed, 6);
	bd_talk_forget(&t);
	assert_int_equal(t.n, 0);
	bd_asked_close(&a);
}

static void try_ask(void *object)
{
	struct bd_asked a = asked();

	ask(&a, object);
}

static void try_auto(void *object)
{
	struct bd_asked a = asked();

	a.template = BD_CHAT_AUTO;
	ask(&a, object);
}

static void refusals(void **state)
{
	static const char *const bad[][2] = {
	    {"[]", "not a JSON object"},
	    {"{}", "neither \"prompt\" nor \"messages\""},
	    {"{\"prompt\": 1}", "\"prompt\" is not a string"},
	    {"{\"prompt\": \"\"}", "the prompt is empty"},
	    {"{\"prompt\": \"x\", \"temprature\": 1}", "here: unknown key \"temprature\""},
	    {"{\"prompt\": \"x\", \"temperature\": -1}", "\"temperature\" is -1"},
	    {"{\"prompt\": \"x\", \"max_tokens\": 0}", "max_tokens"},
	    {"{\"prompt\": \"x\", \"top_p\": 1.5}", "top_p"},
	    {"{\"prompt\": \"x\", \"stop\": [\"\"]}", "stop at once"},
	    {"{\"prompt\": \"x\", \"stop\": 3}", "\"stop\" is not a string"},
	    {"{\"messages\": {}}", "\"messages\" is not a list"},
	    {"{\"messages\": [1]}", "\"role\" is not a string"},
	    {"{\"messages\": [{\"role\": \"user\"}]}", "\"content\" is not a string"},
	    {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\\u0000b\"}]}", "NUL"},
	    {"{\"messages\": []}", "without messages"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		child_dies(try_ask, (void *)bad[i][0], BD_DATA, bad[i][1]);
	child_dies(try_auto, "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", BD_DATA,
	           "--template");
}

/* The best of some ids, the first of equals, and their shares. */
static void choices(void **state)
{
	static const float z[] = {3, -1, 2, 2, 0.5f};
	static const uint32_t choice[] = {1, 3, 2, 4};
	double p[4], sum = exp(-1) + exp(2) + exp(2) + exp(0.5);

	(void)state;
	assert_int_equal(bd_infer_choose(z, choice, 4, p), 1);
	for (size_t i = 0; i < 4; i++)
		assert_true(fabs(p[i] - exp((double)z[choice[i]]) / sum) < 1e-12);
}

/* What the context leaves, but not more than was asked for. */
static void room(void **state)
{
	static const struct {
		size_t context, prompt, most, want;
	} cases[] = {
	    {10, 6, 3, 3}, {10, 6, 4, 4}, {10, 6, 5, 4},  {10, 6, 12, 4},    {10, 6, 100, 4},
	    {10, 9, 8, 1}, {10, 1, 9, 9}, {0, 590, 9, 9}, {0, 590, 300, 10}, /* 0: the model's 600 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_gen_opts o = greedy(cases[i].most);

		o.context = cases[i].context;
		assert_int_equal(bd_gen_room(model, cases[i].prompt, &o), cases[i].want);
	}
}

/* The same bits whether a text is continued alone or among others, so that even in a head whose rows are
 * nearly equal the same tokens are the likeliest; and they are those of a sequence. */
static void greedy_alone(void **state)
{
	enum { PROMPTS = 5, MOST = 8 };
	static const uint32_t prompt[PROMPTS][4] = {{1, 2, 3, 4}, {300, 7}, {5}, {20, 21, 22}, {9, 9, 9, 9}};
	static const size_t n[PROMPTS] = {4, 2, 1, 3, 4};
	char *path = bd_path(dir, "ternary");
	struct bd_model *m = bd_model_load(dir);
	const struct bd_param *head = bd_model_param(m, BD_HEAD, -1);
	struct bd_greedy all[PROMPTS];

	(void)state;
	for (size_t v = 1; v < head->rows; v++)
		for (size_t i = 0; i < head->cols; i++)
			m->data[head->off + v * head->cols + i] =
			    m->data[head->off + i] * (1 + 2e-7f * (float)bd_rng_normal(1, v, i));
	struct bd_outdir *out = bd_outdir_open(path, true);
	bd_model_save(m, bd_outdir_path(out), BD_F32, NULL);
	bd_outdir_commit(out);
	bd_model_free(m);
	struct bd_infer *t = bd_infer_open(path, dev, true);
	for (size_t i = 0; i < PROMPTS; i++)
		all[i] = (struct bd_greedy){.prompt = prompt[i], .n = n[i], .max = MOST};
	bd_greedy(t->net, t->acts, all, PROMPTS);
	for (size_t i = 0; i < PROMPTS; i++) {
		struct bd_greedy one = {.prompt = prompt[i], .n = n[i], .max = MOST};
		struct bd_seq *s = bd_seq_new(t, MOST);
		const float *z = bd_seq_feed(s, prompt[i], n[i]);

		bd_greedy(t->net, t->acts, &one, 1);
		assert_int_equal(one.ids.n, MOST);
		assert_int_equal(all[i].ids.n, MOST);
		for (size_t k = 0; k < MOST; k++) {
			uint32_t best = 0;

			for (uint32_t v = 1; v < (uint32_t)t->net->cfg.vocab; v++)
				best = z[v] > z[best] ? v : best;
			assert_int_equal(one.ids.id[k], best);
			assert_int_equal(all[i].ids.id[k], best);
			z = bd_seq_feed(s, &best, 1);
		}
		bd_seq_free(s);
		bd_ids_free(&one.ids);
		bd_ids_free(&all[i].ids);
	}
	bd_infer_close(t);
	bd_free(path);
}

/* As with free(). */
static void nothing(void **state)
{
	(void)state;
	bd_infer_close(NULL);
}

/* The least and the most that an object may ask for. */
static void bounds(void **state)
{
	static const char *const good[] = {
	    "\"top_p\": 0",
	    "\"top_p\": 0.5",
	    "\"top_p\": 1",
	    "\"min_p\": 0",
	    "\"min_p\": 1",
	    "\"temperature\": 0",
	    "\"temperature\": 100",
	    "\"top_k\": 0",
	    "\"top_k\": 1000000000",
	    "\"seed\": 0",
	    "\"repeat_penalty\": 0.01",
	    "\"repeat_penalty\": 100",
	    "\"repeat_last_n\": 0",
	    "\"logprobs\": -1",
	    "\"logprobs\": 0",
	    "\"logprobs\": 100",
	};
	static const struct {
		const char *key, *low, *high, *must;
	} bad[] = {
	    {"top_p", "-0.1", "1.1", "0 to 1"},
	    {"min_p", "-0.1", "1.1", "0 to 1"},
	    {"temperature", "-0.1", "100.5", "0 to 100"},
	    {"top_k", "-1", "1000000001", "0 to 1000000000"},
	    {"max_tokens", "0", "1000000001", "1 to 1000000000"},
	    {"seed", "-1", "4611686018427387905", "0 to 4611686018427387904"},
	    {"repeat_penalty", "0.009", "100.5", "0.01 to 100"},
	    {"repeat_last_n", "-1", "1000000001", "0 to 1000000000"},
	    {"logprobs", "-2", "101", "-1 to 100"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(bad) / sizeof(*bad); i++) {
		const char *value = i % 2 ? bad[i / 2].high : bad[i / 2].low;
		char *object = bd_sprintf("{\"prompt\": \"x\", \"%s\": %s}", bad[i / 2].key, value),
		     *text = bd_sprintf("must be %s\n", bad[i / 2].must);

		child_dies(try_ask, object, BD_DATA, text);
		bd_free(object);
		bd_free(text);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		char *object = bd_sprintf("{\"prompt\": \"x\", \"max_tokens\": 1, %s}", good[i]);
		struct child c = child_run(try_ask, object);

		if (c.signal != 0 || c.status != 0)
			fail_msg("%s: %s", good[i], c.err);
		bd_free(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_beginning),
	    cmocka_unit_test(grows),
	    cmocka_unit_test(endings),
	    cmocka_unit_test(end_token),
	    cmocka_unit_test(log_probabilities),
	    cmocka_unit_test(token_texts),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(conversations),
	    cmocka_unit_test(talks),
	    cmocka_unit_test(thinking),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(bounds),
	    cmocka_unit_test(room),
	    cmocka_unit_test(greedy_alone),
	    cmocka_unit_test(nothing),
	    cmocka_unit_test(choices),
	};

	return cmocka_run_group_tests(tests, open_model, close_model);
}
