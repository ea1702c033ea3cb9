/* A task template, and a row for it: the parts of the input, a value each. */
#include "data/template.h"
#include "fuzz.h"

static struct bd_tok *tok;

void fuzz_begin(void)
{
	char *path = bd_sprintf("%s/tests/golden/tok-bytes.json", fuzz_root());

	tok = bd_tok_open(path);
	bd_free(path);
}

static void read_template(void *ctx)
{
	struct fuzz *f = ctx, json = fuzz_part(f);
	json_t *j = bd_json_parse(json.p, json.n, "template.json");
	struct bd_template *t = bd_template_from(j, "template.json");
	size_t fields = bd_template_fields(t), classes = bd_template_classes(t);
	char **row = bd_zalloc(fields + 1, sizeof(*row));
	struct bd_buf out = {0};
	struct bd_ids *choice;

	for (size_t i = 0; i < fields; i++) {
		struct fuzz part = fuzz_part(f);

		row[i] = part.n == 1 && *part.p == '-' ? NULL : fuzz_string(part);
		bd_template_prompts(t, i);
	}
	for (size_t i = 0; i < classes; i++)
		bd_template_class(t, i);
	if (classes > 0) {
		bd_template_label(t, (const char *const *)row, "row 1");
		choice = bd_template_choices(t, tok);
		for (size_t i = 0; i < classes; i++)
			bd_ids_free(&choice[i]);
		bd_free(choice);
	} else {
		bd_template_answer(t, (const char *const *)row, &out);
	}
	bd_template_prompt(t, (const char *const *)row, "row 1", &out);
	bd_buf_free(&out);
	for (size_t i = 0; i < fields; i++)
		bd_free(row[i]);
	bd_free(row);
	bd_template_free(t);
	json_decref(j);
}
FUZZ(read_template)
