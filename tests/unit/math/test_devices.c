/* Which device is opened: $BD_DEVICE, by default the CPU. */
#include "math/devices.h"

#include "base/msg.h"
#include "child.h"

#include <stdlib.h>

static void opens(const char *name, int threads)
{
	struct bd_dev *dev;

	setenv("BD_DEVICE", name, 1);
	dev = bd_dev_open(threads);
	assert_true(dev->calls->host);
	assert_int_equal(bd_par_threads(dev->par), threads);
	bd_dev_close(dev);
}

static void open_one(void *name)
{
	setenv("BD_DEVICE", name, 1);
	bd_dev_close(bd_dev_open(1));
}

static void test_choice(void **state)
{
	(void)state;
	opens("", 1);
	opens("cpu", 2);
	unsetenv("BD_DEVICE");
	bd_dev_close(bd_dev_open(1));
	child_dies(open_one, "abacus", BD_USAGE, "BD_DEVICE=abacus: no such device; there are: cpu");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_choice)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
