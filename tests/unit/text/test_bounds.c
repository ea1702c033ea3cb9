/* What a tokenizer from anywhere may cost: time in proportion to the text (with its square, these would take
 * minutes), memory within stated bounds. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "text/stop.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <time.h>

#define GOLDEN "tests/golden/"
enum { TEXT = 1 << 20, SECONDS = 10 };

static json_t *golden(const char *name)
{
	char *path = bd_sprintf(GOLDEN "tok-%s.json", name);
	json_t *root = bd_json_load(path);

	bd_free(path);
	return root;
}

static struct bd_tok *tokenizer(json_t *root)
{
	char *text = json_dumps(root, 0);
	struct bd_tok *t = bd_tok_parse(text, strlen(text), "test");

	free(text);
	json_decref(root);
	return t;
}

static char *repeated(const char *what, size_t n)
{
	size_t len = strlen(what);
	char *s = bd_alloc(n + 1, 1);

	for (size_t i = 0; i < n; i++)
		s[i] = what[i % len];
	s[n] = '\0';
	return s;
}

/* Adds a token; flag, other than NULL, is set. */
static json_t *with_token(json_t *root, const char *text, const char *flag)
{
	json_t *list = json_object_get(root, "added_tokens");
	json_t *token = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
	                          (json_int_t)(5000 + json_array_size(list)), "content", text, "single_word",
	                          0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);

	if (flag != NULL)
		json_object_set_new(token, flag, json_true());
	json_array_append_new(list, token);
	return root;
}

/* Encodes n bytes of `what` repeated, and decodes them as a whole and in parts; returns how many ids. */
static size_t quick(struct bd_tok *t, const char *what, size_t n)
{
	char *s = repeated(what, n);
	struct bd_ids ids = {0};
	struct bd_buf back = {0};
	struct bd_tok_stream stream = {0};
	clock_t begin = clock();
	size_t count;

	bd_tok_encode(t, s, n, 0, &ids);
	bd_tok_decode(t, ids.id, ids.n, true, &back);
	for (size_t i = 0; i < ids.n; i++)
		bd_tok_stream(t, &stream, ids.id[i], &back);
	if (clock() - begin > SECONDS * CLOCKS_PER_SEC)
		fail_msg("%zu bytes of \"%s\" took %.1f s", n, what,
		         (double)(clock() - begin) / CLOCKS_PER_SEC);
	count = ids.n;
	bd_ids_free(&ids);
	bd_buf_free(&back);
	bd_free(s);
	return count;
}

static void added_tokens(void **state)
{
	static const char *const flags[] = {"lstrip", "rstrip"};
	char *nearly = repeated("a", 100001), name[16];
	json_t *many = golden("bytes");
	struct bd_tok *t;

	(void)state;
	nearly[100000] = 'b';
	t = tokenizer(with_token(golden("bytes"), nearly, NULL));
	assert_int_equal(quick(t, nearly, 100001), 1);
	quick(t, "a", TEXT);
	bd_tok_free(t);
	for (size_t i = 0; i < 2; i++) { /* each blank is a token, and each takes all that are left */
		t = tokenizer(with_token(golden("bytes"), " ", flags[i]));
		assert_int_equal(quick(t, " ", TEXT), TEXT);
		bd_tok_free(t);
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "<%d>", i);
		with_token(many, name, NULL);
	}
	t = tokenizer(many);
	assert_int_equal(quick(t, "<7><19999>", TEXT / 10 * 10), TEXT / 10 * 2);
	bd_tok_free(t);
	bd_free(nearly);
}

/* One piece that nothing splits, and marks without a letter. */
static void long_pieces(void **state)
{
	static const char *const names[] = {"bytes", "gpt2", "spm", "gemma"},
	                         *const texts[] = {"the",
	                                           " ",
	                                           "\n",
	                                           " \t",
	                                           "\xcc\x81\xcc\xa7",
	                                           "'",
	                                           "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8",
	                                           "\xe2\x96\x81"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct bd_tok *t = tokenizer(golden(names[i]));

		for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++)
			quick(t, texts[k], 1 << 18);
		bd_tok_free(t);
	}
}

static json_t *replace(const char *from, const char *to)
{
	return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content", to);
}

static json_t *splitting(const char *regex)
{
	json_t *root = golden("bytes");

	json_object_set_new(root, "pre_tokenizer",
	                    json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s, s:b, s:b}]}", "type", "Sequence",
	                              "pretokenizers", "type", "Split", "pattern", "Regex", regex, "behavior",
	                              "Isolated", "type", "ByteLevel", "add_prefix_space", 0, "use_regex",
	                              0));
	return root;
}

/* Patterns that are slow in other hands end; those that could not are refused. */
static void patterns(void **state)
{
	static const char *const fine[] = {"\\s+$", "\\p{L}+", "[ab]+c", "(a|aa)+$", "(?:a|b)*c", ".*?x"};

	(void)state;
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		struct bd_tok *t = tokenizer(splitting(fine[i]));

		quick(t, "ab", TEXT / 4);
		quick(t, " ", TEXT / 4);
		bd_tok_free(t);
	}
}

static void encode_slowly(void *arg)
{
	char *text = repeated("ab", 100000);
	struct bd_ids ids = {0};

	text[99998] = 'd';
	text[99999] = 'c';
	bd_tok_encode(tokenizer(splitting(arg)), text, 100000, 0, &ids);
}

