/* Tokenizers against what Hugging Face's `tokenizers` answered (tests/golden/make_tokenizers.py), and, where
 * $BD_DATA has them, against llama.cpp's vectors for real vocabularies and on 10 MB of text. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/gguf.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <stdlib.h>

#define GOLDEN    "tests/golden/"
#define SEPARATOR "\n__ggml_vocab_test__\n"

static const char *const names[] = {"bytes",       "llama3",  "gpt2",   "digits", "spm",    "metaspace",
                                    "unfused",     "gemma",   "flags",  "o200k",  "qwen35", "deepseek",
                                    "deepseek-v2", "literal", "merged", "odd"};

/* ---- cases ---- */

static void same_ids(const char *what, const struct bd_ids *got, const uint32_t *want, size_t n)
{
	size_t i = 0;

	while (i < n && i < got->n && got->id[i] == want[i])
		i++;
	if (i < n || i < got->n)
		fail_msg("%s: %zu ids, %zu expected; token %zu differs: %d, %d expected", what, got->n, n, i,
		         i < got->n ? (int)got->id[i] : -1, i < n ? (int)want[i] : -1);
}

/* Token by token, as the continuation of nothing, the same text comes out, and never a broken character.
 * (What the stream cannot know is left out: bad sequences, and special tokens that Hugging Face shows.) */
static void check_parts(const struct bd_tok *t, const uint32_t *id, size_t n, const char *plain,
                        const char *what)
{
	struct bd_tok_stream s = {0};
	struct bd_buf parts = {0};

	bd_buf_str(&parts, "");
	for (size_t i = 0; i < n; i++) {
		bd_tok_stream(t, &s, id[i], &parts);
		assert_true(bd_utf8_valid(parts.p, parts.n));
		if (bd_tok_special(t, id[i]) && strstr(plain, bd_tok_text(t, id[i])) != NULL)
			plain = NULL;
		if (plain == NULL || strstr(plain, BD_REPLACEMENT) != NULL)
			break;
	}
	if (plain != NULL && strstr(plain, BD_REPLACEMENT) == NULL && strcmp(parts.p, plain))
		fail_msg("%s: in parts \"%s\", \"%s\" expected", what, parts.p, plain);
	bd_buf_free(&parts);
}

static void check_case(const struct bd_tok *t, const json_t *c, const char *name)
{
	const json_t *text = json_object_get(c, "text"), *ids = json_object_get(c, "ids");
	size_t n = json_array_size(ids);
	uint32_t *want = bd_alloc(n, sizeof(*want));
	struct bd_ids got = {0};
	struct bd_buf back = {0};
	char *what = bd_sprintf("%s: \"%s\"", name, json_string_value(text));

	for (size_t i = 0; i < n; i++)
		want[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
	bd_tok_encode(t, json_string_value(text), json_string_length(text), BD_TOK_BOS | BD_TOK_EOS, &got);
	same_ids(what, &got, want, n);
	for (int special = 0; special < 2; special++) {
		const json_t *decoded = json_object_get(c, special ? "decoded" : "plain");

		bd_buf_clear(&back);
		bd_tok_decode(t, want, n, special, &back);
		if (back.n != json_string_length(decoded) ||
		    (back.n && memcmp(back.p, json_string_value(decoded), back.n)))
			fail_msg("%s: decoded to \"%s\", \"%s\" expected", what, back.p,
			         json_string_value(decoded));
	}
	if (strlen(json_string_value(json_object_get(c, "plain"))) ==
	    json_string_length(json_object_get(c, "plain")))
		check_parts(t, want, n, json_string_value(json_object_get(c, "plain")), what);
	bd_buf_free(&back);
	bd_ids_free(&got);
	bd_free(want);
	bd_free(what);
}

/* Two places of the text, and the tokens between them. */
static void check_span(const struct bd_tok *t, const json_t *c, const char *name)
{
	const json_t *text = json_object_get(c, "text"), *want = json_object_get(c, "span");
	size_t v[4];
	struct bd_ids ids = {0};
	struct bd_span found;

	if (!json_is_array(want))
		return;
	for (size_t i = 0; i < 4; i++)
		v[i] = (size_t)json_integer_value(json_array_get(want, i));
	bd_tok_encode_spans(t, json_string_value(text), json_string_length(text), BD_TOK_BOS | BD_TOK_EOS,
	                    &(struct bd_span){v[0], v[1]}, 1, &ids, &found);
	if (found.begin != v[2] || found.end != v[3])
		fail_msg("%s: \"%s\": bytes %zu to %zu are tokens %zu to %zu, not %zu to %zu", name,
		         json_string_value(text), v[0], v[1], v[2], v[3], found.begin, found.end);
	bd_ids_free(&ids);
}

static void golden_cases(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		char *path = bd_sprintf(GOLDEN "tok-%s.json", names[k]),
		     *cases = bd_sprintf(GOLDEN "tok-%s.cases.json", names[k]);
		struct bd_tok *t = bd_tok_open(path);
		json_t *list = bd_json_load(cases), *c;
		size_t i;

		assert_true(json_array_size(list) > 50);
		json_array_foreach(list, i, c) {
			check_case(t, c, names[k]);
			check_span(t, c, names[k]);
		}
		json_decref(list);
		bd_tok_free(t);
		bd_free(path);
		bd_free(cases);
	}
}

