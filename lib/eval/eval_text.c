/* Evaluation by generation: prompts are gathered into batches, continued, decoded and compared. */
#include "eval/eval_text.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "eval/interval.h"
#include "eval/text_scores.h"
#include "run/greedy.h"

#include <string.h>

/* An example that is waiting for its answer. */
struct question {
	uint64_t index;
	int label;
	char *ref; /* or NULL */
	uint32_t *prompt;
	size_t n;
};

struct bd_answers {
	struct bd_infer *m;
	const char *source;
	struct bd_answers_opts o;
	struct bd_template *task;
	struct bd_ids *label; /* [classes] tokens of each label */
	size_t classes;
	struct question *q;     /* [n] */
	size_t n, cap, waiting; /* tokens of all prompts */
	struct bd_out *lines;
	struct bd_text_scores *pairs;
	uint64_t answers, tokens, ended, labelled, correct, invalid;
};

struct bd_answers *bd_answers_new(struct bd_infer *m, const struct bd_source *src,
                                  const struct bd_answers_opts *o)
{
	struct bd_answers *a = bd_zalloc(1, sizeof(*a));
	const json_t *task = bd_source_head(src)->template_;

	a->m = m;
	a->source = bd_source_name(src);
	a->o = *o;
	a->task = task != NULL ? bd_template_from(task, a->source) : NULL;
	a->classes = a->task != NULL ? bd_template_classes(a->task) : 0;
	a->label = a->classes ? bd_template_choices(a->task, bd_infer_tok(m)) : NULL;
	for (size_t i = 0; i < a->classes && !o->max; i++)
		a->o.max = a->label[i].n > a->o.max ? a->label[i].n : a->o.max;
	a->o.max = a->o.max ? a->o.max : BD_ANSWER_MAX;
	a->pairs = bd_text_scores_new();
	a->lines = o->predictions != NULL ? bd_out_open(o->predictions, false, 0) : NULL;
	return a;
}

/* ---- an answer ---- */

/* The text of id[n] without the blanks around it. */
static void decode(const struct bd_answers *a, const uint32_t *id, size_t n, struct bd_buf *out)
{
	size_t blank;

	bd_buf_clear(out);
	bd_buf_str(out, "");
	bd_tok_decode(a->m->tok, id, n, false, out);
	while (out->n && strchr(" \t\r\n", out->p[out->n - 1]) != NULL)
		out->p[--out->n] = '\0';
	blank = strspn(out->p, " \t\r\n");
	memmove(out->p, out->p + blank, out->n + 1 - blank);
	out->n -= blank;
}

/* The class whose label is the beginning of the answer: as many tokens as the label has give the label's
 * text. Of several, the one with the most tokens; -1: none. */
static int class_of(const struct bd_answers *a, const struct bd_ids *answer)
{
	struct bd_buf said = {0}, label = {0};
	int best = -1;

	for (size_t i = 0; i < a->classes; i++) {
		const struct bd_ids *l = &a->label[i];

		if (answer->n < l->n || (best >= 0 && l->n <= a->label[best].n))
			continue;
		decode(a, answer->id, l->n, &said);
		decode(a, l->id, l->n, &label);
		if (said.n == label.n && !memcmp(said.p, label.p, said.n))
			best = (int)i;
	}
	bd_buf_free(&said);
	bd_buf_free(&label);
	return best;
}

/* The label's text or the reference; false: the example has neither. */
static bool reference(const struct bd_answers *a, const struct question *q, struct bd_buf *out)
{
	bool labelled = q->label >= 0 && (size_t)q->label < a->classes;

	bd_buf_clear(out);
	if (labelled)
		decode(a, a->label[q->label].id, a->label[q->label].n, out);
	else
		bd_buf_str(out, q->ref != NULL ? q->ref : "");
	return labelled || q->ref != NULL;
}

static void count_label(struct bd_answers *a, const struct question *q, int predicted, json_t *line)
{
	a->invalid += predicted < 0;
	a->correct += predicted == q->label;
	a->labelled++;
	json_object_set_new(line, "label", json_integer(q->label));
	json_object_set_new(line, "predicted", predicted < 0 ? json_null() : json_integer(predicted));
}

