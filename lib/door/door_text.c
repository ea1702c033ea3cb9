/* Texts that go on: what with, how, and piece by piece. */
#include "base/mem.h"
#include "base/msg.h"
#include "door/door_session.h"

#include <string.h>

/* ---- options ---- */

static bool between(float x, float min, float max)
{
	return x >= min && x <= max; /* not of a NaN */
}

static int check_sampling(const bd_options *o)
{
	if (between(o->temperature, 0, 100) && between(o->top_p, 0, 1) && between(o->min_p, 0, 1) &&
	    o->top_k >= 0 && (o->repeat_penalty == 0 || between(o->repeat_penalty, 0.01f, 100)))
		return 0;
	return bd_door_refuse("bd_options: temperature %g, top_p %g, min_p %g, top_k %d or repeat_penalty %g "
	                      "is out of range",
	                      (double)o->temperature, (double)o->top_p, (double)o->min_p, (int)o->top_k,
	                      (double)o->repeat_penalty);
}

static int check_stops(const bd_options *o)
{
	if (o->n_stop > 0 && o->stop == NULL)
		return bd_door_refuse("bd_options: %zu stops, but stop is NULL", o->n_stop);
	for (size_t i = 0; i < o->n_stop; i++)
		if (o->stop[i] == NULL || *o->stop[i] == '\0')
			return bd_door_refuse("bd_options: stop[%zu] is empty", i);
	return 0;
}

/* The fields that the caller's struct has; 0 or a failure. */
static int take_options(bd_options *o, const bd_options *from)
{
	*o = (bd_options){.size = sizeof(*o)};
	if (from == NULL)
		return 0;
	if (from->size < sizeof(from->size) || from->size > sizeof(*o))
		return bd_door_refuse("bd_options: size is %zu; it should be sizeof(bd_options), here %zu",
		                      from->size, sizeof(*o));
	memcpy(o, from, from->size);
	return check_sampling(o) < 0 ? BD_EARGUMENT : check_stops(o);
}

static struct bd_gen_opts opts_of(const bd_options *o)
{
	struct bd_sampler sampler = {.temperature = o->temperature,
	                             .top_k = o->top_k,
	                             .top_p = o->top_p > 0 ? o->top_p : 1,
	                             .min_p = o->min_p,
	                             .seed = o->seed};

	return (struct bd_gen_opts){.max_tokens = o->max_tokens > 0 ? o->max_tokens : 256,
	                            .sampler = sampler,
	                            .repeat_penalty = o->repeat_penalty > 0 ? o->repeat_penalty : 1,
	                            .repeat_last = o->repeat_last > 0 ? o->repeat_last : 64,
	                            .stop = o->stop,
	                            .n_stop = o->n_stop,
	                            .end = -1};
}

/* ---- what with ---- */

/* Something to go on with. prepare makes ids and opts of it before the session changes. */
struct request {
	struct bd_door_session *s;
	const char *text; /* each [n] */
	const bd_chat_message *message;
	const char *const *field;
	size_t n;
	bd_options o;
	struct bd_ids ids;
	struct bd_gen_opts opts;
};

static void prepare_text(void *ctx)
{
	struct request *q = ctx;
	struct bd_infer *m = q->s->m->infer;

	bd_tok_encode(bd_infer_tok(m), q->n > 0 ? q->text : "", q->n, BD_TOK_BOS, &q->ids);
	bd_gen_room(m, q->ids.n, &q->opts);
}

static enum bd_chat_name template_of(const bd_options *o)
{
	int i = o->chat_template != NULL ? bd_word_find(BD_CHAT_WORDS, o->chat_template) : BD_CHAT_AUTO;

	if (i < 0)
		bd_die(BD_DATA, "no chat template %s; there are %s", o->chat_template,
		       BD_WORDS(BD_CHAT_LIST));
	return (enum bd_chat_name)i;
}

static void prepare_chat(void *ctx)
{
	struct request *q = ctx;
	struct bd_asked a = {.m = q->s->m->infer,
	                     .opts = q->opts,
	                     .template = template_of(&q->o),
	                     .no_thinking = q->o.no_thinking != 0};
	struct bd_message *m = bd_alloc(q->n, sizeof(*m));

	for (size_t i = 0; i < q->n; i++)
		m[i] = (struct bd_message){q->message[i].role, q->message[i].text};
	bd_answer_chat_ids(&a, m, q->n, "bd_chat", &q->ids);
	q->opts = bd_answer_chat_opts(&a, bd_alloc(q->opts.n_stop + 1, sizeof(*q->opts.stop)));
	bd_gen_room(a.m, q->ids.n, &q->opts);
}

