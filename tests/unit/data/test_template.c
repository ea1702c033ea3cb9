/* Templates: prompts, labels, answers; and the rows that fill them. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "data/template.h"

#include <stdlib.h>

static struct bd_template *from(const char *text)
{
	json_t *j = bd_json_parse(text, strlen(text), "test");
	struct bd_template *t = bd_template_from(j, "test");

	json_decref(j);
	return t;
}

#define TASK                                                                                                 \
	"{\"name\":\"task\",\"fields\":[\"a\",\"b\",\"label\"],\"prompt\":\"{a} {not a field} "              \
	"{b}{a}\\n{\",\"classes\":[\"no\",\"yes\"],"                                                         \
	"\"labels\":[[\" negative\",\" bad\"],[\" positive\",\" good\"]]}"

static void prompt(void **state)
{
	(void)state;
	struct bd_template *t = from(TASK);
	const char *row[] = {"x{b}", "", "yes"};
	struct bd_buf text = {0};
	bd_template_prompt(t, row, "here", &text);
	assert_string_equal(text.p, "x{b} {not a field} x{b}\n{");
	assert_int_equal(bd_template_fields(t), 3);
	assert_string_equal(bd_template_field(t, 2), "label");
	assert_true(bd_template_prompts(t, 1) && !bd_template_prompts(t, 2));
	bd_buf_free(&text);
	bd_template_free(t);
}

static void label(void **state)
{
	(void)state;
	struct bd_template *t = from(TASK);
	static const char *const spelled[] = {"0", "1", "no", "yes"};
	for (int i = 0; i < 4; i++) {
		const char *row[] = {"x", "y", spelled[i]};

		assert_int_equal(bd_template_label(t, row, "here"), i % 2);
	}
	const char *unlabelled[] = {"x", "y", NULL};
	assert_int_equal(bd_template_label(t, unlabelled, "here"), -1);
	assert_int_equal(bd_template_classes(t), 2);
	assert_string_equal(bd_template_class(t, 1), "yes");
	bd_template_free(t);
	t = from("{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[\" one \",\"two\"]}");
	assert_string_equal(bd_template_class(t, 0), "one");
	bd_template_free(t);
}

static void answer(void **state)
{
	(void)state;
	struct bd_template *t = from("{\"fields\":[\"a\",\"b\"],\"prompt\":\"{a}\",\"answer\":\" {b}.\"}");
	const char *row[] = {"x", "y"}, *bare[] = {"x", NULL};
	struct bd_buf text = {0};
	assert_int_equal(bd_template_classes(t), 0);
	bd_template_answer(t, row, &text);
	assert_string_equal(text.p, " y.");
	bd_buf_clear(&text);
	bd_template_answer(t, bare, &text);
	assert_string_equal(text.p, "");
	bd_buf_free(&text);
	bd_template_free(t);
}

/* The golden vocabulary has " good" and " bad", and the pieces of " positive" and " negative" only
 * if they were merged. */
static void choices(void **state)
{
	(void)state;
	struct bd_tok *tok = bd_tok_open("tests/golden/tok-bytes.json");
	struct bd_template *t = from("{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[[\" unheard "
	                             "of\",\" bad\"],[\" unseen\",\" good\"]]}");
	struct bd_ids *choice = bd_template_choices(t, tok);
	struct bd_buf text = {0};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(choice[i].n, 1);
		bd_tok_decode(tok, choice[i].id, 1, false, &text);
		bd_ids_free(&choice[i]);
	}
	assert_string_equal(text.p, " bad good");
	bd_free(choice);
	bd_template_free(t);
	/* Single tokens go before a set whose first tokens differ. */
	t = from(
	    "{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[[\"qq\",\" bad\"],[\"xx\",\" good\"]]}");
	choice = bd_template_choices(t, tok);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(choice[i].n, 1);
		bd_tok_decode(tok, choice[i].id, 1, false, &text);
		bd_ids_free(&choice[i]);
	}
	assert_string_equal(text.p, " bad good bad good");
	bd_free(choice);
	bd_template_free(t);
	/* No set of single tokens: the first set, of which the first tokens differ. */
	t = from("{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[[\"qq\",\"zz\"],[\"xx\",\"zz\"]]}");
	choice = bd_template_choices(t, tok);
	assert_true(choice[0].n == 2 && choice[1].n == 2 && choice[0].id[0] != choice[1].id[0]);
	for (int i = 0; i < 2; i++)
		bd_ids_free(&choice[i]);
	bd_free(choice);
	bd_template_free(t);
	bd_buf_free(&text);
	bd_tok_free(tok);
}

