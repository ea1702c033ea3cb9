/* Rows for a task model: columns in, answers out. */
#include "base/mem.h"
#include "base/msg.h"
#include "data/rows.h"
#include "run/answer.h"

#include <string.h>

/* The template's fields as the columns of the input: first what the prompt mentions, then the others (a
 * label: not used). */
struct columns {
	const char **name, **value, **row; /* [n]; value in this order, row in the template's */
	size_t *length, *field;            /* [n]; field of each column */
	size_t n, inputs;
};

static struct columns columns_of(const struct bd_template *t)
{
	size_t n = bd_template_fields(t);
	struct columns c = {.name = bd_alloc(n, sizeof(*c.name)),
	                    .value = bd_zalloc(n, sizeof(*c.value)),
	                    .row = bd_zalloc(n, sizeof(*c.row)),
	                    .length = bd_alloc(n, sizeof(*c.length)),
	                    .field = bd_alloc(n, sizeof(*c.field))};

	for (int input = 1; input >= 0; input--)
		for (size_t i = 0; i < n; i++)
			if (bd_template_prompts(t, i) == (input == 1)) {
				c.field[c.n] = i;
				c.name[c.n++] = bd_template_field(t, i);
				c.inputs += (size_t)input;
			}
	return c;
}

static void columns_free(struct columns *c)
{
	bd_free(c->name);
	bd_free(c->value);
	bd_free(c->row);
	bd_free(c->length);
	bd_free(c->field);
}

static json_t *row(struct bd_asked *a, struct columns *c, const char *where, bd_gen_emit *emit, void *ctx)
{
	for (size_t i = 0; i < c->n; i++)
		c->row[c->field[i]] = i < c->inputs ? c->value[i] : NULL;
	return bd_answer_row(a, c->row, where, emit, ctx);
}

/* The columns of one text, TAB-separated. */
static void cut(struct columns *c, char *text)
{
	for (size_t i = 0; i + 1 < c->inputs; i++)
		c->value[i] = strsep(&text, "\t");
	c->value[c->inputs - 1] = text;
}

void bd_answer_rows(struct bd_asked *a, const char *prompt, bd_gen_emit *emit, bd_answered *answered,
                    void *ctx)
{
	struct columns c = columns_of(a->m->task);
	char *text = prompt != NULL ? bd_strdup(prompt) : NULL;
	struct bd_rows *rows = NULL;
	size_t count = 0;

	if (c.inputs == 0)
		bd_die(BD_DATA, "%s: the prompt of its task mentions no field; use --generate", a->m->path);
	if (text != NULL) {
		cut(&c, text);
		answered(ctx, row(a, &c, "-p", emit, ctx));
	} else {
		rows = bd_rows_open(NULL, 0, BD_ROWS_AUTO, c.name, c.n);
		for (; bd_rows_next(rows, c.value, c.length); count++)
			answered(ctx, row(a, &c, bd_rows_where(rows), emit, ctx));
		if (count == 0)
			bd_die(BD_DATA, "<stdin>: empty; give one input per line");
		bd_rows_close(rows);
	}
	bd_free(text);
	columns_free(&c);
}
