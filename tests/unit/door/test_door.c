/* bd.h: what it computes is what the suite computes, and the host survives all that it is given: every
 * failure is told, leaves nothing behind, and the next call works. */
#include "base/digest.h"
#include "base/guard.h"
#include "base/io.h"
#include "base/mem.h"
#include "bd.h"
#include "child.h"
#include "device.h"
#include "door/models.h"
#include "run/answer.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PROMPT "the story was"

static bd_model *lm;   /* open all the time */
static char *expected; /* its continuation of PROMPT */
static size_t fds_lm;

static void add(void *ctx, const char *text, size_t n)
{
	bd_buf_add(ctx, text, n);
}

/* The continuation by the functions behind bd-run. */
static char *by_the_suite(const char *path)
{
	struct bd_asked a = {.m = bd_infer_open(path, cpu(), false),
	                     .opts = {.max_tokens = 20,
	                              .sampler = {.top_p = 1},
	                              .repeat_penalty = 1,
	                              .repeat_last = 64,
	                              .end = -1}};
	struct bd_buf out = {0};

	json_decref(bd_answer_text(&a, PROMPT, strlen(PROMPT), add, &out));
	bd_asked_close(&a);
	bd_infer_close(a.m);
	return out.p;
}

static size_t open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int set_up(void **state)
{
	(void)state;
	models_make();
	expected = by_the_suite("lm");
	lm = bd_open("lm", 2);
	fds_lm = open_fds();
	return lm != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	bd_close(lm);
	bd_free(expected);
	models_remove();
	return bd_guard_live() == 0 ? 0 : -1;
}

/* All pieces of the text that s has begun; at most 20 tokens. Caller frees. */
static char *rest_of(bd_session *s)
{
	struct bd_buf out = {0};
	const char *text;
	size_t n;
	int rc;

	bd_buf_str(&out, "");
	while ((rc = bd_next(s, &text, &n)) > 0)
		bd_buf_add(&out, text, n);
	assert_int_equal(rc, 0);
	assert_non_null(bd_finish(s));
	return out.p;
}

static bd_options few(void)
{
	return (bd_options){.size = sizeof(bd_options), .max_tokens = 20};
}

/* A fresh session of m gives `expected`. */
static void still_good(bd_model *m)
{
	bd_options o = few();
	bd_session *s = bd_session_new(m);
	char *text;

	assert_int_equal(bd_prompt(s, PROMPT, strlen(PROMPT), &o), 0);
	text = rest_of(s);
	assert_string_equal(text, expected);
	bd_free(text);
	bd_session_free(s);
}

/* Nothing is left of a failure, which bd_error tells. */
static void nothing_left(void)
{
	assert_true(strlen(bd_error()) > 5);
	assert_null(strchr(bd_error(), '\n'));
	assert_int_equal(open_fds(), fds_lm);
}

static void refuses(const char *path)
{
	size_t live = bd_guard_live();
	bd_model *m = bd_open(path, 2);

	if (m != NULL)
		fail_msg("%s was opened", path);
	assert_int_equal(bd_guard_live(), live);
	nothing_left();
}

static void refuses_for(const char *path, const char *why)
{
	refuses(path);
	if (strstr(bd_error(), why) == NULL)
		fail_msg("expected \"%s\" in: %s", why, bd_error());
}

/* ---- what it computes ---- */