/* ---- refusals ---- */

static void load(void *text)
{
	bd_template_free(from(text));
}

static void load_alike(void *arg)
{
	(void)arg;
	bd_template_choices(from("{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[\"qa\",\"qb\"]}"),
	                    bd_tok_open("tests/golden/tok-bytes.json"));
}

static void find_label(void *arg)
{
	const char *row[] = {"x", "y", arg};

	bd_template_label(from(TASK), row, "rows.tsv: line 7");
}

static void find_prompt(void *arg)
{
	const char *row[] = {"x", NULL, "0"};

	(void)arg;
	bd_template_prompt(from(TASK), row, "rows.tsv: line 7", &(struct bd_buf){0});
}

static void find_template(void *arg)
{
	bd_template_path(arg);
}

static void refusals(void **state)
{
	(void)state;
	child_dies(load, "[]", BD_DATA, "JSON object");
	child_dies(load, "{\"fields\":[\"a\"],\"prompt\":\"{a}\"}", BD_DATA, "either");
	child_dies(load, "{\"fields\":[\"a\"],\"prompt\":\"{a}\",\"answer\":\"\",\"labels\":[\"x\",\"y\"]}",
	           BD_DATA, "either");
	child_dies(load, "{\"fields\":[\"a\"],\"prompt\":\"{b}\",\"answer\":\"{a}\"}", BD_DATA, "{b}");
	child_dies(load, "{\"fields\":[\"a\"],\"prompt\":\"{a}\",\"answer\":\"{c}\"}", BD_DATA, "{c}");
	child_dies(load, "{\"fields\":[\"a\"],\"prompt\":\"{a}\",\"labels\":[\"x\",\"y\"]}", BD_DATA,
	           "\"label\"");
	child_dies(load, "{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[\"x\"]}", BD_DATA, "labels");
	child_dies(load, "{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[\"x\",[\"y\",\"z\"]]}", BD_DATA,
	           "alternatives");
	child_dies(load, "{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[\"x\",3]}", BD_DATA, "label 1");
	child_dies(load,
	           "{\"fields\":[\"label\"],\"prompt\":\"\",\"labels\":[\"x\",\"y\"],\"classes\":[\"a\"]}",
	           BD_DATA, "classes");
	child_dies(load, "{\"fields\":[\"a\",\"\"],\"prompt\":\"{a}\",\"answer\":\"{a}\"}", BD_DATA,
	           "\"fields\" is not a list of words");
	child_dies(load, "{\"fields\":[\"a\",3],\"prompt\":\"{a}\",\"answer\":\"{a}\"}", BD_DATA,
	           "\"fields\" is not a list of words");
	child_dies(load_alike, NULL, BD_DATA, "begin with the same token");
	child_dies(find_label, "2", BD_DATA, "rows.tsv: line 7: label \"2\"");
	child_dies(find_label, "-1", BD_DATA, "rows.tsv: line 7: label \"-1\"");
	child_dies(find_prompt, NULL, BD_DATA, "rows.tsv: line 7: the field \"b\"");
	child_dies(find_template, "no-such-template", BD_DATA, "no-such-template");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prompt),  cmocka_unit_test(label),    cmocka_unit_test(answer),
	    cmocka_unit_test(choices), cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
