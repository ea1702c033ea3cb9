/* bd.h without memory: every allocation fails once, the k-th for k = 1, 2, ... until none does; after each
 * failure nothing is left, and the model is as it was. */
#include "base/guard.h"
#include "base/io.h"
#include "base/mem.h"
#include "bd.h"
#include "child.h"
#include "door/models.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PROMPT "the story was"

static atomic_long countdown; /* allocations until one fails; 0: none does */
static bool elsewhere;        /* only those of other threads count */
static pthread_t self;

bool bd_guard_spoil(void)
{
	if (countdown == 0 || (elsewhere && pthread_equal(self, pthread_self())))
		return false;
	return atomic_fetch_sub(&countdown, 1) == 1;
}

static bool spoilt(void) /* has one failed? */
{
	return countdown <= 0;
}

static int set_up(void **state)
{
	(void)state;
	self = pthread_self();
	models_make();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	models_remove();
	return bd_guard_live() == 0 ? 0 : -1;
}

/* A text of s into text[256]; false if a call failed. */
static bool go_on(bd_session *s, char *text)
{
	bd_options o = {.size = sizeof(o), .max_tokens = 6, .repeat_penalty = 1.1f, .top_p = 0.9f};
	const char *piece;
	size_t n, at = 0;
	int rc;

	o.temperature = 0.8f;
	o.stop = (const char *const[]){"\n\n\n\n"};
	o.n_stop = 1;
	if (bd_prompt(s, PROMPT, strlen(PROMPT), &o) < 0)
		return false;
	while ((rc = bd_next(s, &piece, &n)) > 0 && at + n < 256) {
		memcpy(text + at, piece, n);
		at += n;
	}
	text[at] = '\0';
	return rc == 0;
}

static bool classify(bd_model *m, double *p)
{
	static const char *const row[] = {"one", "two", NULL};

	return bd_classify(m, row, 3, p) >= 0;
}

static bool feed(bd_session *s)
{
	uint32_t ids[300] = {0};

	return bd_rewind(s, 0) == 0 && bd_feed(s, ids, 300) != NULL;
}

static bool chat(bd_session *s)
{
	static const bd_chat_message m[] = {{"user", "Well?"}};
	bd_options o = {.size = sizeof(o), .chat_template = "chatml"};

	return bd_chat(s, m, 1, &o) == 0;
}

/* What everything gives when nothing fails. */
struct result {
	char text[256], info[4096];
	double p[2];
	int64_t tokens;
};

/* All calls on an open model; false as soon as one fails. */
static bool all(bd_model *m, bd_session *s, struct result *r)
{
	const char *info;

	if (!go_on(s, r->text) || !classify(m, r->p) || !feed(s) || !chat(s))
		return false;
	info = bd_info(m);
	r->tokens = bd_encode(m, PROMPT, strlen(PROMPT), 0, NULL, 0);
	snprintf(r->info, sizeof(r->info), "%s", info != NULL ? info : "");
	return info != NULL && r->tokens > 0;
}

/* Opens path and does all; false if a call failed. */
static bool from_the_start(const char *path, int threads, struct result *r)
{
	bd_model *m = bd_open(path, threads);
	bd_session *s = bd_session_new(m);
	bool done = s != NULL && all(m, s, r);

	bd_session_free(s);
	bd_close(m);
	return done;
}

static struct result clean(const char *path)
{
	struct result r = {.tokens = 0};

	countdown = 0;
	assert_true(from_the_start(path, 1, &r));
	return r;
}

static void same(const struct result *a, const struct result *b)
{
	assert_string_equal(a->text, b->text);
	assert_string_equal(a->info, b->info);
	assert_memory_equal(a->p, b->p, sizeof(a->p));
	assert_int_equal(a->tokens, b->tokens);
}

/* Opening and all that follows. */
static void every_allocation(void **state)
{
	const char *const paths[] = {"task.gguf", "task"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct result want = clean(paths[i]), r;
		bool done = false;
		long k = 1;

		for (; !done; k++) {
			countdown = k;
			done = from_the_start(paths[i], i == 0 ? 2 : 1, &r);
			assert_int_equal(bd_guard_live(), 0);
			if (!done)
				assert_true(spoilt() && strlen(bd_error()) > 5);
		}
		assert_false(spoilt());
		countdown = 0;
		same(&r, &want);
		print_message("%s: %ld allocations failed\n", paths[i], k - 2);
	}
}

/* Failures of the calls on a model that is open; the same session and another one work afterwards. */
static void model_lasts(void **state)
{
	struct result want = clean("task.gguf"), r;
	bool done = false;
	long k = 1;

	(void)state;
	for (; !done; k++) {
		bd_model *m = bd_open("task.gguf", 3);
		bd_session *s = bd_session_new(m), *t;

		countdown = k;
		done = all(m, s, &r);
		countdown = 0;
		t = bd_session_new(m);
		assert_true(all(m, s, &r));
		same(&r, &want);
		assert_true(all(m, t, &r));
		same(&r, &want);
		bd_session_free(s);
		bd_session_free(t);
		bd_close(m);
		assert_int_equal(bd_guard_live(), 0);
	}
	print_message("open model: %ld allocations failed\n", k - 2);
}

/* Failures in slices that other threads run: the caller hears of them, the team goes on. */
static void in_worker_threads(void **state)
{
	struct result want = clean("task.gguf"), r;
	bool done = false;
	long k = 1;

	(void)state;
	for (; !done; k++) {
		bd_model *m = bd_open("task.gguf", 3);
		bd_session *s = bd_session_new(m);

		elsewhere = true;
		countdown = k;
		done = all(m, s, &r);
		if (!done)
			assert_non_null(strstr(bd_error(), "out of memory"));
		elsewhere = false;
		countdown = 0;
		assert_true(all(m, s, &r));
		same(&r, &want);
		bd_session_free(s);
		bd_close(m);
		assert_int_equal(bd_guard_live(), 0);
	}
	print_message("worker threads: %ld allocations failed\n", k - 2);
	assert_true(k > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_allocation),
	    cmocka_unit_test(model_lasts),
	    cmocka_unit_test(in_worker_threads),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
