/* What a run will do: how many relation heads suit both models, whose layer is distilled. */
#include "train/plan.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"

#include <stdlib.h>

static char dir[] = "/tmp/bd-test-plan.XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") != 0)
		return -1;
	bd_remove_tree(dir);
	return 0;
}

/* A teacher's stream of one record, with states of these widths, of layer `layer` of `layers`. */
static void make_teacher(const uint32_t width[3], int layer, int layers)
{
	struct bd_stream_head h = {.teacher = true,
	                           .vocab = 10,
	                           .layer = layer,
	                           .teacher_layers = layers,
	                           .states_f16 = layer >= 0,
	                           .after_rope = true};
	uint32_t ids[2] = {1, 2};
	uint8_t target[2] = {0, 1};
	struct bd_record r = {.n = 2, .ids = ids, .target = target, .label = -1, .positions = 1};

	memset(h.tokenizer, 'a', 32);
	memset(h.teacher_digest, 'b', 32);
	for (int i = 0; i < 3; i++) {
		h.width[i] = width[i];
		h.heads[i] = 1;
		r.state[i] = bd_zalloc(2 * width[i], sizeof(*r.state[i]));
	}
	struct bd_sink *s = bd_sink_open("teacher.bds", 0, &h);
	bd_sink_put(s, &r);
	bd_sink_close(s);
	for (int i = 0; i < 3; i++)
		bd_free(r.state[i]);
}

static struct bd_plan plan(const struct bd_train *t, int heads, int kv_heads, int head_dim, int layers)
{
	struct bd_model m = {
	    .cfg = {
	        .heads = heads, .kv_heads = kv_heads, .head_dim = head_dim, .layers = layers, .vocab = 10}};
	struct bd_feed *f = bd_feed_open(BD_PART("teacher.bds"), &(struct bd_feed_plan){.count = true});
	struct bd_plan p = bd_plan_make(t, &m, f);

	p.o.head = NULL; /* it is the feed's */
	bd_feed_close(f);
	return p;
}

/* --heads 0: the largest power of two up to 32 that divides every state that is used, of either model, into
 * heads of at least 8 numbers. */
static void test_relation_heads(void **state)
{
	static const struct {
		uint32_t teacher[3];       /* widths of its q, k, v */
		int heads, kv_heads, size; /* of the student */
		bool q, k, v;              /* which states */
		size_t want;
	} cases[] = {
	    {{512, 512, 512}, 8, 8, 64, true, true, true, 32},  /* 64 would do */
	    {{256, 256, 256}, 4, 4, 64, true, true, true, 32},  /* heads of 8, just so */
	    {{64, 32, 32}, 8, 8, 64, true, true, true, 4},      /* the teacher is the narrow one */
	    {{512, 512, 512}, 4, 2, 16, true, true, true, 4},   /* the student is */
	    {{512, 128, 512}, 8, 8, 64, true, true, true, 16},  /* one state */
	    {{512, 128, 512}, 8, 8, 64, true, false, true, 32}, /* which is not used */
	    {{512, 512, 512}, 8, 2, 64, false, true, false, 16},
	    {{512, 512, 512}, 8, 2, 64, true, false, false, 32},
	    {{144, 144, 144}, 4, 4, 64, true, true, true, 16}, /* 144 = 16 * 9, wide enough for 18 */
	    {{256, 256, 256}, 9, 9, 16, true, true, true, 16}, /* the same of the student */
	    {{256, 256, 272}, 4, 4, 64, true, true, true, 16}, /* 272 = 16 * 17 */
	    {{255, 255, 255}, 4, 4, 64, true, true, true, 1},  /* odd */
	    {{15, 64, 64}, 4, 4, 64, false, true, true, 8},
	    {{4, 64, 64}, 4, 4, 64, true, true, true, 1}, /* narrower than a head should be */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_train t = bd_train_defaults("distill");
		char states[4] = "", *end = states;
		if (cases[i].q)
			*end++ = 'q';
		if (cases[i].k)
			*end++ = 'k';
		if (cases[i].v)
			*end++ = 'v';
		*end = '\0';
		t.states = states;
		make_teacher(cases[i].teacher, 3, 4);
		struct bd_plan p = plan(&t, cases[i].heads, cases[i].kv_heads, cases[i].size, 2);
		assert_true(p.o.ad);
		if (p.o.heads != cases[i].want)
			fail_msg("case %zu: %zu heads, not %zu", i, p.o.heads, cases[i].want);
	}
	struct bd_train t = bd_train_defaults("distill");
	t.heads = 3; /* as told, if it divides */
	make_teacher((uint32_t[]){96, 96, 96}, 3, 4);
	assert_int_equal(plan(&t, 12, 6, 16, 2).o.heads, 3);
}

/* The student's layer at the teacher's depth, in whole layers from the first; the last stays the last. */
static void test_layer(void **state)
{
	static const struct {
		int teacher, teachers, students, want;
	} cases[] = {
	    {3, 4, 2, 1}, {3, 4, 4, 3}, {3, 4, 8, 7},     {0, 4, 2, 0},     {1, 4, 2, 0},
	    {2, 4, 2, 1}, {0, 8, 2, 0}, {21, 28, 28, 21}, {21, 28, 14, 10}, {23, 28, 28, 23},
	};
	struct bd_train t = bd_train_defaults("distill");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		make_teacher((uint32_t[]){64, 64, 64}, cases[i].teacher, cases[i].teachers);
		assert_int_equal(plan(&t, 4, 4, 16, cases[i].students).o.layer, cases[i].want);
	}
	t.layer = 5; /* as told */
	assert_int_equal(plan(&t, 4, 4, 16, 6).o.layer, 5);
}

static void plan_one(void *t)
{
	plan(t, 4, 4, 16, 2);
}

/* A stream that says where it comes from, and nothing else. */
static void test_empty_teacher(void **state)
{
	struct bd_train t = bd_train_defaults("distill");

	(void)state;
	make_teacher((uint32_t[]){64, 64, 64}, -1, 4);
	child_dies(plan_one, &t, BD_DATA,
	           "teacher.bds: a teacher stream without logits and states teaches nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_relation_heads),
	    cmocka_unit_test(test_layer),
	    cmocka_unit_test(test_empty_teacher),
	};

	bd_msg_tool("test_plan");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
