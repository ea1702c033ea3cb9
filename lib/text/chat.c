/* Chat templates: recognising them. */
#include "text/chat.h"

#include "base/io.h"
#include "base/json.h"
#include "base/kind.h"
#include "base/msg.h"
#include "format/gguf.h"
#include "text/special.h"

#include <string.h>

#define LLAMA_BOS "<|begin_of_text|>"
#define QWEN      "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

/* A list of named templates has the usual one as "default". */
static const char *of_config(const json_t *value)
{
	const json_t *e;
	size_t i;

	json_array_foreach(value, i, e)
		if (strcmp(bd_json_str(e, "name", "", "chat_template"), "default") == 0)
			return bd_json_str(e, "template", NULL, "chat_template");
	return json_string_value(value);
}

static char *read_jinja(const char *path)
{
	size_t n;
	char *text = bd_read_file(path, &n);

	if (n > 0 && *text != '{' && bd_file_kind(text, n) != NULL)
		bd_die(BD_DATA, "%s: not a template, but %s", path, bd_file_kind(text, n));
	return text;
}

char *bd_chat_source(const char *path)
{
	char *file, *text = NULL;
	json_t *json;

	if (!bd_is_dir(path)) {
		struct bd_gguf *g = bd_gguf_open(path);
		const char *s = bd_gguf_str_or(g, "tokenizer.chat_template", NULL);

		text = s != NULL ? bd_strdup(s) : NULL;
		bd_gguf_close(g);
		return text;
	}
	file = bd_path(path, "chat_template.jinja");
	json = bd_tokenizer_config(path);
	if (bd_exists(file))
		text = read_jinja(file);
	else if (of_config(bd_json_get(json, "chat_template")) != NULL)
		text = bd_strdup(of_config(bd_json_get(json, "chat_template")));
	json_decref(json);
	bd_free(file);
	return text;
}

static struct bd_chat *make(enum bd_chat_family family, const struct bd_tok *tok)
{
	static const char *const end[] = {"<|im_end|>",    "<|im_end|>", "<|eot_id|>",
	                                  "<end_of_turn>", "<|eot_id|>", "<|end_of_text|>"};
	static const char *const bos[] = {"", "", LLAMA_BOS, "<bos>", LLAMA_BOS, LLAMA_BOS};
	struct bd_chat *c = bd_zalloc(1, sizeof(*c));
	int64_t id = tok != NULL ? bd_tok_bos(tok) : -1;

	c->family = family;
	c->no_system = family == BD_CHAT_BITNET_GGUF;
	c->end = end[family];
	if (id < 0 && tok != NULL && bd_tok_id(tok, bos[family]) < 0)
		c->bos = bd_strdup("");
	else
		c->bos = bd_strdup(id >= 0 ? bd_tok_text(tok, (uint32_t)id) : bos[family]);
	return c;
}

struct bd_chat *bd_chat_named(enum bd_chat_name name, const struct bd_tok *tok)
{
	static const enum bd_chat_family family[] = {[BD_CHAT_NAMED_CHATML] = BD_CHAT_CHATML,
	                                             [BD_CHAT_NAMED_QWEN25] = BD_CHAT_CHATML,
	                                             [BD_CHAT_NAMED_QWEN3] = BD_CHAT_QWEN3,
	                                             [BD_CHAT_NAMED_LLAMA3] = BD_CHAT_LLAMA3,
	                                             [BD_CHAT_NAMED_GEMMA] = BD_CHAT_GEMMA,
	                                             [BD_CHAT_NAMED_BITNET] = BD_CHAT_BITNET,
	                                             [BD_CHAT_NAMED_BITNET_GGUF] = BD_CHAT_BITNET_GGUF};
	struct bd_chat *c;

	if (name == BD_CHAT_AUTO)
		return NULL;
	c = make(family[name], tok);
	c->dated = c->today = name == BD_CHAT_NAMED_LLAMA3;
	c->system = name == BD_CHAT_NAMED_QWEN25 ? bd_strdup(QWEN) : NULL;
	return c;
}

/* The system text that the template itself has, <|im_start|>system\nTEXT<|im_end|> within one string of the
 * Jinja text, into *text (NULL if it has none); false if it has one that is composed in another way. */