/* ---- properties ---- */

/* Many spans at once: words of a text with and without added tokens share out the tokens among themselves. */
static void many_spans(void **state)
{
	static const char text[] = "the story<|end|> was good the thing inside <tool>yes";
	static const struct bd_span span[] = {{0, 3},   {3, 9},   {9, 16},  {16, 20},
	                                      {20, 25}, {25, 42}, {43, 49}, {49, 52}};
	enum { N = sizeof(span) / sizeof(*span) };
	struct bd_tok *t = bd_tok_open(GOLDEN "tok-bytes.json");
	struct bd_ids ids = {0};
	struct bd_span found[N];

	(void)state;
	bd_tok_encode_spans(t, text, strlen(text), 0, span, N, &ids, found);
	for (size_t i = 0; i < N; i++) {
		struct bd_buf back = {0};

		bd_tok_decode(t, ids.id + found[i].begin, found[i].end - found[i].begin, true, &back);
		assert_int_equal(back.n, span[i].end - span[i].begin);
		assert_memory_equal(back.p, text + span[i].begin, back.n);
		bd_buf_free(&back);
	}
	bd_ids_free(&ids);
	bd_tok_free(t);
}

static void encode_str(const struct bd_tok *t, const char *s, unsigned flags, struct bd_ids *out)
{
	out->n = 0;
	bd_tok_encode(t, s, strlen(s), flags, out);
}

static void invalid_bytes(void **state)
{
	(void)state;
	struct bd_tok *t = bd_tok_open(GOLDEN "tok-bytes.json");
	struct bd_ids a = {0}, b = {0};
	/* One U+FFFD for each of: C0, AF, the cut E3 81, ED A0 80 (three), the cut F0 9F 98. */
	encode_str(t, "a\xc0\xaf\xe3\x81z\xed\xa0\x80\xf0\x9f\x98", 0, &a);
	encode_str(t,
	           "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
	           0, &b);
	same_ids("invalid UTF-8", &a, b.id, b.n);
	bd_ids_free(&a);
	bd_ids_free(&b);
	bd_tok_free(t);
}

static void continuation(void **state)
{
	(void)state;
	struct bd_tok *t = bd_tok_open(GOLDEN "tok-spm.json");
	struct bd_ids whole = {0}, head = {0}, tail = {0};
	encode_str(t, "The story was good", BD_TOK_BOS, &whole);
	encode_str(t, "The story was", BD_TOK_BOS, &head);
	encode_str(t, " good", BD_TOK_CONT | BD_TOK_BOS, &tail);
	assert_int_equal(bd_tok_bos(t), 1);
	assert_int_equal(head.id[0], 1);
	for (size_t i = 0; i < tail.n; i++)
		bd_ids_push(&head, tail.id[i]);
	same_ids("head and continuation", &head, whole.id, whole.n);
	encode_str(t, "", BD_TOK_CONT, &tail);
	assert_int_equal(tail.n, 0);
	bd_ids_free(&whole);
	bd_ids_free(&head);
	bd_ids_free(&tail);
	bd_tok_free(t);
}

