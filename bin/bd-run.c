/* bd-run: a task model answers one input a line; any other model continues a prompt. */
#include <stdio.h>
#include <string.h>

#include "infer.h"
#include "mem.h"
#include "msg.h"
#include "opt.h"
#include "packed.h"
#include "rows.h"
#include "sample.h"

struct run {
	struct bd_infer *m;
	const char *prompt;
	bool json, generate, verify;
	int64_t n, context;
	double temperature, top_p, min_p;
	int64_t top_k;
	struct bd_common common;
};

static _Noreturn void die_stdout(void)
{
	bd_stdout_close(); /* says why */
	bd_die(BD_SYS, "<stdout>: cannot write");
}

static void print_json(json_t *o)
{
	char *text = bd_json_text(o, false);

	if (puts(text) < 0 || fflush(stdout) != 0)
		die_stdout();
	bd_free(text);
	json_decref(o);
}

/* ---- continuing a text ---- */

static struct bd_sampler sampler_of(const struct run *r)
{
	return (struct bd_sampler){.temperature = (float)r->temperature, .top_k = (int)r->top_k,
	                           .top_p = (float)r->top_p, .min_p = (float)r->min_p,
	                           .seed = (uint64_t)r->common.seed};
}

static bool is_eos(const struct bd_config *c, uint32_t id)
{
	for (int i = 0; i < c->n_eos; i++)
		if (c->eos[i] == id)
			return true;
	return false;
}

static void print_piece(const struct bd_buf *piece)
{
	if (fwrite(piece->p, 1, piece->n, stdout) != piece->n || fflush(stdout) != 0)
		die_stdout();
}

/* Continues the text of ids until the end of the sequence, -n tokens or the end of the context. */
static void complete(const struct run *r, const struct bd_ids *ids)
{
	const struct bd_config *c = &r->m->net->cfg;
	size_t limit = r->context > 0 ? (size_t)r->context : (size_t)c->context, n = 0, room;
	struct bd_sampler sampler = sampler_of(r);
	struct bd_tok_stream stream = {.started = true}; /* a blank in front belongs to the text */
	struct bd_buf text = {0}, piece = {0};
	struct bd_session *s;
	float *z;
	bool end = false;

	if (ids->n == 0)
		bd_die(BD_DATA, "the prompt is empty, and %s begins no text by itself; give some text", r->m->path);
	if (ids->n >= limit)
		bd_die(BD_DATA, "the prompt has %zu tokens, the context %zu; give a shorter one or a larger --context",
		       ids->n, limit);
	room = limit - ids->n < (size_t)r->n ? limit - ids->n : (size_t)r->n;
	s = bd_session_new(r->m, ids->n + room);
	z = bd_session_feed(s, ids->id, ids->n);
	while (n < room) {
		uint32_t id = bd_sample(&sampler, z, (size_t)c->vocab);

		end = is_eos(c, id);
		if (end)
			break;
		n++;
		bd_buf_clear(&piece);
		bd_tok_stream(r->m->tok, &stream, id, &piece);
		if (r->json)
			bd_buf_add(&text, piece.p, piece.n);
		else
			print_piece(&piece);
		if (n < room)
			z = bd_session_feed(s, &id, 1);
	}
	if (r->json)
		print_json(json_pack("{s:s%, s:I, s:s}", "text", text.n > 0 ? text.p : "", text.n, "tokens",
		                     (json_int_t)n, "stop", end ? "eos" : "length"));
	else if (putchar('\n') < 0 || fflush(stdout) != 0)
		die_stdout();
	bd_buf_free(&text);
	bd_buf_free(&piece);
	bd_session_free(s);
}

static void complete_text(const struct run *r, const char *text, size_t n)
{
	struct bd_ids ids = {0};

	bd_tok_encode(r->m->tok, text, n, BD_TOK_BOS, &ids);
	complete(r, &ids);
	bd_ids_free(&ids);
}

/* The whole input, without its last newline. */
static void complete_input(const struct run *r)
{
	size_t n = r->prompt != NULL ? strlen(r->prompt) : 0;
	char *text = r->prompt != NULL ? bd_strdup(r->prompt) : bd_read_file("-", &n);

	if (r->prompt == NULL && n > 0 && text[n - 1] == '\n')
		n--;
	complete_text(r, text, n);
	bd_free(text);
}

/* ---- answering ---- */

struct answer {
	const struct bd_infer *m;
	double *p; /* [n_choice] */
	size_t best;
};

static void choose(void *ctx, size_t s, size_t P, const size_t *row, float *z)
{
	struct answer *a = ctx;

	(void)s, (void)P, (void)row;
	a->best = bd_choose(z, a->m->choice, a->m->n_choice, a->p);
}

static void print_answer(const struct run *r, const struct answer *a)
{
	const struct bd_template *t = r->m->task;
	json_t *all;

	if (!r->json) {
		if (printf("%s\t%.6f\n", bd_template_class(t, a->best), a->p[a->best]) < 0 || fflush(stdout) != 0)
			die_stdout();
		return;
	}
	all = json_object();
	for (size_t i = 0; i < r->m->n_choice; i++)
		json_object_set_new(all, bd_template_class(t, i), json_real(a->p[i]));
	print_json(json_pack("{s:s, s:I, s:f, s:o}", "label", bd_template_class(t, a->best), "class",
	                     (json_int_t)a->best, "probability", a->p[a->best], "probabilities", all));
}

