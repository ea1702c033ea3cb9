#include "text/tok_gguf.h"

#include "base/mem.h"
#include "text/tok_norm.h"
#include "text/tok_pre.h"
#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY     "tokenizer.ggml."
#define LONGEST 1024 /* bytes of a token that merges make */

/* Kinds of token. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

/* ---- what tokenizer.ggml.pre means ---- */

enum { NFC = 1, WHOLE = 2, BOS = 4 }; /* normal form; ignore_merges; a first token unless a key says no */

/* llama.cpp's names (src/llama-vocab.cpp; falcon_e: Microsoft's), and the patterns that cut in turn: "@NAME"
 * is one of tok_pre.h, "#" single digits. */
static const struct rule {
	const char *names;
	int flags;
	const char *split[6];
} rules[] = {
    {" default ", 0, {"[\\p{P}\\$\\+<=>\\^~\\|]+", "@gpt-2", "\\p{N}+", "[0-9][0-9][0-9]"}},
    {" gpt-2 phi-2 mpt olmo jais trillion gigachat mellum modern-bert granite-docling ", 0, {"@gpt-2"}},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b ", 0, {"#", "@gpt-2"}},
    {" qwen2 ", NFC, {"@qwen2"}},
    {" qwen35 ", NFC, {"@qwen35"}},
    {" deepseek-r1-qwen stablelm2 megrez hunyuan solar-open ", 0, {"@qwen2"}},
    {" llama-bpe llama3 llama-v3 falcon3 falcon_e falcon-h1 pixtral midm-2.0 lfm2 ",
     WHOLE | BOS,
     {"@llama-bpe"}},
    {" dbrx smaug-bpe ", 0, {"@llama-bpe"}},
    {" gpt-4o ", 0, {"@gpt-4o"}},
    {" falcon ", 0, {"[\\p{P}\\$\\+<=>\\^~\\|`]+", "@gpt-2", "[0-9][0-9][0-9]"}},
    {" deepseek-coder ", 0, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "#"}},
    {" deepseek-v3 ",
     0,
     {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
      " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {" tekken ",
     WHOLE | BOS,
     {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
      "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
};

struct source {
	const struct bd_gguf *g;
	const char *const *token; /* [n] */
	const int32_t *type;      /* [n]; NULL: all NORMAL */
	const float *score;       /* [n]; NULL: gpt2 */
	size_t n;
	bool llama; /* SentencePiece: with scores instead of merges */
	const struct rule *rule;
	char *why;
	json_t *root, *model, *vocab;
};

static const struct rule *rule_named(const char *pre)
{
	char *name = bd_sprintf(" %s ", pre);
	const struct rule *found = NULL;

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (strchr(pre, ' ') == NULL && strstr(rules[i].names, name) != NULL)
			found = &rules[i];
	bd_free(name);
	return found;
}

/* Files of Llama 3's vocabulary from before the key existed, such as BitNet b1.58 2B4T's, are recognised. */
static void find_rule(struct source *s)
{
	const char *pre = bd_gguf_str_or(s->g, KEY "pre", NULL);

	for (size_t i = 0; pre == NULL && i < s->n; i++)
		if (strcmp(s->token[i], "<|begin_of_text|>") == 0)
			pre = "llama-bpe";
	if (pre == NULL) {
		s->why = bd_strdup("has no key " KEY "pre, which says how its tokenizer cuts words");
		return;
	}
	s->rule = rule_named(pre);
	if (s->rule == NULL)
		s->why =
		    bd_sprintf(KEY "pre \"%.40s\" is unknown; bd-model(5) lists those that are read", pre);
}

/* ---- reading the keys ---- */

/* An array of s->n elements; NULL: absent, or *why. */
static const void *column(struct source *s, const char *key, uint32_t type)
{
	const void *data;
	uint32_t elem;

	if (!bd_gguf_has(s->g, key))
		return NULL;
	if (bd_gguf_array(s->g, key, &elem, &data) == s->n && elem == type)
		return data;
	s->why =
	    bd_sprintf("%s does not have an entry of the right type for each of the %zu tokens", key, s->n);
	return NULL;
}

static void open_source(struct source *s)
{
	const char *model = bd_gguf_str_or(s->g, KEY "model", NULL);
	const void *data;
	uint32_t type;

	if (model == NULL) {
		s->why = bd_strdup("has no tokenizer: key " KEY "model is missing");
		return;
	}
	s->llama = strcmp(model, "llama") == 0;
	if (!s->llama && strcmp(model, "gpt2") != 0) {
		s->why = bd_sprintf(
		    "has a tokenizer of the kind \"%.20s\"; only gpt2 and llama are supported", model);
		return;
	}
	static const char *const needed[2] = {KEY "merges", KEY "scores"};
	const char *lacks = !bd_gguf_has(s->g, KEY "tokens")       ? KEY "tokens"
	                    : !bd_gguf_has(s->g, needed[s->llama]) ? needed[s->llama]
	                                                           : NULL;
	if (lacks != NULL) {
		s->why = bd_sprintf("has an incomplete tokenizer: key %s is missing", lacks);
		return;
	}
	s->n = bd_gguf_array(s->g, KEY "tokens", &type, &data);
	s->token = data;
	if (type != BD_GGUF_STR) {
		s->why = bd_strdup(KEY "tokens is not an array of strings");
		return;
	}
	s->type = column(s, KEY "token_type", BD_GGUF_I32);
	s->score = s->why == NULL && s->llama ? column(s, KEY "scores", BD_GGUF_F32) : NULL;
	if (s->why == NULL && !s->llama)
		find_rule(s);
}

static int type_of(const struct source *s, size_t id)
{
	return s->type != NULL ? s->type[id] : NORMAL;
}

/* "[PAD7]" with id 7 fills up the model's rows: it is no token. */
static bool padding(const struct source *s, size_t id)
{
	char name[32];

	snprintf(name, sizeof(name), "[PAD%zu]", id);
	return type_of(s, id) == UNUSED || strcmp(s->token[id], name) == 0;
}

/* The id of a key; -1: none, or not one of the tokens. */
static json_int_t special(const struct source *s, const char *key)
{
	uint64_t id = bd_gguf_uint_or(s->g, key, UINT64_MAX);

	return id < s->n && !padding(s, (size_t)id) ? (json_int_t)id : -1;
}

static bool flag(const struct source *s, const char *key, bool def)
{
	return bd_gguf_uint_or(s->g, key, def) != 0;
}

/* ---- vocabulary and added tokens ---- */

/* Where whole words are looked up before merges, added tokens must not be among them. */
static void put_tokens(struct source *s)
{
	json_t *added = json_array();
	bool whole = s->rule != NULL && (s->rule->flags & WHOLE) != 0;

	for (size_t i = 0; i < s->n && s->why == NULL; i++) {
		int type = type_of(s, i);
		bool is_added = type == CONTROL || type == USER_DEFINED || (type == UNKNOWN && s->llama);

		if (padding(s, i) || *s->token[i] == '\0')
			continue;
		if (!(is_added && whole) && json_object_get(s->vocab, s->token[i]) == NULL &&
		    json_object_set_new(s->vocab, s->token[i], json_integer((json_int_t)i)) != 0)
			s->why = bd_sprintf(KEY "tokens: token %zu is not valid UTF-8", i);
		if (is_added && s->why == NULL)
			json_array_append_new(added,
			                      json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
			                                (json_int_t)i, "content", s->token[i], "single_word",
			                                false, "lstrip", false, "rstrip", false, "normalized",
			                                false, "special", type != USER_DEFINED));
	}
	json_object_set_new(s->root, "added_tokens", added);
}

/* ---- merges ---- */

static void put_merges(struct source *s)
{
	json_t *list = json_array();
	const char *const *merge;
	const void *data;
	uint32_t type;
	size_t n = bd_gguf_array(s->g, KEY "merges", &type, &data);

	merge = data;
	for (size_t i = 0; type == BD_GGUF_STR && i < n; i++)
		json_array_append_new(list, json_string(merge[i]));
	if (json_array_size(list) != n)
		s->why = bd_strdup(KEY "merges is not an array of valid UTF-8");
	json_object_set_new(s->model, "merges", list);
}

/* A token cut in two tokens. */
struct cut {
	float score;
	uint32_t id, left, right; /* left, right: characters */
	size_t bytes;             /* of the left one */
};

/* The better score first, then as transformers orders equal ones (generate_merges). */
static int by_score(const void *a, const void *b)
{
	const struct cut *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	if (x->left != y->left)
		return x->left > y->left ? -1 : 1;
	if (x->right != y->right)
		return x->right > y->right ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

struct cuts {
	struct cut *v;
	size_t n, cap;
};

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* The ways in which token `id` is two others; none of one longer than any vocabulary has, since the time is
 * quadratic in its length. */
static void cut_token(const struct source *s, size_t id, struct cuts *c)
{
	const char *t = s->token[id];
	size_t n = strlen(t), all = characters(t), left = 0, len;

	for (size_t i = 0; n <= LONGEST && i < n; i += len) {
		bd_utf8(t + i, &len);
		left++;
		if (i + len >= n || json_object_getn(s->vocab, t, i + len) == NULL ||
		    json_object_get(s->vocab, t + i + len) == NULL)
			continue;
		if (c->n == c->cap) {
			c->v = bd_resize(c->v, c->n, 2 * c->cap + 1024, sizeof(*c->v));
			c->cap = 2 * c->cap + 1024;
		}
		c->v[c->n++] = (struct cut){.score = s->score[id],
		                            .id = (uint32_t)id,
		                            .left = (uint32_t)left,
		                            .right = (uint32_t)(all - left),
		                            .bytes = i + len};
	}
}

/* SentencePiece merges the pair that makes the piece with the best score: a merge's rank is the score's. */
static void make_merges(struct source *s)
{
	json_t *list = json_array();
	struct cuts c = {0};

	for (size_t i = 0; i < s->n; i++)
		if ((type_of(s, i) == NORMAL || type_of(s, i) == USER_DEFINED) && s->score[i] == s->score[i])
			cut_token(s, i, &c);
	if (c.n > 0)
		qsort(c.v, c.n, sizeof(*c.v), by_score);
	for (size_t i = 0; i < c.n; i++) {
		const char *t = s->token[c.v[i].id];

		json_array_append_new(list, json_pack("[s#, s]", t, (int)c.v[i].bytes, t + c.v[i].bytes));
	}
	bd_free(c.v);
	json_object_set_new(s->model, "merges", list);
}

/* ---- steps ---- */

static json_t *step_of(const char *split)
{
	if (*split == '#')
		return json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", true);
	return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
	                 *split == '@' ? bd_pre_pattern(split + 1) : split, "behavior", "Isolated", "invert",
	                 false);
}

static json_t *byte_level(bool prefix)
{
	return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix,
	                 "trim_offsets", true, "use_regex", false);
}