/* Token by token the same text comes out, never a broken character. */
static void check_stream(const struct bd_tok *t, const char *text)
{
	struct bd_ids ids = {0};
	struct bd_buf whole = {0}, parts = {0};
	struct bd_tok_stream s = {0};

	encode_str(t, text, BD_TOK_BOS, &ids);
	bd_tok_decode(t, ids.id, ids.n, false, &whole);
	for (size_t i = 0; i < ids.n; i++) {
		bd_tok_stream(t, &s, ids.id[i], &parts);
		assert_true(bd_utf8_valid(parts.p, parts.n));
	}
	assert_int_equal(s.n, 0);
	assert_string_equal(parts.p, whole.p);
	bd_ids_free(&ids);
	bd_buf_free(&whole);
	bd_buf_free(&parts);
}

static void streaming(void **state)
{
	(void)state;
	for (size_t k = 0; k < 5; k++) {
		char *path = bd_sprintf(GOLDEN "tok-%s.json", names[k]);
		struct bd_tok *t = bd_tok_open(path);

		check_stream(t, "The story \xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x9a\x80!");
		check_stream(t, "  two spaces");
		bd_tok_free(t);
		bd_free(path);
	}
}

/* A bad byte: U+FFFD in the stream at once, and one for each byte of the run in the whole text, as
 * ByteFallback does it. */
static void broken_bytes(void **state)
{
	(void)state;
	struct bd_tok *t = bd_tok_open(GOLDEN "tok-spm.json");
	uint32_t id[] = {(uint32_t)bd_tok_id(t, "<0xC3>"), (uint32_t)bd_tok_id(t, "<0xA9>"),
	                 (uint32_t)bd_tok_id(t, "<0xFF>"), (uint32_t)bd_tok_id(t, "a")};
	struct bd_buf whole = {0}, parts = {0};
	struct bd_tok_stream s = {0};
	assert_true(bd_tok_is_byte(t, id[0]) && !bd_tok_is_byte(t, id[3]));
	bd_tok_decode(t, id, 4, false, &whole);
	assert_string_equal(whole.p, BD_REPLACEMENT BD_REPLACEMENT BD_REPLACEMENT "a");
	for (size_t i = 0; i < 4; i++)
		bd_tok_stream(t, &s, id[i], &parts);
	assert_string_equal(parts.p, "\xc3\xa9" BD_REPLACEMENT "a");
	bd_buf_free(&whole);
	bd_buf_free(&parts);
	bd_tok_free(t);
}

static void getters(void **state)
{
	(void)state;
	struct bd_tok *t = bd_tok_open(GOLDEN "tok-bytes.json");
	uint32_t end = (uint32_t)bd_tok_id(t, "<|end|>");
	assert_true(bd_tok_special(t, end) && !bd_tok_special(t, end + 1));
	assert_int_equal(bd_tok_vocab(t), end + 2);
	assert_string_equal(bd_tok_text(t, end), "<|end|>");
	assert_null(bd_tok_text(t, end + 2));
	assert_int_equal(bd_tok_id(t, "no such token"), -1);
	assert_int_equal(bd_tok_bos(t), -1);
	assert_string_equal(bd_tok_ggml_model(t), "gpt2");
	assert_string_equal(bd_tok_ggml_pre(t), "qwen2");
	char *merge = bd_tok_merge_at(t, 0);
	assert_non_null(strchr(merge, ' '));
	bd_free(merge);
	bd_tok_free(t);
}

/* ---- the digest, and GGUF ---- */

static struct bd_tok *parse(const json_t *j)
{
	char *text = bd_json_text(j, true);
	struct bd_tok *t = bd_tok_parse(text, strlen(text), "test");

	bd_free(text);
	return t;
}

static void same_digest(const json_t *a, const json_t *b, bool same)
{
	struct bd_tok *x = parse(a), *y = parse(b);

	assert_int_equal(strcmp(bd_tok_digest(x), bd_tok_digest(y)) == 0, same);
	bd_tok_free(x);
	bd_tok_free(y);
}

/* The layout of the file and the spelling of merges do not change the digest; a merge, a
 * token and a step do. */
