/* Guards: what bd_die() becomes under them, and what belongs to whom. */
#include "base/guard.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "machine/par.h"

#include <stdlib.h>

static void dies(void *text)
{
	char *lost = bd_strdup("lost with the scope");

	bd_die(BD_DATA, "%s and %s", lost, (char *)text);
}

static void messages(void **state)
{
	struct bd_scope s;

	(void)state;
	bd_scope_begin(&s, NULL);
	assert_null(bd_guard_scope());
	assert_int_equal(bd_guard(&s, dies, "more"), BD_DATA);
	assert_string_equal(bd_guard_text(), "lost with the scope and more");
	assert_null(bd_guard_scope());
	assert_int_equal(bd_guard_live(), 1);
	bd_scope_end(&s);
	assert_int_equal(bd_guard_live(), 0);
}

/* Many blocks, dropped in another order than they came in. */
static void many(void *unused)
{
	enum { N = 5000 };
	static char *p[N];

	(void)unused;
	for (size_t i = 0; i < N; i++)
		p[i] = bd_alloc(1, 1 + i % 300);
	assert_int_equal(bd_guard_live(), N);
	for (size_t i = 0; i < N; i++) {
		size_t j = i * 3571 % N; /* every number once */

		if (j % 5 > 0)
			bd_free(p[j]);
	}
	assert_int_equal(bd_guard_live(), N / 5);
	for (size_t j = 0; j < N; j += 5)
		memset(p[j], 1, 1 + j % 300);
}

static void counts(void **state)
{
	struct bd_scope s;

	(void)state;
	bd_scope_begin(&s, NULL);
	assert_int_equal(bd_guard(&s, many, NULL), 0);
	bd_scope_trim(&s);
	assert_int_equal(s.n, 1000);
	bd_scope_end(&s);
}

static struct bd_scope outer, inner;
static char *kept;

static void keep(void *unused)
{
	(void)unused;
	kept = bd_strdup("of the outer scope");
}

static void give(void *unused)
{
	struct bd_scope *before = bd_guard_into(&outer);
	char *old = kept;

	(void)unused;
	assert_ptr_equal(before, &inner);
	kept = bd_strdup("another of the outer scope");
	bd_guard_into(before);
	bd_free(old);
	bd_die(BD_SYS, "late");
}

/* A call may replace what belongs to another scope. */
static void owners(void **state)
{
	(void)state;
	bd_scope_begin(&outer, NULL);
	bd_scope_begin(&inner, &outer);
	assert_int_equal(bd_guard(&outer, keep, NULL), 0);
	assert_int_equal(bd_guard(&inner, give, NULL), BD_SYS);
	assert_int_equal(inner.n, 0);
	assert_int_equal(outer.n, 1);
	bd_scope_end(&inner);
	assert_string_equal(kept, "another of the outer scope");
	bd_scope_end(&outer);
}

static void acquire(void *unused)
{
	json_t *j = json_pack("{s:[i, i], s:s}", "a", 1, 2, "b", "text");
	struct bd_par *p = bd_par_new(3);

	(void)unused;
	bd_map_file("Makefile");
	bd_pages(1 << 20);
	json_object_set_new(j, "self", json_deep_copy(j));
	bd_par_free(bd_par_new(2));
	bd_die(BD_DATA, "%d threads, and all is left", bd_par_threads(p));
}

static void everything(void **state)
{
	struct bd_scope s;
	json_t *mine = json_string("made before");

	(void)state;
	bd_json_guard();
	bd_scope_begin(&s, NULL);
	assert_int_equal(bd_guard(&s, acquire, NULL), BD_DATA);
	bd_scope_end(&s);
	json_decref(mine);
	mine = json_string("made without a guard");
	assert_int_equal(bd_guard_live(), 0);
	free(json_dumps(mine, JSON_ENCODE_ANY)); /* jansson's memory is malloc's, as its manual says */
	json_decref(mine);
}

static int done[4];

static void slice(void *ctx, size_t begin, size_t end, int number)
{
	size_t bad = *(const size_t *)ctx;

	done[number]++;
	if (bad >= begin && bad < end)
		bd_die(BD_DATA, "slice %d", number);
}

static void team(void *par)
{
	for (size_t bad = 0; bad < 4; bad++)
		bd_par_for(par, 4, slice, &(size_t){9});
	bd_par_for(par, 4, slice, &(size_t){2});
}

/* One slice dies: the others run to their end, the caller hears of it, and the team can work again. */
static void slices(void **state)
{
	struct bd_par *p = bd_par_new(4);
	struct bd_scope s;

	(void)state;
	bd_scope_begin(&s, NULL);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(bd_guard(&s, team, p), BD_DATA);
		assert_string_equal(bd_guard_text(), "slice 2");
	}
	bd_scope_end(&s);
	bd_par_for(p, 4, slice, &(size_t){9});
	for (int i = 0; i < 4; i++)
		assert_int_equal(done[i], 501);
	bd_par_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages),   cmocka_unit_test(counts), cmocka_unit_test(owners),
	    cmocka_unit_test(everything), cmocka_unit_test(slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
