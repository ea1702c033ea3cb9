/* A team of threads. A job is announced by a new generation number; every thread runs the slice of its own
 * number. Whoever waits looks again and again for a while, because jobs follow each other within microseconds
 * and to be woken costs as much as a job; then it sleeps (futex), because a core that it would keep from
 * another thread or program may be the very one that is waited for. */
#include "machine/par.h"

#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/procs.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Longer than what lies between two jobs of a pass; a small part of what a scheduler gives at a time. */
enum { SPIN_NS = 50000, PAUSES = 16 /* between two looks at the clock */ };

struct worker {
	struct bd_par *par;
	pthread_t thread;
	int slice;
};

/* A number that threads wait for, and how many of them sleep. */
struct word {
	_Alignas(64) atomic_uint value;
	atomic_uint sleepers;
};

struct bd_par {
	int threads;
	int64_t spin;          /* ns; 0 if there are more threads than processors for them */
	struct worker *worker; /* [threads]; 0 is the caller and has no thread */

	bd_par_fn *fn; /* the job: written before `generation`, read after it; NULL ends the thread */
	void *ctx;
	size_t n;
	struct bd_scope *scope; /* of the caller's guard, NULL: none */

	struct word generation, pending; /* slices not yet done, the caller's not counted */

	/* under a guard */
	atomic_int failed; /* status of the first slice that died, 0: none */
	char why[BD_GUARD_TEXT];
};

static inline void pause_a_little(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

struct slice {
	struct bd_par *par;
	size_t begin, end;
	int slice;
};

static void run_guarded(void *ctx)
{
	const struct slice *s = ctx;

	s->par->fn(s->par->ctx, s->begin, s->end, s->slice);
}

/* A slice that dies ends here: the others still use what the caller owns. */
static void guard_slice(struct bd_par *p, size_t begin, size_t end, int slice)
{
	int status = bd_guard(p->scope, run_guarded, &(struct slice){p, begin, end, slice}), none = 0;

	if (status != 0 && atomic_compare_exchange_strong(&p->failed, &none, status))
		snprintf(p->why, sizeof(p->why), "%s", bd_guard_text());
}

static void run_slice(struct bd_par *p, int slice)
{
	const size_t s = (size_t)slice, S = (size_t)p->threads;

	/* n*s/S without overflow */
	const size_t begin = p->n / S * s + p->n % S * s / S;
	const size_t end = p->n / S * (s + 1) + p->n % S * (s + 1) / S;

	if (p->scope != NULL)
		guard_slice(p, begin, end, slice);
	else
		p->fn(p->ctx, begin, end, slice);
}

/* ---- waiting ---- */

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void futex(atomic_uint *word, int call, unsigned value)
{
	syscall(SYS_futex, word, call, value, NULL, NULL, 0);
}

/* What a wait ends with: the value is `want`, or is no longer. */
struct wish {
	unsigned want;
	bool differs;
};

static bool fulfilled(const struct word *w, struct wish s)
{
	return (atomic_load(&w->value) == s.want) != s.differs;
}

/* A sleeper counts itself, then looks at the value; whoever changes the value looks at the count afterwards.
 * All are sequentially consistent, so one of the two sees the other, and no wake-up is lost. */
static void sleep_for(struct word *w, struct wish s)
{
	atomic_fetch_add(&w->sleepers, 1);
	for (unsigned seen; seen = atomic_load(&w->value), (seen == s.want) == s.differs;)
		futex(&w->value, FUTEX_WAIT_PRIVATE, seen);
	atomic_fetch_sub(&w->sleepers, 1);
}

static void wait_for(const struct bd_par *p, struct word *w, struct wish s)
{
	int64_t end = 0;

	do {
		for (int i = 0; i < PAUSES; i++) {
			if (fulfilled(w, s))
				return;
			pause_a_little();
		}
		end = end == 0 ? now() + p->spin : end;
	} while (now() < end);
	sleep_for(w, s);
}

static void wake(struct word *w)
{
	if (atomic_load(&w->sleepers) > 0)
		futex(&w->value, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/* ---- the team ---- */

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	struct bd_par *p = w->par;

	for (unsigned seen = 0;; seen++) {
		wait_for(p, &p->generation, (struct wish){seen, true});
		if (p->fn == NULL)
			return NULL;
		run_slice(p, w->slice);
		if (atomic_fetch_sub(&p->pending.value, 1) == 1)
			wake(&p->pending);
	}
}

static void announce(struct bd_par *p, size_t n, bd_par_fn *fn, void *ctx)
{
	p->n = n;
	p->fn = fn;
	p->ctx = ctx;
	p->scope = bd_guard_scope();
	if (p->scope != NULL) /* a store that the workers' caches would wait for */
		atomic_store(&p->failed, 0);
	atomic_store(&p->pending.value, (unsigned)p->threads - 1);
	atomic_fetch_add(&p->generation.value, 1);
	wake(&p->generation);
}

static void end_threads(struct bd_par *p)
{
	announce(p, 0, NULL, NULL);
	for (int i = 1; i < p->threads; i++)
		pthread_join(p->worker[i].thread, NULL);
}

/* In a scope `generation` stands for the threads, p and worker for their memory. */
static void release(void *generation, size_t n)
{
	end_threads((struct bd_par *)((char *)generation - n));
}

/* The threads after the caller's; 0 or an error number, with as many as could be started. */
static int start_threads(struct bd_par *p, int threads)
{
	sigset_t all, old;
	int failed = 0;

	sigfillset(&all); /* signals are for the caller's thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (p->threads = 1; p->threads < threads; p->threads++) {
		struct worker *w = &p->worker[p->threads];

		w->par = p;
		w->slice = p->threads;
		failed = bd_guard_fails() ? EAGAIN : pthread_create(&w->thread, NULL, thread_main, w);
		if (failed != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return failed;
}

struct bd_par *bd_par_new(int threads)
{
	struct bd_par *p = bd_zalloc(1, sizeof(*p));
	int failed;

	threads = threads < 1 ? 1 : threads;
	p->worker = bd_zalloc((size_t)threads, sizeof(*p->worker));
	p->spin = threads > 1 && threads <= bd_processors("") ? SPIN_NS : 0;
	failed = start_threads(p, threads);
	bd_guard_keep(&p->generation, offsetof(struct bd_par, generation), release);
	if (failed != 0) {
		errno = failed;
		bd_die(BD_SYS, "cannot start thread %d of %d:", p->threads + 1, threads);
	}
	return p;
}

void bd_par_free(struct bd_par *p)
{
	if (p == NULL)
		return;
	bd_guard_drop(&p->generation);
	end_threads(p);
	bd_free(p->worker);
	bd_free(p);
}

int bd_par_threads(const struct bd_par *p)
{
	return p != NULL ? p->threads : 1;
}

void bd_par_for(struct bd_par *p, size_t n, bd_par_fn *fn, void *ctx)
{
	if (p == NULL || p->threads == 1 || n == 1) {
		fn(ctx, 0, n, 0);
		return;
	}
	announce(p, n, fn, ctx);
	run_slice(p, 0);
	wait_for(p, &p->pending, (struct wish){0, false});
	if (p->scope != NULL && p->failed != 0)
		bd_die((enum bd_status)p->failed, "%s", p->why);
}
