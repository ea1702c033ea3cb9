/* Passes over a stream: in its order, or in a new one each time. Lengths and pipes: test_train.c. */
#include "data/feed.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"

#include <stdlib.h>

enum { N = 40, PASSES = 4 };

static char dir[] = "/tmp/bd-test-feed.XXXXXX";

static int set_up(void **state)
{
	struct bd_stream_head h = {.vocab = N, .layer = -1};

	(void)state;
	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return -1;
	memset(h.tokenizer, 'a', 32);
	struct bd_sink *s = bd_sink_open("examples.bds", 0, &h);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t ids[2] = {i, 0};
		uint8_t target[2] = {0, 1};
		bd_sink_put(s, &(struct bd_record){.n = 2, .ids = ids, .target = target, .label = -1});
	}
	bd_sink_close(s);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") != 0)
		return -1;
	bd_remove_tree(dir);
	return 0;
}

/* The first tokens, which number the examples, of all passes. */
static void passes(uint32_t order[PASSES][N], bool hold, bool shuffle, uint64_t seed)
{
	struct bd_feed *f = bd_feed_open(
	    BD_PART("examples.bds"),
	    &(struct bd_feed_plan){.epochs = PASSES, .hold = hold, .shuffle = shuffle, .seed = seed});
	struct bd_record r;

	assert_int_equal(bd_feed_total(f), shuffle || hold ? PASSES * N : 0); /* not counted */
	for (int p = 0; p < PASSES; p++)
		for (int i = 0; i < N; i++) {
			assert_true(bd_feed_take(f, &r));
			assert_int_equal(r.n, 2);
			order[p][i] = r.ids[0];
			bd_record_free(&r);
		}
	assert_false(bd_feed_take(f, &r));
	bd_feed_close(f);
}

static void test_in_order(void **state)
{
	uint32_t order[PASSES][N];

	(void)state;
	for (int hold = 0; hold < 2; hold++) {
		passes(order, hold, false, 1);
		for (int p = 0; p < PASSES; p++)
			for (uint32_t i = 0; i < N; i++)
				assert_int_equal(order[p][i], i);
	}
}

/* Every pass has every example once, and an order of its own; the seed decides all of them. */
static void test_shuffled(void **state)
{
	uint32_t order[PASSES][N], again[PASSES][N], other[PASSES][N], sorted[N];

	(void)state;
	for (uint32_t i = 0; i < N; i++)
		sorted[i] = i;
	passes(order, false, true, 1);
	passes(again, true, true, 1);
	passes(other, false, true, 2);
	assert_memory_equal(order, again, sizeof(order));
	for (int p = 0; p < PASSES; p++) {
		bool seen[N] = {0};
		for (int i = 0; i < N; i++) {
			assert_true(order[p][i] < N && !seen[order[p][i]]);
			seen[order[p][i]] = true;
		}
		assert_memory_not_equal(order[p], sorted, sizeof(sorted));
		assert_memory_not_equal(order[p], other[p], sizeof(sorted));
		for (int q = 0; q < p; q++)
			assert_memory_not_equal(order[p], order[q], sizeof(sorted));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_in_order),
	    cmocka_unit_test(test_shuffled),
	};

	bd_msg_tool("test_feed");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
