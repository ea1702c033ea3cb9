/* Lines of standard input answered one by one: rows for a task model, objects. */
#include "base/mem.h"
#include "base/msg.h"
#include "data/nottext.h"
#include "data/rows.h"
#include "run/answer_rows.h"

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

/* One row, on its way through bd_serve_call. */
struct asking {
	struct bd_asked *a;
	struct columns *c;
	const char *where;
	bd_gen_emit *emit;
	bd_answered *answered;
	void *ctx;
};

static const char *const *row_of(struct columns *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->row[c->field[i]] = i < c->inputs ? c->value[i] : NULL;
	return c->row;
}

static void ask(void *ctx)
{
	struct asking *q = ctx;

	q->answered(q->ctx, bd_answer_row(q->a, row_of(q->c), q->where, q->emit, q->ctx));
}

/* The columns of one text, TAB-separated. */
static void cut(struct columns *c, char *text)
{
	for (size_t i = 0; i + 1 < c->inputs; i++)
		c->value[i] = strsep(&text, "\t");
	c->value[c->inputs - 1] = text;
}

/* ---- many rows at once ---- */

enum {
	BATCH = 1024, /* tokens of prompts that run together */
	TEXTS = 16,   /* texts that are generated together */
};

/* Rows that wait for each other. */
struct waiting {
	struct asking *q;
	struct bd_serve *s;
	struct bd_ids *prompt; /* [n] */
	char **why;            /* [n] why it is refused, or NULL */
	double *p;             /* [n,n_choice] */
	size_t *best;          /* [n] */
	size_t n, cap, tokens;
	size_t from, count; /* the rows being answered */
	struct bd_ids ids;  /* of the row being read; the scope's, as what follows */
	struct bd_gen *gen[TEXTS];
	struct bd_buf text[TEXTS];
};

static void tokens_of_row(void *ctx)
{
	struct waiting *w = ctx;

	w->ids.n = 0;
	bd_answer_prompt(w->q->a, row_of(w->q->c), w->q->where, &w->ids);
	if (w->q->a->m->n_choice == 0)
		bd_gen_room(w->q->a->m, w->ids.n, &w->q->a->opts);
}

static void make_room(struct waiting *w)
{
	size_t cap = w->n + w->n / 2 + 64, K = w->q->a->m->n_choice;

	if (w->n < w->cap)
		return;
	w->prompt = bd_resize(w->prompt, w->n, cap, sizeof(*w->prompt));
	w->why = bd_resize(w->why, w->n, cap, sizeof(*w->why));
	w->best = bd_resize(w->best, w->n, cap, sizeof(*w->best));
	w->p = bd_resize(w->p, w->n * K, bd_mul(cap, K), sizeof(*w->p));
	w->cap = cap;
}

/* Calls fn under the guard; a failure takes what is in its scope. */
static char *try_it(struct waiting *w, void (*fn)(void *ctx))
{
	char *why = bd_serve_try(w->s, fn, w);

	if (why != NULL) {
		w->ids = (struct bd_ids){0};
		memset(w->gen, 0, sizeof(w->gen));
		memset(w->text, 0, sizeof(w->text));
	}
	return why;
}

/* One more: the row that was read, or why it is bad. */
static void add(struct waiting *w, const char *bad)
{
	struct bd_ids ids = {0};
	char *why = bad != NULL ? bd_strdup(bad) : try_it(w, tokens_of_row);

	for (size_t i = 0; why == NULL && i < w->ids.n; i++)
		bd_ids_push(&ids, w->ids.id[i]);
	make_room(w);
	w->prompt[w->n] = ids;
	w->why[w->n++] = why;
	w->tokens += ids.n;
}

static void classify(void *ctx)
{
	struct waiting *w = ctx;

	bd_asked_classes(w->q->a, w->prompt + w->from, w->count, w->p + w->from * w->q->a->m->n_choice,
	                 w->best + w->from);
}

/* The texts of the rows from .. from+count, begun one after the other, continued together, said in their
 * order. */
