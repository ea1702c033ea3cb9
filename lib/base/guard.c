/* Guards are a stack of jump buffers for each thread; scopes are hash tables with open addressing. */
#include "base/guard.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is held ---- */

struct bd_held {
	void *p; /* NULL: a free place */
	size_t n;
	bd_release *fn;
};

enum { FEWEST = 64 }; /* places of a table, a power of two */

static pthread_mutex_t scopes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bd_scope *scopes; /* all of them */

void bd_scope_begin(struct bd_scope *s, struct bd_scope *outer)
{
	*s = (struct bd_scope){.outer = outer};
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_lock(&scopes_lock);
	s->next = scopes;
	scopes = s;
	pthread_mutex_unlock(&scopes_lock);
}

static void unlist(struct bd_scope *s)
{
	struct bd_scope **p;

	pthread_mutex_lock(&scopes_lock);
	for (p = &scopes; *p != s; p = &(*p)->next)
		;
	*p = s->next;
	pthread_mutex_unlock(&scopes_lock);
}

static void release(const struct bd_held *h)
{
	if (h->fn != NULL)
		h->fn(h->p, h->n);
	else
		free(h->p);
}

void bd_scope_leave(struct bd_scope *s)
{
	unlist(s);
	free(s->held);
	pthread_mutex_destroy(&s->lock);
	*s = (struct bd_scope){0};
}

void bd_scope_end(struct bd_scope *s)
{
	for (int memory = 0; memory < 2; memory++)
		for (size_t i = 0; i < s->cap; i++)
			if (s->held[i].p != NULL && (s->held[i].fn == NULL) == memory)
				release(&s->held[i]);
	bd_scope_leave(s);
}

/* Where a search for p begins; cap is a power of two. Neighbours in memory are often used together and
 * are neighbours here too: 32 places for each KiB. */
static size_t place(const void *p, size_t cap)
{
	uint64_t a = (uint64_t)(uintptr_t)p, group = (a >> 10) * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	return (size_t)(group << 5 | (a >> 5 & 31)) & (cap - 1);
}

static void put(struct bd_held *held, size_t cap, struct bd_held h)
{
	size_t i = place(h.p, cap);

	while (held[i].p != NULL)
		i = (i + 1) & (cap - 1);
	held[i] = h;
}

/* Another table; false: no memory for it. */
static bool renew(struct bd_scope *s, size_t cap)
{
	struct bd_held *held;

	held = bd_guard_fails() ? NULL : calloc(cap, sizeof(*held));
	if (held == NULL)
		return false;
	for (size_t i = 0; i < s->cap; i++)
		if (s->held[i].p != NULL)
			put(held, cap, s->held[i]);
	free(s->held);
	s->held = held;
	s->cap = cap;
	return true;
}

/* Room for one more, at most two thirds of the places in use. */
static bool reserve(struct bd_scope *s)
{
	return 3 * (s->n + 1) <= 2 * s->cap || renew(s, s->cap > 0 ? 2 * s->cap : FEWEST);
}

void bd_scope_trim(struct bd_scope *s)
{
	size_t cap = FEWEST;

	while (2 * cap < 3 * (s->n + 1))
		cap *= 2;
	if (cap < s->cap)
		renew(s, cap);
}

static bool scope_keep(struct bd_scope *s, struct bd_held h)
{
	bool done;

	pthread_mutex_lock(&s->lock);
	done = reserve(s);
	if (done) {
		put(s->held, s->cap, h);
		s->n++;
	}
	pthread_mutex_unlock(&s->lock);
	return done;
}

/* Empties place i; those that follow move up where the gap would hide them. */
static void take_out(struct bd_scope *s, size_t i)
{
	size_t mask = s->cap - 1;

	for (size_t j = (i + 1) & mask; s->held[j].p != NULL; j = (j + 1) & mask)
		if (((j - place(s->held[j].p, s->cap)) & mask) >= ((j - i) & mask)) {
			s->held[i] = s->held[j];
			i = j;
		}
	s->held[i].p = NULL;
	s->n--;
}

static bool scope_drop(struct bd_scope *s, const void *p)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (size_t i = s->cap > 0 ? place(p, s->cap) : 0; !found && s->cap > 0 && s->held[i].p != NULL;
	     i = (i + 1) & (s->cap - 1)) {
		found = s->held[i].p == p;
		if (found)
			take_out(s, i);
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* ---- guards ---- */

struct guard {
	jmp_buf env;
	struct guard *outer;
	struct bd_scope *scope;
	volatile int status;
};

static _Thread_local struct guard *guard; /* of this thread, NULL: none */
static _Thread_local char text[BD_GUARD_TEXT];

int bd_guard(struct bd_scope *s, void (*fn)(void *ctx), void *ctx)
{
	struct guard g = {.outer = guard, .scope = s};

	if (setjmp(g.env) == 0) {
		guard = &g;
		fn(ctx);
	}
	guard = g.outer;
	return g.status;
}

_Noreturn void bd_guard_raise(int status)
{
	guard->status = status;
	longjmp(guard->env, 1);
}

char *bd_guard_text(void)
{
	return text;
}

struct bd_scope *bd_guard_scope(void)
{
	return guard != NULL ? guard->scope : NULL;
}

struct bd_scope *bd_guard_into(struct bd_scope *s)
{
	struct bd_scope *before = bd_guard_scope();

	if (before != NULL && s != NULL)
		guard->scope = s;
	return before;
}

void bd_guard_keep(void *p, size_t n, bd_release *fn)
{
	const struct bd_held h = {p, n, fn};

	if (guard == NULL || p == NULL)
		return;
	if (!scope_keep(guard->scope, h)) {
		release(&h);
		strcpy(text, "out of memory");
		bd_guard_raise(4); /* BD_SYS */
	}
}

void bd_guard_drop(const void *p)
{
	if (guard == NULL || p == NULL)
		return;
	for (struct bd_scope *s = guard->scope; s != NULL && !scope_drop(s, p); s = s->outer)
		;
}

/* Descriptors stand for themselves, as addresses that no memory has. */
static void *fd_address(int fd)
{
	return (void *)((uintptr_t)fd + 1);
}

static void close_fd(void *p, size_t n)
{
	(void)n;
	close((int)((uintptr_t)p - 1));
}

void bd_guard_keep_fd(int fd)
{
	bd_guard_keep(fd_address(fd), 0, close_fd);
}

void bd_guard_drop_fd(int fd)
{
	bd_guard_drop(fd_address(fd));
}

/* ---- tests ---- */

size_t bd_guard_live(void)
{
	size_t n = 0;

	pthread_mutex_lock(&scopes_lock);
	for (const struct bd_scope *s = scopes; s != NULL; s = s->next)
		n += s->n;
	pthread_mutex_unlock(&scopes_lock);
	return n;
}

bool bd_guard_fails(void)
{
	return guard != NULL && bd_guard_spoil != NULL && bd_guard_spoil();
}
