/* Chat templates against what the Jinja texts themselves write (tests/golden/make_chats.py), and what is
 * recognised and refused. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/gguf.h"
#include "text/chat.h"

#include <stdlib.h>

#define CHATS "tests/golden/chats.json"

static struct bd_message *messages_of(const json_t *list, size_t *n)
{
	struct bd_message *m = bd_alloc(json_array_size(list), sizeof(*m));

	for (*n = 0; *n < json_array_size(list); ++*n) {
		const json_t *j = json_array_get(list, *n);

		m[*n] = (struct bd_message){json_string_value(json_object_get(j, "role")),
		                            json_string_value(json_object_get(j, "content"))};
	}
	return m;
}

/* NULL: unknown. */
static struct bd_chat *named(const char *name)
{
	int i = bd_word_find(BD_CHAT_WORDS, name);

	return i < 0 ? NULL : bd_chat_named((enum bd_chat_name)i, NULL);
}

/* The template by its name; those without one by their Jinja text. */
static struct bd_chat *chat_of(const json_t *c)
{
	const char *name = json_string_value(json_object_get(c, "template")),
	           *jinja = json_string_value(json_object_get(c, "jinja"));
	struct bd_chat *chat = named(name);

	if (chat == NULL && jinja != NULL)
		chat = bd_chat_detect(jinja, NULL);
	if (chat == NULL) { /* gemma2 */
		chat = named("gemma");
		chat->no_system = true;
	}
	return chat;
}