/* Takes and frees the answer g to q. */
static void judge(struct bd_answers *a, struct question *q, struct bd_greedy *g)
{
	struct bd_buf said = {0}, ref = {0};
	bool known = reference(a, q, &ref);

	decode(a, g->ids.id, g->ids.n, &said);
	json_t *line = json_pack("{s:I, s:s%, s:I, s:b}", "index", (json_int_t)q->index, "prediction", said.p,
	                         said.n, "tokens", (json_int_t)g->ids.n, "end", g->end);
	if (known)
		json_object_set_new(line, "reference", json_stringn(ref.p, ref.n));
	if (known && q->label >= 0)
		count_label(a, q, class_of(a, &g->ids), line);
	else if (known)
		bd_text_scores_add(a->pairs, (struct bd_text){said.p, said.n},
		                   &(struct bd_text){ref.p, ref.n}, 1, false);
	if (a->lines != NULL)
		bd_json_line(a->lines, line);
	a->answers++;
	a->tokens += g->ids.n;
	a->ended += g->end;
	json_decref(line);
	bd_buf_free(&said);
	bd_buf_free(&ref);
	bd_ids_free(&g->ids);
	bd_free(q->ref);
	bd_free(q->prompt);
}

/* Answers all examples that are waiting. */
static void run(struct bd_answers *a)
{
	struct bd_greedy *g = bd_zalloc(a->n, sizeof(*g));
	size_t context = (size_t)a->m->net->cfg.context;

	for (size_t i = 0; i < a->n; i++) {
		const struct question *q = &a->q[i];

		if (q->n >= context)
			bd_die(BD_DATA,
			       "%s: example %llu: a prompt of %zu tokens leaves no room for an answer in the "
			       "model's context of %zu; cut it with bd-data --max-len",
			       a->source, (unsigned long long)q->index, q->n, context);
		g[i].prompt = q->prompt;
		g[i].n = q->n;
		g[i].max = a->o.max < context - q->n ? a->o.max : context - q->n;
	}
	bd_greedy(a->m->net, a->m->acts, g, a->n);
	for (size_t i = 0; i < a->n; i++)
		judge(a, &a->q[i], &g[i]);
	a->n = a->waiting = 0;
	bd_free(g);
}

/* ---- the stream ---- */

void bd_answers_add(struct bd_answers *a, const struct bd_record *r)
{
	size_t n = 1;

	while (n < r->n && !r->target[n])
		n++;
	n = n < r->n ? n : r->n;
	if (n == 0)
		return;
	if (a->n && a->waiting + n > a->o.batch_tokens)
		run(a);
	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 16;
		a->q = bd_resize(a->q, a->n, a->cap, sizeof(*a->q));
	}
	struct question *q = &a->q[a->n++];
	*q = (struct question){
	    .index = r->index, .label = r->label, .n = n, .prompt = bd_alloc(n, sizeof(*q->prompt))};
	memcpy(q->prompt, r->ids, n * sizeof(*q->prompt));
	q->ref = r->ref != NULL ? bd_strdup(r->ref) : NULL;
	a->waiting += n;
}

static json_t *answers_json(const struct bd_answers *a)
{
	double n = (double)a->labelled;
	json_t *o =
	    json_pack("{s:I, s:I, s:f}", "answers", (json_int_t)a->answers, "tokens", (json_int_t)a->tokens,
	              "ended", (double)a->ended / (double)(a->answers ? a->answers : 1));

	if (a->labelled) {
		struct bd_interval w = bd_wilson((double)a->correct, n);
		json_t *labels = json_pack("{s:f, s:f, s:f, s:I, s:f}", "accuracy", (double)a->correct / n,
		                           "low", w.low, "high", w.high, "correct", (json_int_t)a->correct,
		                           "invalid", (double)a->invalid / n);

		json_object_update_new(o, labels);
	}
	if (bd_text_scores_count(a->pairs))
		json_object_update_new(o, bd_text_scores_json(a->pairs, a->o.seed));
	return o;
}

json_t *bd_answers_finish(struct bd_answers *a)
{
	json_t *o;

	if (a->n)
		run(a);
	o = answers_json(a);
	if (a->lines != NULL)
		bd_out_close(a->lines);
	for (size_t i = 0; i < a->classes; i++)
		bd_ids_free(&a->label[i]);
	bd_free(a->label);
	bd_template_free(a->task);
	bd_text_scores_free(a->pairs);
	bd_free(a->q);
	bd_free(a);
	return o;
}
