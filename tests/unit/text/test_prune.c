/* Smaller vocabularies: what is kept, by hand for tokenizers of a dozen tokens; and for all golden ones, and
 * real ones in $BD_DATA, that texts whose tokens were kept are the same tokens, and that any text comes back.
 */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "child.h"
#include "text/prune.h"

#include <stdlib.h>

static const char *const names[] = {"bytes",       "llama3",  "gpt2",   "digits", "spm",    "metaspace",
                                    "unfused",     "gemma",   "flags",  "o200k",  "qwen35", "deepseek",
                                    "deepseek-v2", "literal", "merged", "odd"};

struct pruned {
	const struct bd_tok *whole;
	struct bd_tok *tok;
	size_t V;
	bool *keep;
	uint32_t *to;
};

static struct pruned begin(const struct bd_tok *whole, size_t more)
{
	size_t V = bd_tok_vocab(whole) + more;

	return (struct pruned){whole, NULL, V, bd_zalloc(V, sizeof(bool)), bd_alloc(V, sizeof(uint32_t))};
}

static void need(struct pruned *p, const char *text, size_t n)
{
	struct bd_ids ids = {0};

	bd_tok_encode(p->whole, text, n, BD_TOK_BOS | BD_TOK_EOS, &ids);
	for (size_t i = 0; i < ids.n; i++)
		p->keep[ids.id[i]] = true;
	bd_ids_free(&ids);
}

static void finish(struct pruned *p)
{
	p->tok = bd_tok_prune(p->whole, p->keep, p->V, p->to);
}

static void end(struct pruned *p)
{
	bd_tok_free(p->tok);
	bd_free(p->keep);
	bd_free(p->to);
}

/* The same tokens, renumbered. */
static void same_tokens(const struct pruned *p, const char *text, size_t n, const char *name)
{
	struct bd_ids want = {0}, got = {0};

	bd_tok_encode(p->whole, text, n, BD_TOK_BOS | BD_TOK_EOS, &want);
	bd_tok_encode(p->tok, text, n, BD_TOK_BOS | BD_TOK_EOS, &got);
	if (got.n != want.n)
		fail_msg("%s: %zu tokens, %zu expected: %.80s", name, got.n, want.n, text);
	for (size_t i = 0; i < got.n; i++) {
		const char *a = bd_tok_text(p->whole, want.id[i]), *b = bd_tok_text(p->tok, got.id[i]);

		if (got.id[i] != p->to[want.id[i]] || strcmp(a, b) != 0)
			fail_msg("%s: token %zu is \"%s\", not \"%s\": %.80s", name, i, b, a, text);
	}
	bd_ids_free(&want);
	bd_ids_free(&got);
}

/* What is encoded and decoded is what it is with the whole vocabulary. */
static void same_text(const struct pruned *p, const char *text, size_t n, const char *name)
{
	const struct bd_tok *tok[2] = {p->whole, p->tok};
	struct bd_buf back[2] = {{0}, {0}};

	for (int i = 0; i < 2; i++) {
		struct bd_ids ids = {0};

		bd_tok_encode(tok[i], text, n, BD_TOK_BOS, &ids);
		bd_tok_decode(tok[i], ids.id, ids.n, false, &back[i]);
		bd_ids_free(&ids);
	}
	if (back[0].n != back[1].n || (back[0].n > 0 && memcmp(back[0].p, back[1].p, back[0].n) != 0))
		fail_msg("%s: \"%.80s\" comes back as \"%.80s\"", name, back[0].p, back[1].p);
	bd_buf_free(&back[0]);
	bd_buf_free(&back[1]);
}

/* ---- by hand ---- */

/* A byte-level model whose vocabulary has a few of the bytes: A, B, C, D, and what they become. "CD" is made
 * after "AB" and before "ABC", "BC" is another way that is never taken to "ABC"; "DD" is not needed.
 * "DDD" is made by no merge. */
#define BYTES                                                                                                \
	"{\"added_tokens\":[{\"id\":11,\"content\":\"<end>\",\"special\":true},"                             \
	"{\"id\":12,\"content\":\"<pad>\",\"special\":true}],"                                               \
	"\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"          \
	"\"trim_offsets\":true,\"use_regex\":true},"                                                         \
	"\"padding\":{\"pad_id\":12},"                                                                       \
	"\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},"     \
	"{\"SpecialToken\":{\"id\":\"<end>\"}}],\"special_tokens\":{\"<end>\":{\"ids\":[11]}}},"             \
	"\"decoder\":{\"type\":\"ByteLevel\"},"                                                              \
	"\"model\":{\"type\":\"BPE\",%s\"vocab\":{\"A\":0,\"B\":1,\"C\":2,\"D\":3,\"DD\":4,\"AB\":5,"        \
	"\"CD\":6,\"BC\":7,\"ABC\":8,\"ABCABC\":9,\"DDDD\":10,\"DDD\":13},"                                  \
	"\"merges\":[[\"A\",\"B\"],[\"C\",\"D\"],[\"B\",\"C\"],[\"AB\",\"C\"],[\"A\",\"BC\"],[\"D\",\"D\"]," \
	"[\"DD\",\"DD\"],[\"ABC\",\"ABC\"]]}}"

