/* Answers: classes by the logits of their labels, texts by generation. */
#include "run/answer.h"

#include "base/mem.h"
#include "base/msg.h"

#include <inttypes.h>
#include <string.h>

struct bd_chat *bd_asked_chat(struct bd_asked *a)
{
	char *jinja;

	if (a->chat != NULL)
		return a->chat;
	if (a->template != BD_CHAT_AUTO) {
		a->chat = bd_chat_named(a->template, bd_infer_tok(a->m));
	} else {
		jinja = bd_chat_source(a->m->path);
		if (jinja == NULL)
			bd_die(BD_DATA, "%s: has no chat template; choose one with --template: %s",
			       a->m->path, BD_WORDS(BD_CHAT_LIST));
		a->chat = bd_chat_detect(jinja, bd_infer_tok(a->m));
		if (a->chat == NULL)
			bd_die(BD_DATA, "%s: has an unknown chat template; choose one with --template: %s",
			       a->m->path, BD_WORDS(BD_CHAT_LIST));
		bd_free(jinja);
	}
	a->chat->no_thinking = a->no_thinking;
	return a->chat;
}

void bd_asked_report(const struct bd_asked *a)
{
	if (a->cut > 0 && !a->quiet)
		bd_warn("%" PRIu64 " inputs cut to the context of %zu tokens, %" PRIu64 " tokens dropped",
		        a->cut, bd_gen_limit(a->m, &a->opts), a->cut_tokens);
}

void bd_asked_close(struct bd_asked *a)
{
	bd_gen_free(a->gen);
	bd_labels_free(a->labels);
	bd_chat_free(a->chat);
}

/* ---- classes ---- */

void bd_asked_classes(struct bd_asked *a, const struct bd_ids *prompt, size_t n, double *p, size_t *best)
{
	if (a->labels == NULL)
		a->labels = bd_labels_new(a->m);
	bd_labels_run(a->labels, prompt, n, p, best);
}

json_t *bd_answer_verdict(const struct bd_infer *m, const double *p, size_t best)
{
	const struct bd_template *t = m->task;
	json_t *all = json_object();

	for (size_t i = 0; i < m->n_choice; i++)
		json_object_set_new(all, bd_template_class(t, i), json_real(p[i]));
	return json_pack("{s:s, s:I, s:f, s:o}", "label", bd_template_class(t, best), "class",
	                 (json_int_t)best, "probability", p[best], "probabilities", all);
}

static json_t *classify(struct bd_asked *a, const struct bd_ids *ids)
{
	double *p = bd_alloc(a->m->n_choice, sizeof(*p));
	json_t *answer;
	size_t best;

	bd_asked_classes(a, ids, 1, p, &best);
	answer = bd_answer_verdict(a->m, p, best);
	bd_free(p);
	return answer;
}

/* Tokens that a task's prompt may have. */
static size_t prompt_room(const struct bd_infer *m, const struct bd_gen_opts *o)
{
	size_t limit = bd_gen_limit(m, o), answer = m->n_choice > 0 ? 1 : o->max_tokens;

	return limit - (answer < limit / 2 ? answer : limit / 2);
}

void bd_answer_prompt(struct bd_asked *a, const char *const *value, const char *where, struct bd_ids *ids)
{
	size_t room = prompt_room(a->m, &a->opts), n;
	bool fits = true;

	bd_prompt_ids(a->m->task, bd_infer_tok(a->m), value, where, ids);
	n = ids->n;
	if (n == 0 && a->m->n_choice > 0)
		bd_die(BD_DATA, "%s: the prompt of its task is empty for this input", a->m->path);
	if (n <= room || (a->cut_end == BD_CUT_NO && a->m->n_choice == 0)) /* bd_gen_room decides */
		return;
	if (a->cut_end != BD_CUT_NO)
		fits = bd_prompt_fit(a->m->task, a->m->tok, value, where, room, a->cut_end, ids);
	if (a->cut_end == BD_CUT_NO || !fits)
		bd_die(BD_DATA, "%s: %zu tokens with the answer, but the context of %s is %zu; shorten it%s",
		       where, n + 1, a->m->path, bd_gen_limit(a->m, &a->opts),
		       fits ? ", or cut such rows with --truncate right" : "");
	a->cut++;
	a->cut_tokens += n - ids->n;
}

size_t bd_answer_class(struct bd_labels *l, struct bd_infer *m, const char *const *value, const char *where,
                       double *p)
{
	struct bd_asked a = {.m = m};
	struct bd_ids ids = {0};
	size_t best;

	bd_answer_prompt(&a, value, where, &ids);
	bd_labels_run(l, &ids, 1, p, &best);
	bd_ids_free(&ids);
	return best;
}