static void digests(void **state)
{
	(void)state;
	json_t *a = bd_json_load(GOLDEN "tok-bytes.json"), *b = json_deep_copy(a);
	json_t *merges = json_object_get(json_object_get(b, "model"), "merges");
	for (size_t i = 0; i < json_array_size(merges); i++) {
		const char *s = json_string_value(json_array_get(merges, i)), *space = strchr(s, ' ');

		json_array_set_new(merges, i, json_pack("[s%, s]", s, (size_t)(space - s), space + 1));
	}
	same_digest(a, b, true);
	json_array_remove(merges, json_array_size(merges) - 1);
	same_digest(a, b, false);
	json_decref(b);
	b = json_deep_copy(a);
	json_object_set_new(json_array_get(json_object_get(b, "added_tokens"), 0), "lstrip", json_true());
	same_digest(a, b, false);
	json_decref(b);
	b = json_deep_copy(a);
	json_object_set_new(b, "normalizer", json_null());
	same_digest(a, b, false);
	json_decref(a);
	json_decref(b);
}

static void inside_gguf(void **state)
{
	(void)state;
	char dir[] = "/tmp/bd-test-tok.XXXXXX";
	assert_non_null(mkdtemp(dir));
	char *path = bd_path(dir, "t.gguf");
	struct bd_tok *a = bd_tok_open(GOLDEN "tok-spm.json"), *b;
	struct bd_gguf_writer *w = bd_gguf_create(path);
	bd_gguf_put_str(w, "general.architecture", "llama");
	bd_gguf_put_str(w, "tokenizer.huggingface.json", bd_tok_json(a, NULL));
	bd_gguf_finish(w);
	b = bd_tok_open(path);
	assert_string_equal(bd_tok_digest(a), bd_tok_digest(b));
	bd_tok_free(a);
	bd_tok_free(b);
	bd_remove_tree(dir);
	bd_free(path);
}

/* ---- directories, and special tokens as plain text ---- */

/* The first and the last id of "the" with the tokenizer of a directory whose
 * tokenizer_config.json is `config`. */
static void ends_of(const char *dir, const char *config, bool keep, uint32_t end[2])
{
	json_t *j = bd_json_load(GOLDEN "tok-spm.json");
	char *file[2] = {bd_path(dir, "tokenizer.json"), bd_path(dir, "tokenizer_config.json")}, *text;
	struct bd_ids ids = {0};
	struct bd_tok *t, *again;

	if (!keep)
		json_object_set_new(j, "post_processor", json_null());
	text = bd_json_text(j, false);
	bd_write_file(file[0], text, strlen(text));
	bd_write_file(file[1], config, strlen(config));
	t = bd_tok_open(dir);
	/* as it travels in GGUF */
	again = bd_tok_parse(bd_tok_json(t, NULL), strlen(bd_tok_json(t, NULL)), "again");
	assert_string_equal(bd_tok_digest(t), bd_tok_digest(again));
	encode_str(again, "the", BD_TOK_BOS | BD_TOK_EOS, &ids);
	end[0] = ids.id[0];
	end[1] = ids.id[ids.n - 1];
	bd_ids_free(&ids);
	bd_tok_free(t);
	bd_tok_free(again);
	json_decref(j);
	bd_free(text);
	bd_free(file[0]);
	bd_free(file[1]);
}

static void config_flags(void **state)
{
	(void)state;
	static const char both[] = "{\"add_bos_token\":true,\"bos_token\":{\"content\":\"<s>\"},\"add_eos_"
	                           "token\":true,\"eos_token\":\"</s>\","
	                           "\"model_max_length\":1000000000000000019884624838656}";
	char dir[] = "/tmp/bd-test-tok.XXXXXX";
	uint32_t end[2];
	assert_non_null(mkdtemp(dir));
	ends_of(dir, both, false, end);
	assert_true(end[0] == 1 && end[1] == 2);
	ends_of(dir, "{\"bos_token\":\"<s>\"}", false, end);
	assert_true(end[0] > 2 && end[0] == end[1]);
	ends_of(dir, both, true, end); /* a post_processor decides alone */
	assert_true(end[0] == 1 && end[1] > 2);
	bd_remove_tree(dir);
}

static void plain_text(void **state)
{
	(void)state;
	struct bd_tok *t = bd_tok_open(GOLDEN "tok-bytes.json");
	struct bd_ids a = {0};
	struct bd_buf text = {0};
	encode_str(t, "<|end|><tool>", BD_TOK_PLAIN, &a);
	assert_true(a.n > 2 && !bd_tok_special(t, a.id[0]));
	assert_int_equal(a.id[a.n - 1], bd_tok_id(t, "<tool>")); /* added, but not special */
	bd_tok_decode(t, a.id, a.n, false, &text);
	assert_string_equal(text.p, "<|end|><tool>");
	encode_str(t, "<|end|><tool>", 0, &a);
	assert_int_equal(a.n, 2);
	bd_ids_free(&a);
	bd_buf_free(&text);
	bd_tok_free(t);
}

