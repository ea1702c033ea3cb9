/* A run's identity: every row of the training tools' tables changes it or is on the list here of those that
 * must not; digests of checkpoints that older versions made stay what they were. */
#include "train/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define ROWS(t)                                                                                              \
	{                                                                                                    \
		BD_TRAIN_OPTIONS(t), BD_DISTILL_OPTIONS(t),                                                  \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

/* They say where and how a run runs; or, the second line, identity.c has what became of them. */
static const char *const apart[] = {
    "output", "force",   "checkpoint-every", "resume", "log",   "dry-run", /**/
    "model",  "weights", "states",           "layer",  "heads",
};
enum { APART = sizeof(apart) / sizeof(*apart) };

static struct bd_identity identity(const struct bd_train *t)
{
	const struct bd_model m = {.digest = "0123456789abcdef0123456789abcdef"};
	const struct bd_stream_head h = {
	    .tokenizer = "tok", .teacher_digest = "teach", .top_k = 3, .layer = 7};
	struct bd_objective o = {.heads = 4, .layer = 2, .states = {true, false, true}};

	return bd_identity_of(t, &o, &m, &h);
}

static struct bd_train job(void)
{
	struct bd_train t = bd_train_defaults("distill");

	t.common.seed = 5;
	t.eval = "dev.bds";
	return t;
}

static void change(const struct bd_opt *o)
{
	switch (o->type & BD_OPT_TYPE) {
	case BD_FLAG:
		*(bool *)o->dst = !*(bool *)o->dst;
		break;
	case BD_INT:
		*(int64_t *)o->dst += 1;
		break;
	case BD_REAL:
		*(double *)o->dst *= 1 + 0x1p-52; /* the next number */
		*(double *)o->dst += *(double *)o->dst == 0 ? 1e-300 : 0;
		break;
	case BD_STR:
		*(const char **)o->dst = "another";
		break;
	case BD_ENUM:
		*(int *)o->dst += 1;
		break;
	default:
		fail_msg("--%s: a type that this test does not know", o->name);
	}
}

static bool is_apart(const char *name)
{
	for (size_t i = 0; i < APART; i++)
		if (strcmp(name, apart[i]) == 0)
			return true;
	return false;
}

static void test_rows(void **state)
{
	struct bd_train t = job();
	const struct bd_opt rows[] = ROWS(t);
	struct bd_identity was = identity(&t);
	size_t n = 0;

	(void)state;
	for (const struct bd_opt *o = rows; o->name != NULL; o++) {
		t = job();
		change(o);
		if ((strcmp(identity(&t).digest, was.digest) == 0) != is_apart(o->name))
			fail_msg("--%s: %s", o->name,
			         is_apart(o->name) ? "changes the identity" : "is no part of the identity");
		n += is_apart(o->name);
	}
	assert_int_equal(n, APART);
}

static void test_common(void **state)
{
	struct bd_train t = job();
	struct bd_identity was = identity(&t);

	(void)state;
	t.common.threads += 1;
	t.common.quiet = true;
	assert_string_equal(identity(&t).digest, was.digest);
	t.common.seed++;
	assert_string_not_equal(identity(&t).digest, was.digest);
}

static void test_facts(void **state)
{
	struct bd_train t = job();
	struct bd_model m = {.digest = "a"};
	struct bd_stream_head h = {.tokenizer = "b", .teacher_digest = "c"};
	struct bd_objective o = {.heads = 1};
	char seen[11][BD_HEX];

	(void)state;
	for (int i = 0; i < 11; i++) {
		m.digest[0] = i == 1 ? 'x' : 'a';
		m.cfg.ternary = i == 2;
		h.tokenizer[0] = i == 3 ? 'x' : 'b';
		h.teacher_digest[0] = i == 4 ? 'x' : 'c';
		h.top_k = i == 5;
		o.heads = i == 6 ? 2 : 1;
		o.layer = i == 7;
		for (int k = 0; k < 3; k++)
			o.states[k] = i == 8 + k;
		memcpy(seen[i], bd_identity_of(&t, &o, &m, &h).digest, BD_HEX);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
	}
}

/* Version 1's digests of this job, and of one with another value in every field that it had. */
static void test_first(void **state)
{
	struct bd_train t = job();
	const struct bd_opt rows[] = ROWS(t);
	struct bd_identity i = identity(&t);

	(void)state;
	assert_string_equal(i.first, "c8c737bef5ce41680cf9345061ed7450");
	assert_string_equal(bd_identity_digest(&i, 1), i.first);
	assert_string_equal(bd_identity_digest(&i, 2), i.digest);
	assert_string_not_equal(i.first, i.digest);
	for (const struct bd_opt *o = rows; o->name != NULL; o++)
		change(o);
	assert_string_equal(identity(&t).first, "118d65adbb2a84bb66ff34fa22f9d0da");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_common),
	    cmocka_unit_test(test_facts),
	    cmocka_unit_test(test_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