/* ---- texts ---- */

/* Passes text on and keeps it. */
struct tee {
	bd_gen_emit *emit;
	void *ctx;
	struct bd_buf text;
};

static void tee(void *ctx, const char *text, size_t n)
{
	struct tee *t = ctx;

	bd_buf_add(&t->text, text, n);
	if (t->emit != NULL)
		t->emit(t->ctx, text, n);
}

json_t *bd_answer_written(const char *text, size_t n, const struct bd_gen_result *r)
{
	json_t *answer =
	    json_pack("{s:s%, s:s, s:I, s:I}", "text", n > 0 ? text : "", n, "finish_reason", r->finish,
	              "prompt_tokens", (json_int_t)r->prompt, "completion_tokens", (json_int_t)r->tokens);

	if (r->logprobs != NULL)
		json_object_set_new(answer, "logprobs", r->logprobs);
	return answer;
}

static json_t *continue_ids(struct bd_asked *a, const struct bd_ids *ids, const struct bd_gen_opts *o,
                            bd_gen_emit *emit, void *ctx)
{
	struct tee t = {.emit = emit, .ctx = ctx};
	struct bd_gen_result r;
	json_t *answer;

	if (a->gen == NULL)
		a->gen = bd_gen_new(a->m);
	r = bd_gen_run(a->gen, ids, o, tee, &t);
	answer = bd_answer_written(t.text.p, t.text.n, &r);
	bd_buf_free(&t.text);
	return answer;
}

json_t *bd_answer_text(struct bd_asked *a, const char *text, size_t n, bd_gen_emit *emit, void *ctx)
{
	struct bd_ids ids = {0};
	json_t *answer;

	bd_tok_encode(bd_infer_tok(a->m), text, n, BD_TOK_BOS, &ids);
	answer = continue_ids(a, &ids, &a->opts, emit, ctx);
	bd_ids_free(&ids);
	return answer;
}

json_t *bd_answer_row(struct bd_asked *a, const char *const *value, const char *where, bd_gen_emit *emit,
                      void *ctx)
{
	struct bd_ids ids = {0};
	json_t *answer;

	bd_answer_prompt(a, value, where, &ids);
	answer = a->m->n_choice > 0 ? classify(a, &ids) : continue_ids(a, &ids, &a->opts, emit, ctx);
	bd_ids_free(&ids);
	return answer;
}

struct bd_gen_opts bd_answer_chat_opts(const struct bd_asked *a, const char **stop)
{
	struct bd_gen_opts o = a->opts;

	for (size_t i = 0; i < o.n_stop; i++)
		stop[i] = o.stop[i];
	o.end = bd_tok_id(a->m->tok, a->chat->end);
	if (o.end < 0)
		stop[o.n_stop++] = a->chat->end;
	o.stop = stop;
	return o;
}

static json_t *reply(struct bd_asked *a, const struct bd_ids *ids, bd_gen_emit *emit, void *ctx)
{
	const char **stop = bd_alloc(a->opts.n_stop + 1, sizeof(*stop));
	struct bd_gen_opts o = bd_answer_chat_opts(a, stop);
	json_t *answer = continue_ids(a, ids, &o, emit, ctx);

	bd_free(stop);
	return answer;
}

void bd_answer_chat_ids(struct bd_asked *a, const struct bd_message *m, size_t n, const char *where,
                        struct bd_ids *ids)
{
	bool add = a->system != NULL && (n == 0 || strcmp(m[0].role, "system") != 0);
	struct bd_message *all = bd_alloc(n + 1, sizeof(*all));
	struct bd_buf text = {0};

	all[0] = (struct bd_message){"system", a->system};
	if (n > 0)
		memcpy(all + add, m, n * sizeof(*m));
	bd_chat_render(bd_asked_chat(a), all, n + add, where, &text);
	bd_tok_encode(bd_infer_tok(a->m), text.p, text.n, 0, ids); /* the text begins with its BOS */
	bd_buf_free(&text);
	bd_free(all);
}

json_t *bd_answer_chat(struct bd_asked *a, const struct bd_message *m, size_t n, const char *where,
                       bd_gen_emit *emit, void *ctx)
{
	struct bd_ids ids = {0};
	json_t *answer;

	bd_answer_chat_ids(a, m, n, where, &ids);
	answer = reply(a, &ids, emit, ctx);
	bd_ids_free(&ids);
	return answer;
}