static void texts(void **state)
{
	bd_model *m = bd_open("task.gguf", 3);
	bd_session *s = bd_session_new(lm);
	bd_options o = few();
	uint32_t ids[64];
	const float *z;
	char *text;
	int64_t n = bd_encode(lm, PROMPT, strlen(PROMPT), BD_BEGIN, ids, 64);
	char back[64];

	(void)state;
	still_good(lm);
	assert_true(n > 0 && n < 64);
	assert_int_equal(bd_encode(lm, PROMPT, strlen(PROMPT), BD_BEGIN, NULL, 0), n);
	assert_int_equal(bd_decode(lm, ids, (size_t)n, back, sizeof(back)), strlen(PROMPT));
	assert_memory_equal(back, PROMPT, strlen(PROMPT));

	z = bd_feed(s, ids, (size_t)n);
	assert_non_null(z);
	assert_true(isfinite(z[0]) && isfinite(z[bd_vocab(lm) - 1]));
	assert_int_equal(bd_length(s), n);
	assert_int_equal(bd_rewind(s, 1), 0);
	assert_int_equal(bd_length(s), 1);
	for (int i = 0; i < 3; i++) { /* what was fed before is no matter */
		assert_int_equal(bd_prompt(s, PROMPT, strlen(PROMPT), &o), 0);
		text = rest_of(s);
		assert_string_equal(text, expected);
		assert_string_equal(bd_finish(s), "length");
		bd_free(text);
	}
	o.stop = (const char *const[]){expected + 3};
	o.n_stop = 1;
	assert_int_equal(bd_prompt(s, PROMPT, strlen(PROMPT), &o), 0);
	text = rest_of(s);
	assert_memory_equal(text, expected, 3);
	assert_int_equal(strlen(text), 3);
	assert_string_equal(bd_finish(s), "stop");
	bd_free(text);
	bd_session_free(s);

	assert_int_equal(bd_vocab(m), 384);
	assert_int_equal(bd_context(m), 600);
	assert_non_null(strstr(bd_info(m), "\"kind\": \"packed file\""));
	assert_non_null(strstr(bd_info(m), "\"name\": \"match\""));
	assert_non_null(strstr(bd_info(lm), "\"template\": null"));
	assert_non_null(strstr(bd_info(lm), "\"history\": ["));
	assert_string_equal(bd_version(), "0.1.0");
	bd_close(m);
}

static void classes(void **state)
{
	static const char *const row[] = {"one", "two", NULL};
	const char *const paths[] = {"task", "task.gguf"};
	struct bd_infer *m = bd_infer_open("task", cpu(), false);
	double want[2], p[2];
	struct bd_labels *l = bd_labels_new(m);
	size_t best = bd_answer_class(l, m, row, "row", want);

	(void)state;
	bd_labels_free(l);
	for (size_t i = 0; i < 2; i++) {
		bd_model *d = bd_open(paths[i], 2);

		assert_int_equal(bd_fields(d), 3);
		assert_int_equal(bd_classes(d), 2);
		assert_string_equal(bd_field(d, 2), "label");
		assert_null(bd_field(d, 3));
		assert_string_equal(bd_class(d, 1), "same");
		assert_null(bd_class(d, 2));
		assert_int_equal(bd_classify(d, row, 3, p), best);
		if (i == 0)
			assert_memory_equal(p, want, sizeof(p));
		assert_true(fabs(p[0] + p[1] - 1) < 1e-12);
		bd_close(d);
	}
	bd_infer_close(m);
}

static void answers(void **state)
{
	static const char *const row[] = {"one", NULL};
	static const bd_chat_message talk[] = {{"system", "Be short."}, {"user", "Well?"}};
	bd_model *m = bd_open("ask", 1);
	bd_session *s = bd_session_new(m);
	bd_options o = few();
	char *a, *b;

	(void)state;
	assert_int_equal(bd_classes(m), 0);
	assert_int_equal(bd_ask(s, row, 2, &o), 0);
	a = rest_of(s);
	assert_int_equal(bd_prompt(s, "one =>", 6, &o), 0);
	b = rest_of(s);
	assert_string_equal(a, b);
	bd_free(a);
	bd_free(b);
	o.chat_template = "chatml";
	assert_int_equal(bd_chat(s, talk, 2, &o), 0);
	bd_free(rest_of(s));
	assert_int_equal(bd_chat(s, talk, 2, NULL), BD_EDATA); /* it has no template */
	assert_non_null(strstr(bd_error(), "no chat template"));
	bd_session_free(s);
	bd_close(m);
}

/* ---- bad files ---- */

static void no_files(void **state)
{
	(void)state;
	refuses_for("nowhere", "No such file");
	refuses("");
	refuses_for("/dev/zero", "not a regular file");
	assert_null(bd_open(NULL, 1));
	assert_null(bd_open("lm", -1));
	assert_null(bd_open("lm", 1000000));
	bd_write_file("empty", "", 0);
	refuses_for("empty", "not a GGUF file");
	bd_write_file("text", "Once upon a time there was no model here", 40);
	refuses_for("text", "not a GGUF file");
	assert_int_equal(mkdir("hollow", 0777), 0);
	refuses_for("hollow", "config.json");
	assert_int_equal(mkfifo("fifo", 0666), 0);
	refuses_for("fifo", "not a regular file");
	assert_int_equal(symlink("loop", "loop"), 0);
	refuses("loop");
	if (geteuid() != 0) {
		assert_int_equal(chmod("text", 0), 0);
		refuses_for("text", "Permission");
	}
	still_good(lm);
}