/* The conversation to train on, and its answers. */
static void check_spans(const struct bd_chat *chat, const struct bd_message *m, size_t n, const json_t *c,
                        const char *what)
{
	const char *want = json_string_value(json_object_get(c, "whole"));
	const json_t *spans = json_object_get(c, "spans"), *j;
	struct bd_span *span = bd_alloc(n, sizeof(*span));
	struct bd_buf out = {0};
	size_t i;

	assert_int_equal(bd_chat_spans(chat, m, n, "test", &out, span), json_array_size(spans));
	if (strcmp(out.p, want) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", what, out.p, want);
	json_array_foreach(spans, i, j)
		if (span[i].begin != (size_t)json_integer_value(json_array_get(j, 0)) ||
		    span[i].end != (size_t)json_integer_value(json_array_get(j, 1)))
			fail_msg("%s: answer %zu of \"%s\" is from %zu to %zu", what, i, out.p, span[i].begin,
			         span[i].end);
	bd_buf_free(&out);
	bd_free(span);
}

static void check(const struct bd_chat *chat, const json_t *c, size_t i)
{
	size_t n;
	struct bd_message *m = messages_of(json_object_get(c, "messages"), &n);
	const char *want = json_string_value(json_object_get(c, "text"));
	struct bd_buf out = {0};

	bd_chat_render(chat, m, n, "test", &out);
	if (strcmp(out.p, want) != 0)
		fail_msg("case %zu, %s: \"%s\", not \"%s\"", i,
		         json_string_value(json_object_get(c, "template")), out.p, want);
	check_spans(chat, m, n, c, json_string_value(json_object_get(c, "template")));
	bd_buf_free(&out);
	bd_free(m);
}

static void golden(void **state)
{
	json_t *list = bd_json_load(CHATS), *c;
	size_t i;

	(void)state;
	assert_true(json_array_size(list) > 80);
	json_array_foreach(list, i, c) {
		struct bd_chat *chat = chat_of(c);

		chat->no_thinking = json_is_false(json_object_get(c, "thinking"));
		check(chat, c, i);
		bd_chat_free(chat);
	}
	json_decref(list);
}

/* The same with templates that are recognised in the real Jinja files. */
static void real_files(void **state)
{
	const char *data = getenv("BD_DATA");
	json_t *list, *c;
	size_t i;
	int seen = 0;

	(void)state;
	if (data == NULL) {
		print_message("SKIPPED: $BD_DATA is not set, so real chat templates are not tested\n");
		skip();
	}
	list = bd_json_load(CHATS);
	json_array_foreach(list, i, c) {
		const char *file = json_string_value(json_object_get(c, "file"));
		char *path =
		    bd_sprintf("%s/tokenizers/chat_templates/%s.jinja", data, file != NULL ? file : "");
		char *jinja = file != NULL ? bd_read_file(path, NULL) : NULL;
		struct bd_chat *chat = jinja != NULL ? bd_chat_detect(jinja, NULL) : NULL;

		if (jinja != NULL) {
			assert_non_null(chat);
			chat->no_thinking = json_is_false(json_object_get(c, "thinking"));
			check(chat, c, i);
			seen++;
		}
		bd_chat_free(chat);
		bd_free(jinja);
		bd_free(path);
	}
	assert_true(seen > 50);
	json_decref(list);
}

static void is_unknown(const char *jinja)
{
	assert_null(bd_chat_detect(jinja, NULL));
}

/* What only resembles ChatML is not mistaken for it. */
static void detection(void **state)
{
	struct bd_chat *c =
	    bd_chat_detect("'<|im_start|>assistant' '<|im_start|>system\nHi.<|im_end|>\n'", NULL);

	(void)state;
	assert_string_equal(c->system, "Hi.");
	bd_chat_free(c);
	is_unknown("");
	is_unknown("[INST] {{ message }} [/INST]");
	is_unknown("'<|im_start|>assistant' '<|im_start|>system\\nI\\'m kind.<|im_end|>'");
	is_unknown("'<|im_start|>assistant<|im_sep|>' '<|im_end|>'");
	is_unknown("bos_token '<|im_start|>assistant' '<|im_end|>'");
	is_unknown("'<|im_start|>assistant' + content | trim + '<|im_end|>'");
	is_unknown("'<|im_start|>assistant\\n<think>\\n' '<|im_end|>'");
	assert_null(bd_chat_named(BD_CHAT_AUTO, NULL));
	c = bd_chat_detect("bos_token '<|start_header_id|>' '<|end_header_id|>' '<|eot_id|>' 'Cutting "
	                   "Knowledge Date: December 2023' "
	                   "'26 Jul 2024'",
	                   NULL);
	assert_true(c->family == BD_CHAT_LLAMA3 && c->dated && !c->today);
	assert_string_equal(c->end, "<|eot_id|>");
	bd_chat_free(c);
	is_unknown("message['role'] | capitalize + ': ' message['content'] | trim + '<|eot_id|>' 'Bot: '");
}

static void try_render(void *arg)
{
	const json_t *c = json_array_get(arg, 0), *list = json_array_get(arg, 1);
	struct bd_chat *chat = named(json_string_value(c));
	struct bd_buf out = {0};
	size_t n;

	chat->no_system = chat->no_system || json_array_size(arg) == 3;
	bd_chat_render(chat, messages_of(list, &n), json_array_size(list), "here", &out);
}

static void refused(const char *talk, const char *complaint)
{
	json_t *j = json_loads(talk, 0, NULL);

	assert_non_null(j);
	child_dies(try_render, j, BD_DATA, complaint);
	json_decref(j);
}

static void refusals(void **state)
{
	(void)state;
	refused("[\"chatml\", []]", "here: a conversation without messages");
	refused("[\"chatml\", [{\"role\":\"tool\",\"content\":\"x\"}]]", "\"tool\"");
	refused("[\"bitnet-gguf\", [{\"role\":\"system\",\"content\":\"x\"}]]", "system message");
	refused("[\"gemma\", [{\"role\":\"assistant\",\"content\":\"x\"}]]", "must alternate");
	refused("[\"gemma\", [{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"x\"}]]",
	        "message 2");
	refused(
	    "[\"gemma\", [{\"role\":\"system\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"x\"}], 2]",
	    "system message");
}

/* ---- where the Jinja text is ---- */

static void put(const char *dir, const char *name, const char *text)
{
	char *path = bd_path(dir, name);

	bd_write_file(path, text, strlen(text));
	bd_free(path);
}

static void source_is(const char *path, const char *want)
{
	char *text = bd_chat_source(path);

	assert_int_equal(text == NULL, want == NULL);
	if (want != NULL)
		assert_string_equal(text, want);
	bd_free(text);
}

static void sources(void **state)
{
	char dir[] = "/tmp/bd-test-chat.XXXXXX", *path;
	struct bd_gguf_writer *w;

	(void)state;
	assert_non_null(mkdtemp(dir));
	source_is(dir, NULL);
	put(dir, "tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656}");
	source_is(dir, NULL);
	put(dir, "tokenizer_config.json", "{\"chat_template\":\"one\"}");
	source_is(dir, "one");
	put(dir, "tokenizer_config.json",
	    "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"x\"},{\"name\":\"default\",\"template\":"
	    "\"two\"}]}");
	source_is(dir, "two");
	put(dir, "chat_template.jinja", "three");
	source_is(dir, "three");
	path = bd_path(dir, "t.gguf");
	w = bd_gguf_create(path);
	bd_gguf_put_str(w, "general.architecture", "llama");
	bd_gguf_put_str(w, "tokenizer.chat_template", "four");
	bd_gguf_finish(w);
	source_is(path, "four");
	bd_free(path);
	bd_remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden),   cmocka_unit_test(real_files), cmocka_unit_test(detection),
	    cmocka_unit_test(refusals), cmocka_unit_test(sources),
	};

	setenv("SOURCE_DATE_EPOCH", "1795348800", 1); /* 22 Nov 2026 */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