static bool own_system(const char *jinja, char **text)
{
	static const char head[] = "<|im_start|>system", end[] = "<|im_end|>";

	for (const char *s = jinja; (s = strstr(s, head)) != NULL;) {
		size_t n;

		s += strlen(head);
		if (*s != '\n' && strncmp(s, "\\n", 2) != 0)
			continue;
		s += *s == '\n' ? 1 : 2;
		n = strcspn(s, "'\"{}\\<");
		if (n == 0)
			continue; /* the string ends: the conversation's text follows */
		*text = bd_strndup(s, n);
		return strncmp(s + n, end, strlen(end)) == 0;
	}
	*text = NULL;
	return true;
}

static bool has(const char *jinja, const char *word)
{
	return strstr(jinja, word) != NULL;
}

/* ChatML, and nothing else except perhaps a system text and tools. */
static struct bd_chat *detect_chatml(const char *jinja, const struct bd_tok *tok)
{
	static const char *const more[] = {"think", "trim", "strip", "strftime", "bos_token", "<|im_sep|>"};
	struct bd_chat *c;
	bool plain = true;

	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++)
		plain = plain && !has(jinja, more[i]);
	if (!plain || !has(jinja, "<|im_end|>") || !has(jinja, "assistant"))
		return NULL;
	c = make(BD_CHAT_CHATML, tok);
	if (own_system(jinja, &c->system))
		return c;
	bd_chat_free(c);
	return NULL;
}

/* The two templates of BitNet b1.58 2B4T. */
static struct bd_chat *detect_bitnet(const char *jinja, const struct bd_tok *tok)
{
	struct bd_chat *c = NULL;

	if (has(jinja, "| capitalize + ': '") && has(jinja, "| trim + '<|eot_id|>'") &&
	    has(jinja, "{{ 'Assistant: ' }}"))
		c = make(BD_CHAT_BITNET, tok);
	else if (has(jinja, "'Human: ' +") && has(jinja, "BITNETAssistant: ' + eos_token"))
		c = make(BD_CHAT_BITNET_GGUF, tok);
	if (c != NULL && !has(jinja, "bos_token"))
		*c->bos = '\0';
	return c;
}

/* What the template says to learn, between {% generation %} and {% endgeneration %}. */
static void find_span(struct bd_chat *c, const char *jinja)
{
	static const char *const head[] = {"<|im_start|>",    "<|im_start|>", "<|start_header_id|>",
	                                   "<start_of_turn>", "'Assistant",   "BITNETAssistant"};
	const char *from = strstr(jinja, " generation "), *to = strstr(jinja, " endgeneration ");
	char *block, *end;

	if (from == NULL || to == NULL || to < from)
		return;
	block = bd_strndup(from, (size_t)(to - from));
	end = strstr(block, c->family == BD_CHAT_BITNET_GGUF ? "eos_token" : c->end);
	c->span_from_head = has(block, head[c->family]);
	c->span_without_end = end == NULL;
	c->span_to_next = end != NULL && (has(end, "\\n") || end[strlen(c->end)] == '\n');
	bd_free(block);
}

static struct bd_chat *detect(const char *jinja, const struct bd_tok *tok)
{
	struct bd_chat *c = NULL;

	if (has(jinja, "<|im_start|>") && has(jinja, "last_query_index") &&
	    has(jinja, "enable_thinking is false")) {
		c = make(BD_CHAT_QWEN3, tok);
	} else if (has(jinja, "<|im_start|>")) {
		c = detect_chatml(jinja, tok);
	} else if (has(jinja, "<|start_header_id|>") && has(jinja, "<|end_header_id|>") &&
	           has(jinja, "<|eot_id|>")) {
		c = make(BD_CHAT_LLAMA3, tok);
		c->dated = has(jinja, "Cutting Knowledge Date: December 2023");
		c->today = has(jinja, "strftime_now");
	} else if (has(jinja, "<start_of_turn>") && has(jinja, "<end_of_turn>") &&
	           (has(jinja, "first_user_prefix") || has(jinja, "System role not supported"))) {
		c = make(BD_CHAT_GEMMA, tok);
		c->no_system = !has(jinja, "first_user_prefix");
	} else {
		c = detect_bitnet(jinja, tok);
	}
	return c;
}

struct bd_chat *bd_chat_detect(const char *jinja, const struct bd_tok *tok)
{
	struct bd_chat *c = detect(jinja, tok);

	if (c != NULL)
		find_span(c, jinja);
	return c;
}

void bd_chat_free(struct bd_chat *c)
{
	if (c == NULL)
		return;
	bd_free(c->system);
	bd_free(c->bos);
	bd_free(c);
}