static void bad_configs(void **state)
{
	static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234\n";
	static const char *const edits[][2] = {
	    {"\"hidden_size\": 64", "\"hidden_size\": \"64\""},
	    {"\"hidden_size\": 64", "\"hidden_size\": 1000000000"},
	    {"\"hidden_size\": 64", "\"hidden_size\": 0"},
	    {"\"hidden_size\": 64", "\"hidden_size\": -64"},
	    {"\"hidden_size\": 64", "\"hidden_size\": 65"},
	    {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"},
	    {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000"},
	    {"\"intermediate_size\": 96", "\"intermediate_size\": 97"},
	    {"\"vocab_size\": 384", "\"vocab_size\": 2000000000"},
	    {"\"vocab_size\": 384", "\"vocab_size\": 383"},
	    {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"},
	    {"\"model_type\": \"qwen3\"", "\"model_type\": \"mamba\""},
	    {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"tanh\""},
	    {"\"rope_theta\": 10000.0", "\"rope_theta\": \"x\""},
	    {"{", "["},
	    {"}", ""},
	    {"\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 1e-06, \"rms_norm_eps\": 1e-06"},
	};
	struct bd_buf deep = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++)
		refuses(bad_edit("lm", "config.json", edits[i][0], edits[i][1]));
	refuses(bad_copy("lm", "config.json", NULL, 0));
	refuses(bad_copy("lm", "config.json", "", 0));
	refuses(bad_copy("lm", "config.json", "null", 4));
	refuses(bad_copy("lm", "config.json", lfs, strlen(lfs)));
	refuses(bad_copy("lm", "config.json", "\xff\xfe{", 3));
	for (int i = 0; i < 5000; i++)
		bd_buf_str(&deep, "[");
	refuses(bad_copy("lm", "config.json", deep.p, deep.n));
	bd_buf_free(&deep);
	bad_copy("lm", "config.json", NULL, 0);
	assert_int_equal(mkdir("bad/config.json", 0777), 0);
	refuses_for("bad", "directory");
	bad_copy("lm", "config.json", NULL, 0);
	assert_int_equal(mkfifo("bad/config.json", 0666), 0);
	refuses_for("bad", "not a regular file");
	refuses(bad_edit("task", "config.json", "\"norms\": \"subln\"", "\"norms\": \"many\""));
	refuses(bad_edit("task", "config.json", "{left}", "{middle}"));
	refuses(bad_edit("task", "config.json", "[\"-\", \"+\"]", "[\"-\", \"-\"]"));
	refuses(bad_copy("task", "tokenizer.json", NULL, 0)); /* labels, and nothing to make tokens of them */
	still_good(lm);
}

static void bad_weights(void **state)
{
	static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234\n";
	static const char index[] = "{\"weight_map\": {\"a\": \"../lm/model.safetensors\"}}";
	size_t n;
	char *w = bd_read_file("lm/model.safetensors", &n);

	(void)state;
	refuses(bad_copy("lm", "model.safetensors", NULL, 0));
	refuses(bad_copy("lm", "model.safetensors", lfs, strlen(lfs)));
	for (size_t k = 0; k < n; k += n / 40 + 1)
		refuses(bad_copy("lm", "model.safetensors", w, k));
	refuses(bad_copy("lm", "model.safetensors", w, n - 1));
	w[0] ^= 1;
	refuses(bad_copy("lm", "model.safetensors", w, n));
	w[0] ^= 1;
	memcpy(memmem(w, n, "F32", 3), "F99", 3);
	refuses_for(bad_copy("lm", "model.safetensors", w, n), "F99");
	memset(w, 0xff, 8);
	refuses(bad_copy("lm", "model.safetensors", w, n));
	bad_copy("lm", "model.safetensors", NULL, 0);
	bd_write_file("bad/pytorch_model.bin", "x", 1);
	refuses_for("bad", "pickle");
	bad_copy("lm", "model.safetensors", NULL, 0);
	bd_write_file("bad/model.safetensors.index.json", index, strlen(index));
	refuses_for("bad", "same directory");
	bd_free(w);
	still_good(lm);
}

static void bad_tokenizers(void **state)
{
	static const char *const edits[][2] = {
	    {"\"model\":", "\"modem\":"},
	    {"\"type\":\"BPE\"", "\"type\":\"Unigram\""},
	    {"\"merges\":", "\"merged\":"},
	    {"\"vocab\":{", "\"vocab\":{\"zzzz\":100000000,"},
	    {"\"vocab\":{", "\"vocab\":{\"zzzz\":-1,"},
	    {"\"vocab\":{", "\"vocab\":{\"zzzz\":7,"},
	    {"\"vocab\":{", "\"vocab\":[\"zzzz\","},
	    {"\"merges\":[", "\"merges\":[\"qqqq zzzz\","},
	    {"\"merges\":[", "\"merges\":[7,"},
	    {"(?i:", "(((?i:"},
	    {"\"Isolated\"", "\"Removing\""},
	    {"\"type\":\"NFC\"", "\"type\":\"NFX\""},
	    {"\"type\":\"Sequence\"", "\"type\":\"Whatever\""},
	    {"\"added_tokens\":[", "\"added_tokens\":[{\"id\":9,\"content\":\"<no>\"},"},
	    {"\"id\":362", "\"id\":\"362\""},
	    {"{", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++)
		refuses(bad_edit("lm", "tokenizer.json", edits[i][0], edits[i][1]));
	refuses(bad_copy("lm", "tokenizer.json", "", 0));
	refuses(bad_copy("lm", "tokenizer.json", "[]", 2));
	refuses(bad_copy("lm", "tokenizer.json", "\x80", 1));
	bad_copy("lm", "tokenizer.json", NULL, 0);
	assert_int_equal(mkdir("bad/tokenizer.json", 0777), 0);
	refuses("bad");
	still_good(lm);
}

/* Whatever a flipped byte makes of it, the file is refused, or opened and answers. */
static void maybe_opens(const char *path, size_t *opened)
{
	static const char *const row[] = {"one", "two", NULL};
	size_t live = bd_guard_live();
	bd_model *m = bd_open(path, 2);
	bd_session *s = bd_session_new(m);
	double p[64];

	if (m != NULL) {
		++*opened;
		if (bd_fields(m) == 3 && bd_classes(m) < 64)
			bd_classify(m, row, 3, p);
		bd_info(m);
		bd_session_free(s);
		bd_close(m);
	} else {
		nothing_left();
	}
	assert_int_equal(bd_guard_live(), live);
}

static void bad_packed_files(void **state)
{
	size_t n, opened = 0;
	char *g = bd_read_file("task.gguf", &n);

	(void)state;
	for (size_t k = 0; k < n; k += k < 400 ? 7 : n / 60 + 1) {
		bd_write_file("cut.gguf", g, k);
		refuses("cut.gguf");
	}
	bd_write_file("cut.gguf", g, n - 1);
	refuses("cut.gguf");
	bd_verify(false); /* its digests would refuse it */
	for (size_t k = 0; k < n; k += k < 200 ? 1 : n / 300 + 1) {
		g[k] ^= (char)(1 << k % 8);
		bd_write_file("flip.gguf", g, n);
		maybe_opens("flip.gguf", &opened);
		g[k] ^= (char)(1 << k % 8);
	}
	bd_verify(true);
	assert_true(opened > 0);
	memcpy(g + 4, "\x09", 1);
	bd_write_file("flip.gguf", g, n);
	refuses_for("flip.gguf", "version 9");
	bd_free(g);
	still_good(lm);
}

/* A GGUF file of an architecture that nobody here knows. */
static void other_architecture(void **state)
{
	struct bd_gguf_writer *w = bd_gguf_create("other.gguf");

	(void)state;
	bd_gguf_put_str(w, "general.architecture", "rwkv");
	bd_gguf_finish(w);
	refuses_for("other.gguf", "rwkv");
	still_good(lm);
}

/* ---- wrong calls ---- */

static void null_objects(void **state)
{
	const char *text;
	size_t n;
	uint32_t id;
	double p;

	(void)state;
	assert_null(bd_session_new(NULL));
	assert_null(bd_info(NULL));
	assert_null(bd_feed(NULL, &id, 1));
	assert_true(bd_encode(NULL, "x", 1, 0, &id, 1) < 0);
	assert_true(bd_decode(NULL, &id, 1, NULL, 0) < 0);
	assert_true(bd_prompt(NULL, "x", 1, NULL) < 0);
	assert_true(bd_chat(NULL, NULL, 0, NULL) < 0);
	assert_true(bd_ask(NULL, NULL, 0, NULL) < 0);
	assert_true(bd_next(NULL, &text, &n) < 0);
	assert_true(bd_rewind(NULL, 0) < 0);
	assert_true(bd_classify(NULL, NULL, 0, &p) < 0);
	assert_int_equal(bd_vocab(NULL) + bd_context(NULL) + bd_fields(NULL) + bd_classes(NULL), 0);
	assert_int_equal(bd_length(NULL) + (size_t)bd_is_end(NULL, 0), 0);
	assert_true(bd_field(NULL, 0) == NULL && bd_class(NULL, 0) == NULL && bd_finish(NULL) == NULL);
	bd_session_free(NULL);
	bd_close(NULL);
}

static void wrong_feeding(bd_session *s)
{
	uint32_t ids[] = {1, 2, 384, UINT32_MAX}, many[601] = {0};
	char byte;

	assert_null(bd_feed(s, NULL, 1));
	assert_null(bd_feed(s, ids, 0));
	assert_null(bd_feed(s, ids, 3));
	assert_null(bd_feed(s, ids + 3, 1));
	assert_null(bd_feed(s, many, 601));
	assert_non_null(strstr(bd_error(), "context of 600"));
	assert_int_equal(bd_length(s), 0);
	assert_non_null(bd_feed(s, many, 600));
	assert_null(bd_feed(s, ids, 1));
	assert_int_equal(bd_length(s), 600);
	assert_true(bd_rewind(s, 601) < 0);
	assert_int_equal(bd_rewind(s, 0), 0);
	assert_true(bd_encode(lm, NULL, 1, 0, ids, 4) < 0);
	assert_true(bd_encode(lm, "x", 1, 0, NULL, 4) < 0);
	assert_true(bd_encode(lm, "x", 1, 64, ids, 4) < 0);
	assert_true(bd_decode(lm, NULL, 1, &byte, 1) < 0);
	assert_true(bd_decode(lm, ids, 1, NULL, 1) < 0);
	assert_true(bd_decode(lm, ids + 2, 1, &byte, 1) < 0);
	assert_int_equal(bd_encode(lm, NULL, 0, 0, NULL, 0), 0);
}

static void wrong_options(bd_session *s)
{
	static const char *const none[] = {"x", NULL}, *const blank[] = {""};
	const size_t size = sizeof(bd_options);
	const bd_options bad[] = {
	    {.size = 0},
	    {.size = size + 1},
	    {.size = size, .temperature = -1},
	    {.size = size, .temperature = NAN},
	    {.size = size, .temperature = 1e9f},
	    {.size = size, .top_p = 1.5f},
	    {.size = size, .top_p = INFINITY},
	    {.size = size, .min_p = -0.1f},
	    {.size = size, .top_k = -1},
	    {.size = size, .repeat_penalty = 1e-9f},
	    {.size = size, .repeat_penalty = NAN},
	    {.size = size, .n_stop = 1},
	    {.size = size, .stop = none, .n_stop = 2},
	    {.size = size, .stop = blank, .n_stop = 1},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(bd_prompt(s, "x", 1, &bad[i]), BD_EARGUMENT);
		nothing_left();
	}
}

static void wrong_calls(void **state)
{
	static const char *const row[] = {"one", NULL, NULL};
	static const bd_chat_message odd[] = {{"wizard", "x"}}, missing[] = {{"user", NULL}};
	bd_options o = few();
	bd_model *task = bd_open("task", 1), *bare = bd_open("bare", 1);
	bd_session *s = bd_session_new(lm), *t = bd_session_new(task), *b = bd_session_new(bare);
	const char *text;
	char *long_text = bd_alloc(4000, 1);
	size_t n;
	double p[2];

	(void)state;
	assert_true(bd_next(s, &text, &n) < 0);
	wrong_feeding(s);
	wrong_options(s);
	assert_true(bd_next(s, NULL, &n) < 0);
	assert_int_equal(bd_prompt(s, "", 0, &o), BD_EDATA);
	assert_int_equal(bd_prompt(s, NULL, 0, &o), BD_EDATA);
	assert_int_equal(bd_prompt(s, NULL, 1, &o), BD_EARGUMENT);
	memset(long_text, 'z', 4000);
	assert_int_equal(bd_prompt(s, long_text, 4000, &o), BD_EDATA);
	assert_int_equal(bd_prompt(s, "\xff\xc0\x80 \xed\xa0\x80", 6, &o), 0); /* no UTF-8 */
	bd_free(rest_of(s));
	assert_int_equal(bd_chat(s, NULL, 0, &o), BD_EARGUMENT);
	assert_int_equal(bd_chat(s, missing, 1, &o), BD_EARGUMENT);
	o.chat_template = "latin";
	assert_int_equal(bd_chat(s, odd, 1, &o), BD_EDATA);
	o.chat_template = "chatml";
	assert_int_equal(bd_chat(s, odd, 1, &o), BD_EDATA);
	assert_int_equal(bd_ask(s, row, 2, &o), BD_EARGUMENT);
	assert_int_equal(bd_ask(t, row, 3, &o), BD_EARGUMENT);
	assert_int_equal(bd_classify(lm, row, 3, p), BD_EARGUMENT);
	assert_int_equal(bd_classify(task, row, 2, p), BD_EARGUMENT);
	assert_int_equal(bd_classify(task, NULL, 3, p), BD_EARGUMENT);
	assert_int_equal(bd_classify(task, row, 3, NULL), BD_EARGUMENT);
	assert_int_equal(bd_classify(task, row, 3, p), BD_EDATA); /* "right" is needed */
	assert_non_null(strstr(bd_error(), "\"right\""));
	assert_int_equal(bd_classify(task, (const char *const[]){"a", "b", NULL}, 3, p) >= 0, 1);
	assert_int_equal(bd_prompt(b, "x", 1, NULL), BD_EDATA);
	assert_non_null(strstr(bd_error(), "tokenizer"));
	assert_non_null(bd_feed(b, (const uint32_t[]){1}, 1));
	assert_int_equal(bd_encode(bare, "x", 1, 0, NULL, 0), BD_EDATA);
	still_good(lm);
	bd_session_free(s), bd_session_free(t), bd_session_free(b);
	bd_close(task), bd_close(bare);
	bd_free(long_text);
}

/* A refusal in the middle of a text changes nothing of it. */
static void text_goes_on(void **state)
{
	bd_session *s = bd_session_new(lm);
	bd_options o = few(), wrong = {.size = 1};
	struct bd_buf out = {0};
	const char *text;
	size_t n;

	(void)state;
	assert_int_equal(bd_prompt(s, PROMPT, strlen(PROMPT), &o), 0);
	bd_buf_str(&out, "");
	while (bd_next(s, &text, &n) > 0) {
		bd_buf_add(&out, text, n);
		assert_true(bd_prompt(s, "x", 1, &wrong) < 0);
		assert_true(bd_prompt(s, "", 0, &o) < 0);
		assert_null(bd_feed(s, (const uint32_t[]){9999}, 1));
		assert_true(bd_rewind(s, 100000) < 0);
	}
	assert_string_equal(out.p, expected);
	bd_buf_free(&out);
	bd_session_free(s);
}

/* ---- the host ---- */

static void fail_often(void *unused)
{
	struct sigaction before[32], after;
	sigset_t mask, now;
	uint32_t id = UINT32_MAX;

	(void)unused;
	for (int i = 1; i < 32; i++)
		sigaction(i, NULL, &before[i]);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (int i = 0; i < 3; i++) {
		bd_model *m = bd_open("task.gguf", 3);
		bd_session *s = bd_session_new(m);

		bd_open("nowhere", 2);
		bd_open("cut.gguf", 2);
		bd_open(bad_edit("lm", "tokenizer.json", "{", "{\"padding\": {}, \"truncation\": {}, "), 2);
		bd_feed(s, &id, 1);
		bd_prompt(s, "", 0, NULL);
		bd_session_free(s);
		bd_close(m);
	}
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (int i = 1; i < 32; i++) {
		sigaction(i, NULL, &after);
		if (after.sa_handler != before[i].sa_handler || sigismember(&mask, i) != sigismember(&now, i))
			_exit(50 + i);
	}
	_exit(0);
}

static void silent(void **state)
{
	struct child c = child_run(fail_often, NULL);

	(void)state;
	assert_int_equal(c.signal, 0);
	assert_int_equal(c.status, 0);
	assert_string_equal(c.err, "");
}

/* In a process that has chosen no kernels yet. */
static void wrong_environment(void *unused)
{
	(void)unused;
	setenv("BD_KERN", "abacus", 1);
	for (int i = 0; i < 2; i++)
		if (bd_open("nowhere", 2) != NULL || strstr(bd_error(), "BD_KERN=abacus") == NULL)
			_exit(1);
	_exit(bd_guard_live() == 0 ? 0 : 1);
}

static void environment(void **state)
{
	struct child c = child_run(wrong_environment, NULL);

	(void)state;
	assert_true(c.signal == 0 && c.status == 0);
}

static void use_in_child(void *session)
{
	uint32_t id = 1;

	if (bd_feed(session, &id, 1) != NULL || strstr(bd_error(), "fork") == NULL)
		_exit(1);
	bd_session_free(session);
	bd_close(lm);
	_exit(0);
}

static void forked(void **state)
{
	bd_session *s = bd_session_new(lm);
	struct child c = child_run(use_in_child, s);

	(void)state;
	assert_true(c.signal == 0 && c.status == 0);
	bd_session_free(s);
}

#ifndef BD_SAN
static void little_memory(void *unused)
{
	bool failed = false;

	(void)unused;
	for (rlim_t more = 0; more < 64 << 20; more += 1 << 20) {
		FILE *f = fopen("/proc/self/statm", "re");
		unsigned long pages = 0;
		bd_model *m;

		if (fscanf(f, "%lu", &pages) != 1)
			_exit(2);
		fclose(f);
		setrlimit(RLIMIT_AS, &(struct rlimit){pages * 4096 + more, RLIM_INFINITY});
		m = bd_open("lm", 2);
		failed = failed || m == NULL;
		bd_close(m);
	}
	setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
	lm = bd_open("lm", 2);
	still_good(lm);
	_exit(failed && bd_guard_live() > 0 ? 0 : 1);
}

static void limited_memory(void **state)
{
	struct child c = child_run(little_memory, NULL);

	(void)state;
	assert_string_equal(c.err, "");
	assert_true(c.signal == 0 && c.status == 0);
}
#endif

static void *use_in_thread(void *arg)
{
	bd_options o = few();

	for (int i = 0; i < 5; i++) {
		bd_session *s = bd_session_new(lm);
		const char *text;
		struct bd_buf out = {0};
		char wrong[32];
		size_t n;

		snprintf(wrong, sizeof(wrong), "nowhere%d", *(int *)arg);
		if (bd_open(wrong, 1) != NULL || strstr(bd_error(), wrong) == NULL)
			return "an error of another thread";
		bd_buf_str(&out, "");
		if (bd_prompt(s, PROMPT, strlen(PROMPT), &o) < 0)
			return "prompt";
		while (bd_next(s, &text, &n) > 0)
			bd_buf_add(&out, text, n);
		if (strcmp(out.p, expected) != 0)
			return "another text";
		bd_buf_free(&out);
		bd_session_free(s);
	}
	return NULL;
}

static void threads(void **state)
{
	pthread_t t[4];
	int number[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		number[i] = i;
		assert_int_equal(pthread_create(&t[i], NULL, use_in_thread, &number[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		void *what;

		pthread_join(t[i], &what);
		if (what != NULL)
			fail_msg("%s", (char *)what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts),
	    cmocka_unit_test(classes),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(no_files),
	    cmocka_unit_test(bad_configs),
	    cmocka_unit_test(bad_weights),
	    cmocka_unit_test(bad_tokenizers),
	    cmocka_unit_test(bad_packed_files),
	    cmocka_unit_test(other_architecture),
	    cmocka_unit_test(null_objects),
	    cmocka_unit_test(wrong_calls),
	    cmocka_unit_test(text_goes_on),
	    cmocka_unit_test(silent),
	    cmocka_unit_test(forked),
	    cmocka_unit_test(threads),
#ifndef BD_SAN
	    cmocka_unit_test(limited_memory),
#endif
	};

	const struct CMUnitTest before[] = {cmocka_unit_test(environment)};
	int failed = cmocka_run_group_tests(before, NULL, NULL);

	return cmocka_run_group_tests(tests, set_up, tear_down) + failed;
}