/* Characters with byte fallback (a complete one is too long to write here). */
static char *pieces(bool fallback)
{
	struct bd_buf b = {0};

	bd_buf_str(&b, "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true}],"
	               "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
	               "\"content\":\"\u2581\"},\"pre_tokenizer\":null,\"post_processor\":null,"
	               "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\","
	               "\"pattern\":{\"String\":\"\u2581\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},"
	               "{\"type\":\"Fuse\"}]},"
	               "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,");
	bd_buf_fmt(&b, "\"byte_fallback\":%s,\"vocab\":{\"<unk>\":0", fallback ? "true" : "false");
	for (int i = 0; i < 256 && fallback; i++)
		bd_buf_fmt(&b, ",\"<0x%02X>\":%d", i, i + 1);
	bd_buf_str(&b, ",\"\u2581\":300,\"a\":301,\"é\":302,\"è\":303,\"aé\":304,\"\u2581aé\":305},"
	               "\"merges\":[[\"a\",\"é\"],[\"\u2581\",\"aé\"]]}}");
	return b.p;
}

struct by_hand {
	const char *name, *json, *need, *vocab, *merges;
};

/* vocab and merges: what is left of them, as bd_json_text writes them. */
static void check_by_hand(const struct by_hand *h)
{
	struct bd_tok *t = bd_tok_parse(h->json, strlen(h->json), h->name);
	struct pruned p = begin(t, 3);
	size_t n;

	need(&p, h->need, strlen(h->need));
	finish(&p);
	json_t *root = bd_json_parse(bd_tok_json(p.tok, &n), strlen(bd_tok_json(p.tok, NULL)), h->name),
	       *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
	char *got[2], name[8];

	for (int i = 0; i < 256; i++) { /* the same in all: not worth comparing */
		snprintf(name, sizeof(name), "<0x%02X>", (unsigned)i);
		json_object_del(vocab, name);
	}
	got[0] = bd_json_text(vocab, false);
	got[1] = bd_json_text(json_object_get(model, "merges"), false);
	assert_string_equal(got[0], h->vocab);
	assert_string_equal(got[1], h->merges);
	same_tokens(&p, h->need, strlen(h->need), h->name);
	bd_free(got[0]);
	bd_free(got[1]);
	json_decref(root);
	end(&p);
	bd_tok_free(t);
}

