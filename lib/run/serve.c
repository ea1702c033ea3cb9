/* A service: a failure gives up what was made for answering, but not the model. */
#include "run/serve.h"

#include "base/mem.h"
#include "base/msg.h"
#include "text/unicode.h"

#include <inttypes.h>
#include <string.h>

void bd_serve_begin(struct bd_serve *s, struct bd_asked *a)
{
	*s = (struct bd_serve){.a = a};
	bd_json_guard();
	bd_acts_free(a->m->acts);
	a->m->acts = NULL;
	bd_scope_begin(&s->model, NULL);
	bd_scope_begin(&s->scope, &s->model);
	a->m->net->dev->scope = &s->model;
}

/* Everything in the scope, and the pointers to it. */
static void forget(struct bd_serve *s)
{
	bd_scope_end(&s->scope);
	s->a->gen = NULL;
	s->a->labels = NULL;
	s->a->m->z = s->a->m->z_copy = NULL;
	s->a->m->z_n = 0;
	s->a->chat = NULL;
	s->a->m->acts = NULL;
}

struct call {
	struct bd_infer *m;
	void (*fn)(void *ctx);
	void *ctx;
};

static void call(void *ctx)
{
	struct call *c = ctx;

	if (c->m->acts == NULL)
		c->m->acts = bd_acts_new(c->m->net, false);
	c->fn(c->ctx);
}

char *bd_serve_call(struct bd_serve *s, void (*fn)(void *ctx), void *ctx)
{
	char *why = bd_serve_try(s, fn, ctx);

	s->lines += why == NULL;
	return why;
}

char *bd_serve_try(struct bd_serve *s, void (*fn)(void *ctx), void *ctx)
{
	struct bd_gen_opts before = s->a->opts;
	struct call c = {s->a->m, fn, ctx};
	int status = bd_guard(&s->scope, call, &c);

	if (status && status != BD_DATA)
		bd_die((enum bd_status)status, "%s", bd_guard_text());
	if (!status)
		return NULL;
	forget(s);
	s->a->opts = before;
	bd_scope_begin(&s->scope, &s->model);
	return bd_strdup(bd_guard_text());
}

json_t *bd_serve_refuse(struct bd_serve *s, json_t *id, const char *why)
{
	struct bd_buf text = {0}; /* the reason may quote what is no UTF-8, or be cut inside a character */
	json_t *o = json_object();

	s->lines++;
	bd_utf8_repair(why, strlen(why), &text);
	if (id != NULL)
		json_object_set_new(o, "id", id);
	json_object_set_new(o, "error", json_stringn(text.p != NULL ? text.p : "", text.n));
	if (s->refused++ == 0)
		s->first = bd_strdup(text.p != NULL ? text.p : "");
	bd_buf_free(&text);
	return o;
}

void bd_serve_end(struct bd_serve *s)
{
	forget(s);
	s->a->m->net->dev->scope = NULL;
	bd_scope_leave(&s->model);
	bd_asked_report(s->a);
	if (s->refused)
		bd_die(BD_DATA, "%" PRIu64 " of %" PRIu64 " lines refused; the first: %s", s->refused,
		       s->lines, s->first);
}