/* The label at the end of the prompt: the last id is a place holder for it. */
static void classify(const struct run *r, struct bd_ids *ids)
{
	struct answer a = {.m = r->m, .p = bd_alloc(r->m->n_choice, sizeof(*a.p))};
	struct bd_record rec = {.label = -1};

	bd_ids_push(ids, r->m->choice[0]);
	if (ids->n < 2)
		bd_die(BD_DATA, "%s: the prompt of its task is empty for this input", r->m->path);
	rec.n = ids->n;
	rec.ids = ids->id;
	rec.target = bd_zalloc(ids->n, 1);
	rec.target[ids->n - 1] = 1;
	bd_infer_batch(r->m, &rec, 1, choose, &a);
	print_answer(r, &a);
	bd_free(rec.target);
	bd_free(a.p);
}

static void answer(const struct run *r, const char *const *row, const char *where)
{
	struct bd_buf text = {0};
	struct bd_ids ids = {0};

	bd_template_prompt(r->m->task, row, where, &text);
	bd_tok_encode(r->m->tok, text.p != NULL ? text.p : "", text.n, BD_TOK_BOS, &ids);
	if (r->m->n_choice > 0)
		classify(r, &ids);
	else
		complete(r, &ids);
	bd_ids_free(&ids);
	bd_buf_free(&text);
}

/* ---- input lines ---- */

/* The template's fields as the columns of the input: first what the prompt mentions, then the others (a label: not used). */
struct columns {
	const char **name, **value, **row; /* [n]; value in this order, row in the template's */
	size_t *length, *field;            /* [n]; field of each column */
	size_t n, inputs;
};

static struct columns columns_of(const struct bd_template *t)
{
	size_t n = bd_template_fields(t);
	struct columns c = {.name = bd_alloc(n, sizeof(*c.name)), .value = bd_zalloc(n, sizeof(*c.value)),
	                    .row = bd_zalloc(n, sizeof(*c.row)), .length = bd_alloc(n, sizeof(*c.length)),
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

static void answer_row(const struct run *r, struct columns *c, const char *where)
{
	for (size_t i = 0; i < c->n; i++)
		c->row[c->field[i]] = i < c->inputs ? c->value[i] : NULL;
	answer(r, c->row, where);
}

/* -p: the inputs, TAB-separated. */
static void answer_prompt(const struct run *r, struct columns *c)
{
	char *text = bd_strdup(r->prompt), *rest = text;

	for (size_t i = 0; i + 1 < c->inputs; i++)
		c->value[i] = strsep(&rest, "\t");
	c->value[c->inputs - 1] = rest;
	answer_row(r, c, "-p");
	bd_free(text);
}

static void answer_input(const struct run *r)
{
	struct columns c = columns_of(r->m->task);
	struct bd_rows *rows;
	size_t count = 0;

	if (c.inputs == 0)
		bd_die(BD_DATA, "%s: the prompt of its task mentions no field; use --generate", r->m->path);
	if (r->prompt != NULL) {
		answer_prompt(r, &c);
	} else {
		rows = bd_rows_open(NULL, 0, BD_ROWS_AUTO, c.name, c.n);
		for (; bd_rows_next(rows, c.value, c.length); count++)
			answer_row(r, &c, bd_rows_where(rows));
		if (count == 0)
			bd_die(BD_DATA, "<stdin>: empty; one input a line is wanted");
		bd_rows_close(rows);
	}
	columns_free(&c);
}

static int verify(const char *path, struct bd_par *par)
{
	size_t n, tensors, bad, bad_tensors;

	if (bd_is_dir(path))
		bd_die(BD_USAGE, "%s: --verify wants a packed file; a directory stores no golden prompts", path);
	bad_tensors = bd_packed_check(path, &tensors);
	bad = bd_packed_verify(path, par, &n);
	printf("%zu of %zu tensors have their digest, %zu of %zu golden prompts give their logits\n",
	       tensors - bad_tensors, tensors, n - bad, n);
	return bad + bad_tensors > 0 ? BD_NO : BD_OK;
}

int main(int argc, char **argv)
{
	struct run r = {.n = 256, .top_p = 1};
	const struct bd_opt opts[] = {
		{"prompt", 'p', BD_STR, &r.prompt, "TEXT", "the input, instead of stdin", 0, 0},
		{"generate", 'g', BD_FLAG, &r.generate, NULL, "continue the input even if the model has a task", 0, 0},
		{"json", 'j', BD_FLAG, &r.json, NULL, "print JSON objects, one a line", 0, 0},
		{"tokens", 'n', BD_INT, &r.n, "N", "tokens to generate at most", 1, 1e9},
		{"temperature", 0, BD_REAL, &r.temperature, "X", "0: always the likeliest token", 0, 100},
		{"top-k", 0, BD_INT, &r.top_k, "N", "choose among the N likeliest (0: all)", 0, 1e9},
		{"top-p", 0, BD_REAL, &r.top_p, "X", "choose among the likeliest that make up X", 0, 1},
		{"min-p", 0, BD_REAL, &r.min_p, "X", "leave out what is below X times the likeliest", 0, 1},
		{"context", 0, BD_INT, &r.context, "N", "positions at most (0: as the model's config says)", 0, 1e9},
		{"verify", 0, BD_FLAG, &r.verify, NULL, "check digests and golden prompts of a packed file", 0, 0},
		{0},
	};
	const struct bd_tool tool = {"bd-run", "classify lines or continue a text with a model", "[options] MODEL", opts,
	                             1, 1};
	int arg = bd_opt_parse(&tool, &r.common, argc, argv), status = BD_OK;
	struct bd_par *par = bd_par_new((int)r.common.threads);

	if (r.verify) {
		status = verify(argv[arg], par);
	} else {
		r.m = bd_infer_open(argv[arg], par, false);
		bd_infer_tok(r.m);
		if (r.m->task != NULL && !r.generate)
			answer_input(&r);
		else
			complete_input(&r);
		bd_infer_close(r.m);
	}
	bd_par_free(par);
	bd_stdout_close();
	return status;
}