static void by_hand(void **state)
{
	char *plain = bd_sprintf(BYTES, ""), *ignore = bd_sprintf(BYTES, "\"ignore_merges\":true,"),
	     *fallback = pieces(true), *none = pieces(false);
	const struct by_hand cases[] = {
	    {"nothing", plain, "", "{\"A\":0,\"B\":1,\"C\":2,\"D\":3}", "[]"},
	    {"one merge", plain, "AB", "{\"A\":0,\"B\":1,\"C\":2,\"D\":3,\"AB\":4}", "[[\"A\",\"B\"]]"},
	    {"halves of halves", plain, "ABCABC",
	     "{\"A\":0,\"B\":1,\"C\":2,\"D\":3,\"AB\":4,\"ABC\":5,\"ABCABC\":6}",
	     "[[\"A\",\"B\"],[\"AB\",\"C\"],[\"ABC\",\"ABC\"]]"},
	    {"two tokens", plain, "ABCD", "{\"A\":0,\"B\":1,\"C\":2,\"D\":3,\"AB\":4,\"CD\":5}",
	     "[[\"A\",\"B\"],[\"C\",\"D\"]]"},
	    {"a whole piece", ignore, "DDDD", "{\"A\":0,\"B\":1,\"C\":2,\"D\":3,\"DD\":4,\"DDDD\":5}",
	     "[[\"D\",\"D\"],[\"DD\",\"DD\"]]"},
	    {"a piece that no merges make", ignore, "DDD", "{\"A\":0,\"B\":1,\"C\":2,\"D\":3,\"DDD\":6}",
	     "[]"},
	    {"characters become bytes", fallback, " a", "{\"<unk>\":0,\"\u2581\":257,\"a\":258}", "[]"},
	    {"pieces", fallback, " aé",
	     "{\"<unk>\":0,\"\u2581\":257,\"a\":258,\"é\":259,\"aé\":260,\"\u2581aé\":261}",
	     "[[\"a\",\"é\"],[\"\u2581\",\"aé\"]]"},
	    {"all characters", none, " a", "{\"<unk>\":0,\"\u2581\":1,\"a\":2,\"é\":3,\"è\":4}", "[]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_by_hand(&cases[i]);
	bd_free(plain);
	bd_free(ignore);
	bd_free(fallback);
	bd_free(none);
}

/* Ids outside the vocabulary: of added tokens, of the post-processor, of padding. */
static void other_ids(void **state)
{
	char *json = bd_sprintf(BYTES, "");
	struct bd_tok *t = bd_tok_parse(json, strlen(json), "test");
	struct pruned p = begin(t, 0);
	struct bd_ids ids = {0};

	(void)state;
	need(&p, "AB", 2);
	finish(&p);
	assert_int_equal(bd_tok_vocab(p.tok), 7);
	assert_int_equal(bd_tok_id(p.tok, "<end>"), 5);
	assert_int_equal(bd_tok_id(p.tok, "<pad>"), 6);
	bd_tok_encode(p.tok, "D<pad>", 6, BD_TOK_EOS, &ids);
	assert_int_equal(ids.n, 3);
	assert_true(ids.id[0] == 3 && ids.id[1] == 6 && ids.id[2] == 5);
	assert_non_null(strstr(bd_tok_json(p.tok, NULL), "{\"pad_id\":6}"));
	assert_true(p.to[4] == BD_NOT_KEPT && p.to[5] == 4 && p.to[12] == 6);
	bd_ids_free(&ids);
	end(&p);
	bd_tok_free(t);
	bd_free(json);
}

/* ---- golden tokenizers ---- */

/* Every third text is needed, the others are other texts. */
static void golden(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
		char *path = bd_sprintf("tests/golden/tok-%s.json", names[k]),
		     *cases = bd_sprintf("tests/golden/tok-%s.cases.json", names[k]);
		struct bd_tok *t = bd_tok_open(path);
		json_t *list = bd_json_load(cases), *c;
		struct pruned p = begin(t, 0);
		size_t i;

		json_array_foreach(list, i, c)
			if (i % 3 == 0)
				need(&p, json_string_value(json_object_get(c, "text")),
				     json_string_length(json_object_get(c, "text")));
		finish(&p);
		json_array_foreach(list, i, c) {
			const json_t *text = json_object_get(c, "text");

			if (i % 3 == 0)
				same_tokens(&p, json_string_value(text), json_string_length(text), names[k]);
			same_text(&p, json_string_value(text), json_string_length(text), names[k]);
		}
		assert_true(bd_tok_vocab(p.tok) < bd_tok_vocab(t));
		end(&p);
		json_decref(list);
		bd_tok_free(t);
		bd_free(path);
		bd_free(cases);
	}
}

/* ---- real ones ---- */

/* The tokens of some reviews; these and 10 MB of other texts. */
static void check_real(const char *dir, const char *model)
{
	enum { NEEDED = 200, OTHER = 10000000 };
	char *path = bd_sprintf("%s/corpus/mixed.jsonl.zst", dir), *tok = bd_sprintf("%s/%s", dir, model);
	struct bd_tok *t = bd_tok_open(tok);
	struct pruned p = begin(t, 0);
	json_t *needed[NEEDED];
	struct bd_in *in = bd_in_open(path);
	char *line;
	size_t n, other = 0;

	for (size_t i = 0; i < NEEDED; i++) {
		line = bd_in_line(in, &n);
		needed[i] = bd_json_parse(line, n, path);
		json_t *text = json_object_get(needed[i], "text");
		need(&p, json_string_value(text), json_string_length(text));
	}
	finish(&p);
	print_message("%s: %u of %u tokens\n", model, bd_tok_vocab(p.tok), bd_tok_vocab(t));
	for (size_t i = 0; i < NEEDED; i++) {
		json_t *text = json_object_get(needed[i], "text");

		same_tokens(&p, json_string_value(text), json_string_length(text), model);
		json_decref(needed[i]);
	}
	while (other < OTHER && (line = bd_in_line(in, &n)) != NULL) {
		json_t *j = bd_json_parse(line, n, path), *text = json_object_get(j, "text");
		size_t size = json_string_length(text);
		struct bd_ids ids = {0};
		struct bd_buf back = {0};

		bd_tok_encode(p.tok, json_string_value(text), size, BD_TOK_BOS, &ids);
		bd_tok_decode(p.tok, ids.id, ids.n, false, &back);
		if (back.n != size || memcmp(back.p, json_string_value(text), size) != 0)
			fail_msg("%s: does not come back: %.80s", model, json_string_value(text));
		other += size;
		bd_ids_free(&ids);
		bd_buf_free(&back);
		json_decref(j);
	}
	assert_true(other >= OTHER);
	bd_in_close(in);
	end(&p);
	bd_tok_free(t);
	bd_free(tok);
	bd_free(path);
}

static void real(void **state)
{
	static const char *const model[] = {"tokenizers/gpt2", "tokenizers/qwen3", "tokenizers/llama3.2",
	                                    "models/base-7m", "models/stories-3m"};
	const char *dir = getenv("BD_DATA");

	(void)state;
	if (dir == NULL) {
		print_message("SKIPPED: $BD_DATA is not set, so real tokenizers are not tested\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(model) / sizeof(*model); i++)
		check_real(dir, model[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_hand),
	    cmocka_unit_test(other_ids),
	    cmocka_unit_test(golden),
	    cmocka_unit_test(real),
	};

	return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
