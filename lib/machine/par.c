/* A team of threads that sleeps between jobs. A job is announced by a new generation number; every thread
 * runs the slice of its own number. Waiting is a short spin, because jobs follow each other within
 * microseconds, then a condition variable. */
#include "machine/par.h"

#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

enum { SPINS = 256 }; /* pauses of 20-70 ns each */

struct worker {
	struct bd_par *par;
	pthread_t thread;
	int slice;
};

struct bd_par {
	int threads;
	struct worker *worker; /* [threads]; 0 is the caller and has no thread */

	bd_par_fn *fn; /* the job: written before `generation`, read after it; NULL ends the thread */
	void *ctx;
	size_t n;
	struct bd_scope *scope; /* of the caller's guard, NULL: none */

	_Alignas(64) atomic_uint generation;
	_Alignas(64) atomic_int pending; /* slices not yet done, the caller's not counted */
	atomic_int sleepers;             /* threads that wait on `work`; the caller on `done` */

	/* under a guard */
	atomic_int failed; /* status of the first slice that died, 0: none */
	char why[BD_GUARD_TEXT];

	pthread_mutex_t lock;
	pthread_cond_t work, done;
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

static bool at_work(struct bd_par *p, unsigned seen)
{
	return atomic_load(&p->generation) != seen;
}

static bool all_done(struct bd_par *p, unsigned unused)
{
	(void)unused;
	return atomic_load(&p->pending) == 0;
}

/* A sleeper counts itself, then looks at the condition; whoever makes the condition true looks at the count
 * afterwards. All are sequentially consistent, so one of the two sees the other, and no wake-up is lost. */
static void wait_for(struct bd_par *p, bool (*ready)(struct bd_par *, unsigned), unsigned arg,
                     pthread_cond_t *cond)
{
	for (int i = 0; i < SPINS; i++) {
		if (ready(p, arg))
			return;
		pause_a_little();
	}
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->sleepers, 1);
	while (!ready(p, arg))
		pthread_cond_wait(cond, &p->lock);
	atomic_fetch_sub(&p->sleepers, 1);
	pthread_mutex_unlock(&p->lock);
}

static void wake(struct bd_par *p, pthread_cond_t *cond)
{
	if (atomic_load(&p->sleepers) == 0)
		return;
	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(cond);
	pthread_mutex_unlock(&p->lock);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	struct bd_par *p = w->par;

	for (unsigned seen = 0;; seen++) {
		wait_for(p, at_work, seen, &p->work);
		if (p->fn == NULL)
			return NULL;
		run_slice(p, w->slice);
		if (atomic_fetch_sub(&p->pending, 1) == 1)
			wake(p, &p->done);
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
	atomic_store(&p->pending, p->threads - 1);
	atomic_fetch_add(&p->generation, 1);
	wake(p, &p->work);
}

static void end_threads(struct bd_par *p)
{
	announce(p, 0, NULL, NULL);
	for (int i = 1; i < p->threads; i++)
		pthread_join(p->worker[i].thread, NULL);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
}

/* In a scope the lock stands for the threads, p and worker for their memory. */
static void release(void *lock, size_t n)
{
	end_threads((struct bd_par *)((char *)lock - n));
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
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);

	failed = start_threads(p, threads);
	bd_guard_keep(&p->lock, offsetof(struct bd_par, lock), release);
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
	bd_guard_drop(&p->lock);
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
	wait_for(p, all_done, 0, &p->done);
	if (p->scope != NULL && p->failed != 0)
		bd_die((enum bd_status)p->failed, "%s", p->why);
}
