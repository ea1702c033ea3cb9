/* Default threads: the quota of control groups of both versions, nested, in containers, in odd
 * files; OMP_NUM_THREADS. */
#include "base/io.h"
#include "base/mem.h"
#include "base/procs.h"
#include "child.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A root of its own for each case; the machine's processors bound what can be seen, so
 * the quotas are small. */
static char root[64];
static int all;

static void put(const char *path, const char *text)
{
	char *name = bd_sprintf("%s%s", root, path);

	for (char *s = name + strlen(root) + 1; (s = strchr(s, '/')) != NULL; *s++ = '/') {
		*s = '\0';
		mkdir(name, 0777);
	}
	bd_write_file(name, text, strlen(text));
	bd_free(name);
}

static int set_up(void **state)
{
	cpu_set_t set;

	(void)state;
	unsetenv("OMP_NUM_THREADS");
	strcpy(root, "/tmp/bd-test-procs.XXXXXX");
	all = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	return mkdtemp(root) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	bd_remove_tree(root);
	return 0;
}

/* The quota, and that a part of a processor counts as one. */
static void assert_quota(double quota)
{
	int n = quota > 0 ? (int)ceil(quota) : all;

	assert_true(fabs(bd_cpu_quota(root) - quota) < 1e-9);
	assert_int_equal(bd_processors(root), n < all ? n : all);
}

#define V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1                                                                                                   \
	"31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                                  \
	"32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n"

static void no_groups(void **state)
{
	(void)state;
	assert_quota(0);
	put("/proc/self/mountinfo", "nonsense\n1 2 3\n - cgroup2\n");
	put("/proc/self/cgroup", "nonsense");
	assert_quota(0);
}

static void version_2(void **state)
{
	(void)state;
	put("/proc/self/mountinfo", "1 1 0:1 / / rw - ext4 /dev/sda rw\n" V2);
	put("/proc/self/cgroup", "0::/job/task\n");
	put("/sys/fs/cgroup/job/task/cpu.max", "max 100000\n");
	assert_quota(0);
	put("/sys/fs/cgroup/job/task/cpu.max", "100000 100000\n");
	assert_quota(1);
	put("/sys/fs/cgroup/job/task/cpu.max", "100001 100000\n");
	assert_quota(1.00001);
	put("/sys/fs/cgroup/job/cpu.max", "50000 100000\n"); /* the group above allows less */
	assert_quota(0.5);
}

static void version_1(void **state)
{
	(void)state;
	put("/proc/self/mountinfo", V1);
	put("/proc/self/cgroup", "9:memory:/m\n4:cpuset,cpuacct:/wrong\n3:cpu,cpuacct:/a/b\n");
	put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
	assert_quota(0);
	put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "90000\n");
	assert_quota(0.9);
	put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "150000\n");
	assert_quota(1.5);
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "10000\n");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n");
	assert_quota(0.2);
}

/* Without a cgroup namespace a container sees its own group as the top, but the path from outside. */
static void container(void **state)
{
	(void)state;
	put("/proc/self/mountinfo", "32 23 0:28 /docker/ab12 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
	put("/proc/self/cgroup", "3:cpu:/docker/ab12\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_quota(1);
	put("/proc/self/cgroup", "3:cpu:/docker/ab123\n"); /* another one; the top is still ours */
	assert_quota(1);
}

static void omp(void **state)
{
	(void)state;
	setenv("OMP_NUM_THREADS", "1", 1);
	assert_int_equal(bd_processors(root), 1);
	setenv("OMP_NUM_THREADS", "4096", 1);
	assert_int_equal(bd_processors(root), all);
	setenv("OMP_NUM_THREADS", "many", 1);
	assert_int_equal(bd_processors(root), all);
	unsetenv("OMP_NUM_THREADS");
}

static void affinity_mask(void **state)
{
	cpu_set_t set, one;
	size_t first = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(first, &set))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(bd_processors(root), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	assert_int_equal(bd_processors(root), all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(no_groups, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(version_2, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(version_1, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(container, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(omp, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(affinity_mask, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