static void write_texts(void *ctx)
{
	struct waiting *w = ctx;
	struct asking *q = w->q;
	size_t n, going;
	const char *text;

	for (size_t i = 0; i < w->count; i++) {
		w->gen[i] = w->gen[i] != NULL ? w->gen[i] : bd_gen_new(q->a->m);
		bd_buf_clear(&w->text[i]);
		bd_gen_begin(w->gen[i], &w->prompt[w->from + i], &q->a->opts);
	}
	do {
		going = bd_gen_step_all(w->gen, w->count);
		for (size_t i = 0; i < w->count; i++) {
			bd_gen_shown(w->gen[i], &text, &n);
			bd_buf_add(&w->text[i], text, n);
		}
	} while (going > 0);
	for (size_t i = 0; i < w->count; i++) {
		struct bd_gen_result r = bd_gen_end(w->gen[i]);

		if (q->emit != NULL && w->text[i].n > 0)
			q->emit(q->ctx, w->text[i].p, w->text[i].n);
		q->answered(q->ctx, bd_answer_written(w->text[i].p, w->text[i].n, &r));
	}
}

/* The rows from .. from+count, none of them refused. One of them may fail for all: then each is asked alone.
 */
static void classify_run(struct waiting *w, size_t from, size_t count)
{
	char *why;

	w->from = from;
	w->count = count;
	why = try_it(w, classify);
	if (why != NULL && count == 1) {
		w->why[from] = why;
		return;
	}
	for (size_t i = from; why != NULL && i < from + count; i++)
		classify_run(w, i, 1);
	bd_free(why);
}

/* The end of the rows from `from` on that are not refused, at most `most`. */
static size_t good_until(const struct waiting *w, size_t from, size_t most)
{
	size_t end = from;

	while (end < w->n && end - from < most && w->why[end] == NULL)
		end++;
	return end;
}

static void say(void *ctx)
{
	struct waiting *w = ctx;
	const struct bd_infer *m = w->q->a->m;

	w->q->answered(w->q->ctx, bd_answer_verdict(m, w->p + w->from * m->n_choice, w->best[w->from]));
}

static void refuse(struct waiting *w, size_t i)
{
	w->q->answered(w->q->ctx, bd_serve_refuse(w->s, NULL, w->why[i]));
}

static void answer_classes(struct waiting *w)
{
	for (size_t i = 0, end; i < w->n; i = end + (end == i)) {
		end = good_until(w, i, w->n);
		if (end > i)
			classify_run(w, i, end - i);
	}
	for (w->from = 0; w->from < w->n; w->from++) {
		char **why = &w->why[w->from];

		*why = *why != NULL ? *why : try_it(w, say);
		w->s->lines += *why == NULL;
		if (*why != NULL)
			refuse(w, w->from);
	}
}

/* NULL, or why they are not answered: a failure comes before anything is said. */
static char *write_run(struct waiting *w, size_t from, size_t count)
{
	char *why;

	w->from = from;
	w->count = count;
	why = try_it(w, write_texts);
	w->s->lines += why == NULL ? count : 0;
	return why;
}

static void answer_texts(struct waiting *w)
{
	for (size_t i = 0, end; i < w->n; i = end) {
		end = good_until(w, i, TEXTS);
		char *why = end > i ? write_run(w, i, end - i) : NULL;
		for (size_t j = i; why != NULL && j < end; j++)
			if ((w->why[j] = write_run(w, j, 1)) != NULL)
				refuse(w, j);
		if (end == i)
			refuse(w, end++);
		bd_free(why);
	}
}

/* Answers all that wait, in their order. */
static void answer_all(struct waiting *w)
{
	if (w->q->a->m->n_choice > 0)
		answer_classes(w);
	else
		answer_texts(w);
	for (size_t i = 0; i < w->n; i++) {
		bd_free(w->why[i]);
		bd_ids_free(&w->prompt[i]);
	}
	w->n = w->tokens = 0;
}

/* Whether more rows are worth waiting for: they are there, and have room beside those that wait. */
static bool more(const struct waiting *w, struct bd_rows *rows)
{
	bool classes = w->q->a->m->n_choice > 0;

	return (classes ? w->tokens < BATCH : w->n < TEXTS) && bd_rows_ready(rows);
}

/* Whoever sends a row and waits gets its answer, a text as it is written; rows that are there are answered
 * together. */
