/* Processors to use. A control group's quota is found as the kernel describes it: /proc/self/mountinfo says
 * where the hierarchy of the cpu controller is mounted and which of its groups is seen there,
 * /proc/self/cgroup says in which group we are (cgroups(7)). */
#include "base/procs.h"

#include "base/io.h"
#include "base/guard.h"
#include "base/mem.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MASKS = 8 }; /* cpu_set_t[8]: 8192 processors */

static int affinity(void)
{
	cpu_set_t set[MASKS];

	if (sched_getaffinity(0, sizeof(set), set) == 0)
		return CPU_COUNT_S(sizeof(set), set);
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

static void close_file(void *f, size_t n)
{
	(void)n;
	fclose(f);
}

/* The file root/path as text, NULL if it cannot be read (files of /proc and /sys have no size); caller
 * frees. */
static char *text_of(const char *root, const char *path)
{
	char *name = bd_sprintf("%s%s", root, path), block[4096];
	struct bd_buf b = {0};
	FILE *f = fopen(name, "re");
	size_t n;

	bd_free(name);
	if (f == NULL)
		return NULL;
	bd_guard_keep(f, 0, close_file);
	bd_buf_str(&b, "");
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		bd_buf_add(&b, block, n);
	bd_guard_drop(f);
	fclose(f);
	return b.p;
}

/* One group's quota in processors, rounded up; 0: none. */
static double quota_of(const char *root, const char *dir, bool v2)
{
	double quota = 0, period = 0;
	char *max = bd_path(dir, v2 ? "cpu.max" : "cpu.cfs_quota_us"),
	     *per = bd_path(dir, "cpu.cfs_period_us");
	char *a = text_of(root, max), *b = v2 ? NULL : text_of(root, per);

	if (a != NULL && v2 && sscanf(a, "%lf %lf", &quota, &period) != 2) /* "max 100000" */
		quota = 0;
	if (a != NULL && b != NULL && (sscanf(a, "%lf", &quota) != 1 || sscanf(b, "%lf", &period) != 1))
		quota = 0;
	bd_free(max);
	bd_free(per);
	bd_free(a);
	bd_free(b);
	return quota > 0 && period > 0 ? quota / period : 0;
}

/* The smallest quota of group `path` and of those above it, up to the one that is mounted at `mount`; `seen`
 * is that one's path. */
static double least_quota(const char *root, const char *mount, const char *seen, const char *path, bool v2)
{
	size_t n = strcmp(seen, "/") == 0 ? 0 : strlen(seen);
	bool below = strncmp(path, seen, n) == 0 && (path[n] == '/' || path[n] == '\0');
	/* outside the visible part: only its top is known */
	char *dir = bd_sprintf("%s%s", mount, below ? path + n : "");
	double least = 0;

	for (size_t top = strlen(mount); strlen(dir) >= top;) {
		double quota = quota_of(root, dir, v2);
		char *slash = strrchr(dir, '/');

		least = quota > 0 && (least == 0 || quota < least) ? quota : least;
		if (slash == NULL)
			break;
		*slash = '\0';
	}
	bd_free(dir);
	return least;
}

/* True if `word` is one of the comma-separated words of list[n]. */
static bool lists(const char *list, size_t n, const char *word)
{
	size_t k = strlen(word), len;

	for (size_t i = 0; i < n; i += len + 1) {
		len = 0;
		while (i + len < n && list[i + len] != ',')
			len++;
		if (len == k && memcmp(list + i, word, k) == 0)
			return true;
	}
	return false;
}

/* Our group in the hierarchy of the cpu controller (v1) or in the unified one (v2), from lines
 * "ID:CONTROLLERS:PATH"; NULL if there is none; caller frees. */
static char *group_of(const char *groups, bool v2)
{
	for (const char *s = groups; s != NULL && *s != '\0';
	     s = strchr(s, '\n'), s = s != NULL ? s + 1 : NULL) {
		const char *list = strchr(s, ':'), *path = list != NULL ? strchr(list + 1, ':') : NULL;

		if (path == NULL)
			return NULL;
		if (v2 ? strncmp(s, "0::", 3) == 0 : lists(list + 1, (size_t)(path - list - 1), "cpu"))
			return bd_strndup(path + 1, strcspn(path + 1, "\n"));
	}
	return NULL;
}

/* Of a line of mountinfo, "ID PARENT DEV SEEN MOUNT OPTIONS [TAGS...] - TYPE SOURCE OPTIONS". */
static bool is_cgroup(const char *line, char seen[4096], char mount[4096], bool *v2)
{
	char type[64] = "", options[4096] = "";
	const char *dash = strstr(line, " - ");

	if (dash == NULL || sscanf(line, "%*s %*s %*s %4095s %4095s", seen, mount) != 2 ||
	    sscanf(dash + 3, "%63s %*s %4095s", type, options) < 1)
		return false;
	*v2 = strcmp(type, "cgroup2") == 0;
	return *v2 || (strcmp(type, "cgroup") == 0 && lists(options, strlen(options), "cpu"));
}

double bd_cpu_quota(const char *root)
{
	char *groups = text_of(root, "/proc/self/cgroup"), *mounts = text_of(root, "/proc/self/mountinfo");
	char seen[4096], mount[4096], *rest = NULL;
	double least = 0;
	bool v2;

	for (char *line = mounts != NULL ? strtok_r(mounts, "\n", &rest) : NULL; line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *path = is_cgroup(line, seen, mount, &v2) ? group_of(groups, v2) : NULL;
		double quota = path != NULL ? least_quota(root, mount, seen, path, v2) : 0;

		least = quota > 0 && (least == 0 || quota < least) ? quota : least;
		bd_free(path);
	}
	bd_free(groups);
	bd_free(mounts);
	return least;
}

int bd_processors(const char *root)
{
	const char *omp = getenv("OMP_NUM_THREADS");
	double quota = bd_cpu_quota(root);
	long limit = omp != NULL ? strtol(omp, NULL, 10) : 0;
	int n = affinity();

	if (quota > 0 && quota < n)
		n = (int)quota + ((int)quota < quota ? 1 : 0);
	if (limit > 0 && limit < n)
		n = (int)limit;
	return n > 0 ? n : 1;
}