static void prepare_row(void *ctx)
{
	struct request *q = ctx;
	struct bd_buf text = {0};

	bd_template_prompt(q->s->m->infer->task, q->field, "bd_ask", &text);
	q->text = text.p;
	q->n = text.n;
	prepare_text(q);
}

/* The stop texts have to last as long as the text. */
static void keep_stops(struct bd_door_session *s, struct bd_gen_opts *o)
{
	for (size_t i = 0; i < s->n_stop; i++)
		bd_free(s->stop[i]);
	bd_free(s->stop);
	s->stop = bd_alloc(o->n_stop, sizeof(*s->stop));
	for (s->n_stop = 0; s->n_stop < o->n_stop; s->n_stop++)
		s->stop[s->n_stop] = bd_strdup(o->stop[s->n_stop]);
	o->stop = (const char *const *)s->stop;
}

static void begin_text(void *ctx)
{
	struct request *q = ctx;

	bd_door_need(q->s);
	keep_stops(q->s, &q->opts);
	bd_gen_begin(q->s->gen, &q->ids, &q->opts);
}

static int begin(struct request *q, const bd_options *o, void (*prepare)(void *ctx))
{
	struct bd_scope scope;
	int status = take_options(&q->o, o);

	if (status < 0)
		return status;
	q->opts = opts_of(&q->o);
	bd_scope_begin(&scope, &q->s->m->scope);
	status = bd_door_call(&scope, prepare, q);
	if (status == 0)
		status = bd_door_session_compute(q->s, begin_text, q);
	if (status == 0) {
		q->s->begun = true;
		q->s->finish = NULL;
	}
	bd_scope_end(&scope);
	return status;
}

int bd_prompt(bd_session *s, const char *text, size_t n, const bd_options *o)
{
	struct request q = {.s = s, .text = text, .n = n};

	if (s == NULL)
		return bd_door_missing("session");
	if (text == NULL && n > 0)
		return bd_door_refuse("bd_prompt: text is NULL");
	return begin(&q, o, prepare_text);
}

int bd_chat(bd_session *s, const bd_chat_message *m, size_t n, const bd_options *o)
{
	struct request q = {.s = s, .message = m, .n = n};

	if (s == NULL)
		return bd_door_missing("session");
	if (m == NULL || n == 0)
		return bd_door_refuse("bd_chat: no messages");
	for (size_t i = 0; i < n; i++)
		if (m[i].role == NULL || m[i].text == NULL)
			return bd_door_refuse("bd_chat: message %zu has no role or no text", i);
	return begin(&q, o, prepare_chat);
}

int bd_ask(bd_session *s, const char *const *fields, size_t n, const bd_options *o)
{
	struct request q = {.s = s, .field = fields, .n = n};

	if (s == NULL)
		return bd_door_missing("session");
	if (bd_fields(s->m) == 0 || bd_classes(s->m) > 0)
		return bd_door_refuse("%s: has no task with a text as answer", s->m->infer->path);
	if (fields == NULL || n != bd_fields(s->m))
		return bd_door_refuse("bd_ask: %zu fields; the model's task has %zu", n, bd_fields(s->m));
	return begin(&q, o, prepare_row);
}

/* ---- piece by piece ---- */

struct going {
	struct bd_door_session *s;
	const char **text;
	size_t *n;
};

static void go_on(void *ctx)
{
	struct going *g = ctx;

	if (!bd_gen_next(g->s->gen, g->text, g->n))
		g->s->finish = bd_gen_end(g->s->gen).finish;
}

int bd_next(bd_session *s, const char **text, size_t *n)
{
	struct going g = {s, text, n};
	int status;

	if (text == NULL || n == NULL)
		return bd_door_refuse("bd_next: text or n is NULL");
	*text = "";
	*n = 0;
	if (s == NULL)
		return bd_door_missing("session");
	if (!s->begun)
		return bd_door_refuse("bd_next: no text has been begun");
	if (s->finish != NULL)
		return 0;
	status = bd_door_session_compute(s, go_on, &g);
	return status < 0 ? status : *n > 0;
}

const char *bd_finish(const bd_session *s)
{
	return s != NULL ? s->finish : NULL;
}