static void serve_rows(struct asking *q, struct bd_rows *rows, struct bd_serve *s)
{
	struct waiting w = {.q = q, .s = s};
	const char *bad;
	char *why;
	bool alone;

	while (bd_rows_try(rows, q->c->value, q->c->length, &bad)) {
		q->where = bd_rows_where(rows);
		alone = w.n == 0 && bad == NULL && q->a->m->n_choice == 0 && !more(&w, rows);
		if (alone && (why = bd_serve_call(s, ask, q)) == NULL)
			continue;
		add(&w, alone ? why : bad);
		bd_free(alone ? why : NULL);
		if (!more(&w, rows))
			answer_all(&w);
	}
	answer_all(&w);
	bd_free(w.prompt);
	bd_free(w.why);
	bd_free(w.best);
	bd_free(w.p);
}

/* All rows of standard input. */
static void serve(struct asking *q, enum bd_rows_format format)
{
	struct columns *c = q->c;
	struct bd_rows_opts how = {.format = format, .inputs = c->inputs, .max_line = BD_SERVE_LINE};
	struct bd_rows *rows = bd_rows_open(NULL, 0, &how, c->name, c->n);
	struct bd_serve s;

	bd_serve_begin(&s, q->a);
	serve_rows(q, rows, &s);
	if (s.lines == 0)
		bd_die(BD_DATA, "<stdin>: empty; give one input per line");
	bd_rows_close(rows);
	bd_serve_end(&s);
}

void bd_answer_rows(struct bd_asked *a, const char *prompt, enum bd_rows_format format, bd_gen_emit *emit,
                    bd_answered *answered, void *ctx)
{
	struct columns c = columns_of(a->m->task);
	struct asking q = {a, &c, "--prompt", emit, answered, ctx};
	char *text = prompt != NULL ? bd_strdup(prompt) : NULL;

	if (c.inputs == 0)
		bd_die(BD_DATA, "%s: the prompt of its task mentions no field; use --generate", a->m->path);
	if (text != NULL) {
		cut(&c, text);
		ask(&q);
		bd_asked_report(a);
	} else {
		serve(&q, format);
	}
	bd_free(text);
	columns_free(&c);
}

/* One object, on its way through bd_serve_call. */
struct object {
	struct bd_asked *a;
	const json_t *object;
	const char *where;
	bd_answered *answered;
	void *ctx;
};

static void ask_object(void *ctx)
{
	struct object *q = ctx;

	q->answered(q->ctx, bd_answer_object(q->a, q->object, q->where));
}

/* Why the line is no JSON, or NULL and q->object. */
static char *parse(struct object *q, const char *line, size_t n)
{
	json_error_t e;
	const char *bad = n == SIZE_MAX ? "a line of over 16 MiB" : bd_nottext_line(line, n);

	if (bad != NULL)
		return bd_sprintf("%s: %s", q->where, bad);
	q->object = bd_json_read(line, n, &e);
	return q->object != NULL
	           ? NULL
	           : bd_sprintf("%s: column %d: not valid JSON: %s", q->where, e.column, e.text);
}

void bd_answer_objects(struct bd_asked *a, bd_answered *answered, void *ctx)
{
	struct bd_in *in = bd_in_open(NULL);
	struct bd_serve s;
	char *line;
	size_t n;

	bd_serve_begin(&s, a);
	for (size_t i = 1; (line = bd_in_line_within(in, BD_SERVE_LINE, &n)) != NULL; i++) {
		if (n != SIZE_MAX && n == strspn(line, " \t\r"))
			continue;
		char *where = bd_sprintf("<stdin>: line %zu", i);
		struct object q = {a, NULL, where, answered, ctx};
		char *why = parse(&q, line, n);

		why = why != NULL ? why : bd_serve_call(&s, ask_object, &q);
		if (why != NULL)
			answered(ctx, bd_serve_refuse(&s, json_incref(json_object_get(q.object, "id")), why));
		json_decref((json_t *)(uintptr_t)q.object);
		bd_free(why);
		bd_free(where);
	}
	bd_in_close(in);
	bd_serve_end(&s);
}
