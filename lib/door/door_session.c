/* Sessions: one growing sequence. */
#include "door/door_session.h"

#include <stdlib.h>
#include <unistd.h>

void bd_door_need(struct bd_door_session *s)
{
	if (s->gen == NULL)
		s->gen = bd_gen_new(s->m->infer);
}

int bd_door_session_compute(struct bd_door_session *s, void (*fn)(void *ctx), void *ctx)
{
	int status = bd_door_compute(s->m, &s->scope, fn, ctx);

	if (s->scope.n == 0) { /* a failure has emptied it */
		s->gen = NULL;
		s->stop = NULL;
		s->n_stop = 0;
		s->begun = false;
		s->finish = NULL;
	}
	return status;
}

static void start(void *ctx)
{
	bd_door_need(ctx);
}

bd_session *bd_session_new(bd_model *m)
{
	struct bd_door_session *s = m != NULL ? calloc(1, sizeof(*s)) : NULL;

	if (m == NULL)
		bd_door_missing("model");
	else if (s == NULL)
		bd_door_refuse("out of memory");
	if (s == NULL)
		return NULL;
	s->m = m;
	bd_scope_begin(&s->scope, &m->scope);
	if (bd_door_session_compute(s, start, s) == 0)
		return s;
	bd_session_free(s);
	return NULL;
}

void bd_session_free(bd_session *s)
{
	if (s == NULL || s->m->pid != getpid()) /* in a forked child all stays as it is */
		return;
	bd_scope_end(&s->scope);
	free(s);
}

size_t bd_length(const bd_session *s)
{
	return s != NULL && s->gen != NULL ? bd_gen_length(s->gen) : 0;
}

int bd_rewind(bd_session *s, size_t n)
{
	if (s == NULL)
		return bd_door_missing("session");
	if (n > bd_length(s))
		return bd_door_refuse("bd_rewind to %zu: the session has %zu tokens", n, bd_length(s));
	if (s->gen != NULL)
		bd_gen_rewind(s->gen, n);
	s->begun = false;
	s->finish = NULL;
	return 0;
}

struct feeding {
	struct bd_door_session *s;
	const uint32_t *ids;
	size_t n;
	const float *z;
};

static void feed(void *ctx)
{
	struct feeding *f = ctx;

	bd_door_need(f->s);
	f->z = bd_gen_feed(f->s->gen, f->ids, f->n);
}

static int check_ids(const struct bd_door_session *s, const uint32_t *ids, size_t n)
{
	size_t room = bd_context(s->m) - bd_length(s);

	if (ids == NULL || n == 0)
		return bd_door_refuse("bd_feed: no tokens");
	if (n > room)
		return bd_door_refuse("bd_feed: %zu tokens, and %zu of the context of %zu are free", n, room,
		                      bd_context(s->m));
	for (size_t i = 0; i < n; i++)
		if (ids[i] >= bd_vocab(s->m))
			return bd_door_refuse("bd_feed: id %u is not below %zu", ids[i], bd_vocab(s->m));
	return 0;
}

const float *bd_feed(bd_session *s, const uint32_t *ids, size_t n)
{
	struct feeding f = {s, ids, n, NULL};

	if (s == NULL)
		bd_door_missing("session");
	if (s == NULL || check_ids(s, ids, n) < 0)
		return NULL;
	bd_rewind(s, bd_length(s)); /* the text under way ends */
	return bd_door_session_compute(s, feed, &f) == 0 ? f.z : NULL;
}