static void put_bytes_steps(struct source *s)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < 6 && s->rule->split[i] != NULL; i++)
		json_array_append_new(steps, step_of(s->rule->split[i]));
	json_array_append_new(steps, byte_level(flag(s, KEY "add_space_prefix", false)));
	json_object_set_new(s->root, "pre_tokenizer",
	                    json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps));
	if ((s->rule->flags & NFC) != 0)
		json_object_set_new(s->root, "normalizer", json_pack("{s:s}", "type", "NFC"));
	json_object_set_new(s->root, "decoder", byte_level(true));
	json_object_set_new(s->model, "ignore_merges", json_boolean((s->rule->flags & WHOLE) != 0));
}

static json_t *replace(const char *from, const char *to)
{
	return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content", to);
}

static void put_spaces_steps(struct source *s)
{
	bool prefix = flag(s, KEY "add_space_prefix", true), bytes = false;
	json_t *norm = json_array(), *dec = json_array();
	json_int_t unk = special(s, KEY "unknown_token_id");

	if (prefix)
		json_array_append_new(norm,
		                      json_pack("{s:s, s:s}", "type", "Prepend", "prepend", BD_METASPACE));
	json_array_append_new(norm, replace(" ", BD_METASPACE));
	json_array_append_new(dec, replace(BD_METASPACE, " "));
	json_array_append_new(dec, json_pack("{s:s}", "type", "ByteFallback"));
	json_array_append_new(dec, json_pack("{s:s}", "type", "Fuse"));
	if (prefix)
		json_array_append_new(dec, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ",
		                                     "start", 1, "stop", 0));
	json_object_set_new(s->root, "normalizer",
	                    json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", norm));
	json_object_set_new(s->root, "decoder", json_pack("{s:s, s:o}", "type", "Sequence", "decoders", dec));
	for (size_t i = 0; i < s->n; i++) {
		bytes = bytes || type_of(s, i) == BYTE;
		unk = unk < 0 && type_of(s, i) == UNKNOWN ? (json_int_t)i : unk;
	}
	json_object_set_new(s->model, "byte_fallback", json_boolean(bytes));
	json_object_set_new(s->model, "fuse_unk", json_true());
	if (unk >= 0)
		json_object_set_new(s->model, "unk_token", json_string(s->token[unk]));
}