static void endless_patterns(void **state)
{
	(void)state;
	child_dies(encode_slowly, "(?:a|b|ab)+c", BD_DATA, "(?:a|b|ab)+c takes too many steps");
	child_dies(encode_slowly, "(?=.*x)a|.", BD_DATA, "(?=.*x)a|. reads too much of a text");
}

/* A search that nearly succeeds everywhere. */
static void replacements(void **state)
{
	char *nearly = repeated("a", 50001);
	json_t *root = golden("bytes");
	struct bd_tok *t;

	(void)state;
	nearly[50000] = 'b';
	json_object_set_new(root, "normalizer", replace(nearly, "c"));
	t = tokenizer(root);
	quick(t, "a", TEXT);
	bd_tok_free(t);
	bd_free(nearly);
}

/* Eight times 64 for 1 make of one byte 2^48. */
static void encode_bomb(void *arg)
{
	char *more = repeated("x", 64);
	json_t *steps = json_array(), *root = golden(arg);
	struct bd_ids ids = {0};

	for (int i = 0; i < 8; i++)
		json_array_append_new(steps, replace("x", more));
	json_object_set_new(root, "normalizer",
	                    json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps));
	bd_tok_encode(tokenizer(root), "x", 1, 0, &ids);
}

static void decode_bomb(void *arg)
{
	char *more = repeated("e", 64);
	json_t *steps = json_array(), *root = golden(arg);
	struct bd_tok *t;
	struct bd_ids ids = {0};
	struct bd_buf out = {0};

	for (int i = 0; i < 4; i++)
		json_array_append_new(steps, replace("e", more));
	json_array_append_new(steps, json_pack("{s:s}", "type", "Fuse"));
	json_object_set_new(root, "decoder", json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps));
	t = tokenizer(root);
	bd_tok_encode(t, "the", 3, 0, &ids);
	bd_tok_decode(t, ids.id, ids.n, true, &out);
}

static void prepend_bomb(void *arg)
{
	json_t *root = golden(arg);
	struct bd_ids ids = {0};

	json_object_set_new(root, "normalizer",
	                    json_pack("{s:s, s:s}", "type", "Prepend", "prepend", repeated("x", 1000)));
	bd_tok_encode(tokenizer(root), "x", 1, 0, &ids);
}

static void far_id(void *arg)
{
	json_t *root = golden(arg);

	json_object_set_new(json_object_get(json_object_get(root, "model"), "vocab"), "far",
	                    json_integer(16000000));
	tokenizer(root);
}

static void long_entry(void *arg)
{
	json_t *root = golden(arg);

	json_object_set_new(json_object_get(json_object_get(root, "model"), "vocab"),
	                    repeated("x", (1 << 20) + 1), json_integer(9000));
	tokenizer(root);
}

static void long_token(void *arg)
{
	tokenizer(with_token(golden(arg), repeated("x", (1 << 20) + 1), NULL));
}

static void many_firsts(void *arg)
{
	json_t *root = golden(arg), *single = json_pack("[{s:{s:s}}]", "Sequence", "id", "A");

	for (int i = 0; i < 300; i++)
		json_array_insert_new(single, 0, json_pack("{s:{s:s}}", "SpecialToken", "id", "<|end|>"));
	json_object_set_new(root, "post_processor",
	                    json_pack("{s:s, s:o, s:{s:{s:[i]}}}", "type", "TemplateProcessing", "single",
	                              single, "special_tokens", "<|end|>", "ids", 1));
	tokenizer(root);
}

static void memory(void **state)
{
	(void)state;
	child_dies(encode_bomb, "bytes", BD_DATA, "more than 64 times");
	child_dies(prepend_bomb, "bytes", BD_DATA, "more than 64 times");
	child_dies(decode_bomb, "spm", BD_DATA, "more than 64 times");
	child_dies(far_id, "bytes", BD_DATA, "\"far\" has the id 16000000");
	child_dies(long_entry, "bytes", BD_DATA, "has 1048577 bytes");
	child_dies(long_token, "bytes", BD_DATA, "has 1048577 bytes");
	child_dies(many_firsts, "bytes", BD_DATA, "more than 256 tokens before or after");
}

/* Stop strings of which every text is the beginning. */
static void stop_strings(void **state)
{
	char *nearly = repeated("a", 100001), *halves = repeated("a", 100001), *s = repeated("a", TEXT);
	const char *string[] = {nearly, halves};
	struct bd_stop stop = {.string = string, .n = 2};
	struct bd_buf out = {0};
	clock_t begin = clock();

	(void)state;
	nearly[100000] = halves[50000] = 'b';
	for (size_t i = 0; i < TEXT; i += 4)
		assert_null(bd_stop_add(&stop, s + i, 4, &out));
	assert_int_equal(out.n, TEXT - 100000);
	assert_ptr_equal(bd_stop_add(&stop, "b", 1, &out), nearly);
	assert_int_equal(out.n, TEXT - 100000);
	assert_true(clock() - begin < SECONDS * CLOCKS_PER_SEC);
	bd_buf_free(&out);
	bd_stop_free(&stop);
	bd_free(nearly);
	bd_free(halves);
	bd_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(added_tokens),     cmocka_unit_test(long_pieces),
	    cmocka_unit_test(replacements),     cmocka_unit_test(patterns),
	    cmocka_unit_test(endless_patterns), cmocka_unit_test(memory),
	    cmocka_unit_test(stop_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
