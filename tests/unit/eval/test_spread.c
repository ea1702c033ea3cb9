/* Order statistics: by hand. */
#include "eval/spread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void check(struct bd_spread s, double min, double q1, double median, double q3, double max)
{
	assert_float_equal(s.min, min, 1e-12);
	assert_float_equal(s.q1, q1, 1e-12);
	assert_float_equal(s.median, median, 1e-12);
	assert_float_equal(s.q3, q3, 1e-12);
	assert_float_equal(s.max, max, 1e-12);
}

static void test_spread(void **state)
{
	(void)state;
	check(bd_spread((double[]){7}, 1), 7, 7, 7, 7, 7);
	check(bd_spread((double[]){3, 1}, 2), 1, 1.5, 2, 2.5, 3);
	check(bd_spread((double[]){5, 1, 4, 2, 3}, 5), 1, 2, 3, 4, 5);
	check(bd_spread((double[]){10, 40, 20, 30}, 4), 10, 17.5, 25, 32.5, 40);
}

static void test_nothing(void **state)
{
	struct bd_spread s = bd_spread(NULL, 0);

	(void)state;
	assert_true(isnan(s.median) && isnan(s.min) && isnan(s.max));
	s = bd_spread((double[]){1, NAN, 3}, 3); /* not measured */
	assert_true(isnan(s.median) && isnan(s.q1) && isnan(s.q3));
}

/* The median of the ratios is not the ratio of the medians. */
static void test_ratio(void **state)
{
	(void)state;
	check(bd_spread_ratio((double[]){10, 40, 90}, (double[]){10, 10, 30}, 3), 1, 2, 3, 3.5, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spread),
	    cmocka_unit_test(test_nothing),
	    cmocka_unit_test(test_ratio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