/* Appends the special token to the template. */
static void put_special(const struct source *s, json_t *template, json_int_t id)
{
	const char *text = id >= 0 ? s->token[id] : NULL;

	if (text == NULL)
		return;
	json_array_append_new(json_object_get(template, "single"),
	                      json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", text, "type_id", 0));
	json_object_set_new(json_object_get(template, "special_tokens"), text,
	                    json_pack("{s:s, s:[I], s:[s]}", "id", text, "ids", id, "tokens", text));
}

static void put_template(struct source *s)
{
	bool bos = flag(s, KEY "add_bos_token", s->llama || (s->rule->flags & BOS) != 0),
	     eos = flag(s, KEY "add_eos_token", false);
	json_t *t = json_pack("{s:s, s:[], s:[], s:{}}", "type", "TemplateProcessing", "single", "pair",
	                      "special_tokens");

	if (bos)
		put_special(s, t, special(s, KEY "bos_token_id"));
	json_array_append_new(json_object_get(t, "single"),
	                      json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
	if (eos)
		put_special(s, t, special(s, KEY "eos_token_id"));
	json_object_set_new(s->root, "post_processor", t);
}

json_t *bd_tok_gguf_json(const struct bd_gguf *g, char **why)
{
	struct source s = {.g = g};

	open_source(&s);
	if (s.why == NULL) {
		s.root = json_pack("{s:s, s:{s:s, s:{}}}", "version", "1.0", "model", "type", "BPE", "vocab");
		s.model = json_object_get(s.root, "model");
		s.vocab = json_object_get(s.model, "vocab");
		put_tokens(&s);
		if (s.llama) {
			make_merges(&s);
			put_spaces_steps(&s);
		} else {
			put_merges(&s);
			put_bytes_steps(&s);
		}
		put_template(&s);
	}
	*why = s.why;
	if (s.why != NULL) {
		json_decref(s.root);
		return NULL;
	}
	return s.root;
}