/* ---- what is refused ---- */

static void try_parse(void *j)
{
	bd_tok_free(parse(j));
}

/* Sets object[key] of a good tokenizer, where object is a path of keys, to the JSON text; it must be
 * refused with `complaint`. */
static void refused(const char *file, const char *object, const char *key, const char *value,
                    const char *complaint)
{
	json_t *j = bd_json_load(file), *o = object != NULL ? json_object_get(j, object) : j;
	json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);

	assert_non_null(v);
	assert_int_equal(json_object_set_new(o, key, v), 0);
	child_dies(try_parse, j, BD_DATA, complaint);
	json_decref(j);
}

static void refusals(void **state)
{
	(void)state;
	const char *b = GOLDEN "tok-bytes.json", *s = GOLDEN "tok-spm.json";
	refused(b, NULL, "normalizer", "{\"type\":\"BertNormalizer\"}", "BertNormalizer");
	refused(b, NULL, "normalizer",
	        "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\"}", "Replace");
	refused(b, NULL, "pre_tokenizer",
	        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\Gx\"},\"behavior\":\"Isolated\"}",
	        "\\G is not");
	refused(b, NULL, "pre_tokenizer", "{\"type\":\"Whitespace\"}", "Whitespace");
	refused(b, NULL, "pre_tokenizer", "{\"type\":\"Metaspace\",\"prepend_scheme\":\"odd\"}", "odd");
	refused(b, NULL, "post_processor", "{\"type\":\"BertProcessing\"}", "BertProcessing");
	refused(b, NULL, "decoder", "{\"type\":\"WordPiece\"}", "WordPiece");
	refused(b, NULL, "decoder", "null", "decoder");
	refused(b, NULL, "model", "{\"type\":\"Unigram\",\"vocab\":[]}", "Unigram");
	refused(b, NULL, "model", "null", "not a tokenizer.json");
	refused(b, NULL, "added_tokens", "[{\"id\":3,\"content\":\"<x>\"}]", "<x>");
	refused(b, "model", "dropout", "0.1", "dropout");
	refused(b, "model", "end_of_word_suffix", "\"</w>\"", "end_of_word_suffix");
	refused(b, "model", "merges", "[\"qq qqq\"]", "merge 0");
	refused(b, "model", "merges", "[7]", "merge 0");
	refused(b, "model", "merges", "null", "merges");
	refused(b, "model", "vocab", "{\"a\":0,\"b\":0}", "same id");
	refused(b, "model", "vocab", "{\"a\":-1}", "id of \"a\"");
	refused(b, "model", "vocab", "{\"a\":99999999999}", "id of \"a\"");
	refused(s, NULL, "post_processor",
	        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"</s>\"}}],"
	        "\"special_tokens\":{\"</s>\":{\"ids\":[1]}}}",
	        "without the text");
	refused(s, NULL, "post_processor",
	        "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{}},{\"Sequence\":{}}]}", "once");
	refused(s, NULL, "post_processor",
	        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{"
	        "\"Sequence\":{}}]}",
	        "\"x\" has no ids");
	refused(s, NULL, "post_processor",
	        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{"
	        "\"Sequence\":{}}],"
	        "\"special_tokens\":{\"x\":{\"ids\":[70000]}}}",
	        "outside the vocabulary");
}

/* ---- Unicode ---- */

static void classes(void **state)
{
	(void)state;
	size_t n[4] = {0}, words = 0;
	for (uint32_t c = 0; c < 0x110000; c++) {
		n[bd_char_class(c)]++;
		words += bd_word_char(c);
	}
	assert_int_equal(words, 144667);        /* as measured with tokenizers 0.23.3 */
	assert_int_equal(n[BD_LETTER], 141028); /* Unicode 16.0 */
	assert_int_equal(n[BD_NUMBER], 1911);
	assert_int_equal(n[BD_SPACE], 25);
}

/* A hundred thousand marks, out of order, after an e: sorted by class, the first cedilla composed. In
 * quadratic time this would take minutes. */
static void many_marks(void **state)
{
	(void)state;
	enum { N = 50000 };
	struct bd_buf text = {0}, want = {0}, got = {0};
	bd_buf_str(&text, "e");
	for (int i = 0; i < N; i++)
		bd_buf_str(&text, "\u0301\u0327");
	bd_buf_str(&text, "x\u1100\u1161\u11a8");
	bd_buf_str(&want, "\u0229");
	for (int i = 1; i < 2 * N; i++)
		bd_buf_str(&want, i < N ? "\u0327" : "\u0301");
	bd_buf_str(&want, "x\uac01");
	bd_nfc(text.p, text.n, &got);
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, want.n);
	bd_buf_free(&text);
	bd_buf_free(&want);
	bd_buf_free(&got);
}

/* ---- with real data ---- */

static const char *data(void)
{
	const char *dir = getenv("BD_DATA");

	if (dir == NULL) {
		print_message("SKIPPED: $BD_DATA is not set, so real tokenizers are not tested\n");
		skip();
	}
	return dir;
}

/* llama.cpp's vectors NAME.inp and NAME.out; returns how many. */
static size_t check_vectors(const struct bd_tok *t, const char *dir, const char *name)
{
	char *file[2] = {bd_sprintf("%s/tokenizers/ggml-vocab/ggml-vocab-%s.gguf.inp", dir, name),
	                 bd_sprintf("%s/tokenizers/ggml-vocab/ggml-vocab-%s.gguf.out", dir, name)};
	char *inp = bd_read_file(file[0], NULL), *out = bd_read_file(file[1], NULL), *s = inp, *line = out,
	     *end;
	size_t count = 0;

	for (; (end = strstr(s, SEPARATOR)) != NULL; s = end + strlen(SEPARATOR), count++) {
		struct bd_ids got = {0}, want = {0};
		char *what = bd_sprintf("%s, vector %zu", name, count);

		for (char *next; *line && *line != '\n'; line = next) {
			bd_ids_push(&want, (uint32_t)strtoul(line, &next, 10));
			next += strspn(next, " ");
		}
		line += *line == '\n';
		bd_tok_encode(t, s, (size_t)(end - s), 0, &got);
		same_ids(what, &got, want.id, want.n);
		bd_ids_free(&got);
		bd_ids_free(&want);
		bd_free(what);
	}
	for (int i = 0; i < 2; i++)
		bd_free(file[i]);
	bd_free(inp);
	bd_free(out);
	return count;
}

static void vectors(void **state)
{
	(void)state;
	static const char *const pair[][2] = {
	    {"qwen2", "qwen2.5"}, {"llama-bpe", "llama3.2"}, {"gpt-2", "gpt2"}};
	const char *dir = data();
	for (size_t i = 0; i < 3; i++) {
		char *path = bd_sprintf("%s/tokenizers/%s", dir, pair[i][1]);
		struct bd_tok *t = bd_tok_open(path);

		assert_true(check_vectors(t, dir, pair[i][0]) > 40);
		bd_tok_free(t);
		bd_free(path);
	}
}

/* A SentencePiece vocabulary as a tokenizer.json, as Hugging Face converts it: every way to put a piece
 * together from two others is a merge, ranked by the piece's score, then by the lengths of the halves. */
struct candidate {
	const char *piece;
	size_t left, right, order; /* bytes, and place before sorting */
	float score;
};

static size_t chars(const char *s, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += ((unsigned char)s[i] & 0xc0) != 0x80;
	return k;
}

static int by_score(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	size_t xl = chars(x->piece, x->left), yl = chars(y->piece, y->left);
	size_t xr = chars(x->piece + x->left, x->right), yr = chars(y->piece + y->left, y->right);

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	if (xl != yl)
		return xl > yl ? -1 : 1;
	return xr != yr ? xr > yr ? -1 : 1 : x->order < y->order ? -1 : 1;
}

static json_t *merges_of(const char *const *piece, const float *score, size_t n, const json_t *vocab)
{
	struct candidate *c = NULL;
	size_t count = 0, cap = 0;
	json_t *merges = json_array();

	for (size_t i = 0; i < n; i++)
		for (size_t len = strlen(piece[i]), cut = 1; cut < len; cut++) {
			if (json_object_getn(vocab, piece[i], cut) == NULL ||
			    json_object_get(vocab, piece[i] + cut) == NULL)
				continue;
			if (count == cap) {
				cap = cap ? 2 * cap : 1024;
				c = bd_resize(c, count, cap, sizeof(*c));
			}
			c[count] = (struct candidate){piece[i], cut, len - cut, count, score[i]};
			count++;
		}
	qsort(c, count, sizeof(*c), by_score);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(merges,
		                      json_pack("[s%, s]", c[i].piece, c[i].left, c[i].piece + c[i].left));
	bd_free(c);
	return merges;
}

static struct bd_tok *from_sentencepiece(const char *path)
{
	struct bd_gguf *g = bd_gguf_open(path);
	json_t *j = bd_json_load(GOLDEN "tok-spm.json"), *vocab = json_object(),
	       *model = json_object_get(j, "model");
	const void *tokens, *scores;
	uint32_t type;
	size_t n = bd_gguf_array(g, "tokenizer.ggml.tokens", &type, &tokens);

	assert_int_equal(bd_gguf_array(g, "tokenizer.ggml.scores", &type, &scores), n);
	for (size_t i = 0; i < n; i++)
		json_object_set_new(vocab, ((const char *const *)tokens)[i], json_integer((json_int_t)i));
	json_object_set_new(model, "merges", merges_of(tokens, scores, n, vocab));
	json_object_set_new(model, "vocab", vocab);
	json_object_del(j, "added_tokens");
	struct bd_tok *t = parse(j);
	json_decref(j);
	bd_gguf_close(g);
	return t;
}

static void sentencepiece_vectors(void **state)
{
	(void)state;
	const char *dir = data();
	char *path = bd_sprintf("%s/tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf", dir);
	struct bd_tok *t = from_sentencepiece(path);
	assert_int_equal(bd_tok_vocab(t), 32000);
	assert_true(check_vectors(t, dir, "llama-spm") > 40);
	bd_tok_free(t);
	bd_free(path);
}

/* What is encoded comes back from decoding. */
static void identity(const struct bd_tok *t, const char *text, size_t n, const char *name)
{
	struct bd_ids ids = {0};
	struct bd_buf back = {0};

	bd_tok_encode(t, text, n, BD_TOK_BOS, &ids);
	bd_tok_decode(t, ids.id, ids.n, false, &back);
	if (back.n != n || memcmp(back.p, text, n))
		fail_msg("%s: decoding does not give the text back: %.80s", name, text);
	bd_ids_free(&ids);
	bd_buf_free(&back);
}

static void corpus(void **state)
{
	(void)state;
	static const char *const model[] = {"models/base-7m", "models/stories-3m", "tokenizers/qwen3",
	                                    "tokenizers/llama3.2"};
	const char *dir = data();
	char *path = bd_sprintf("%s/corpus/mixed.jsonl.zst", dir);
	struct bd_tok *t[4];
	struct bd_buf all = {0};
	struct bd_in *in = bd_in_open(path);
	char *line;
	size_t n;
	for (size_t i = 0; i < 4; i++) {
		char *tok = bd_sprintf("%s/%s", dir, model[i]);

		t[i] = bd_tok_open(tok);
		bd_free(tok);
	}
	while (all.n < 10000000 && (line = bd_in_line(in, &n)) != NULL) {
		json_t *j = bd_json_parse(line, n, path), *text = json_object_get(j, "text");

		for (size_t i = 0; i < 4; i++)
			identity(t[i], json_string_value(text), json_string_length(text), model[i]);
		bd_buf_add(&all, json_string_value(text), json_string_length(text));
		json_decref(j);
	}
	assert_true(all.n >= 10000000);
	for (size_t i = 0; i < 4; i++) {
		if (i < 2)
			identity(t[i], all.p, all.n, model[i]);
		bd_tok_free(t[i]);
	}
	bd_in_close(in);
	bd_buf_free(&all);
	bd_free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_cases),  cmocka_unit_test(many_spans),
	    cmocka_unit_test(invalid_bytes), cmocka_unit_test(continuation),
	    cmocka_unit_test(streaming),     cmocka_unit_test(broken_bytes),
	    cmocka_unit_test(getters),       cmocka_unit_test(digests),
	    cmocka_unit_test(inside_gguf),   cmocka_unit_test(config_flags),
	    cmocka_unit_test(plain_text),    cmocka_unit_test(refusals),
	    cmocka_unit_test(classes),       cmocka_unit_test(many_marks),
	    cmocka_unit_test(vectors),       cmocka_unit_test(sentencepiece_vectors),
	    cmocka_unit_test(corpus),
	};

	return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
