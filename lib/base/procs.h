/* How many threads a program should start by default. */
#ifndef BD_PROCS_H
#define BD_PROCS_H

/* Processors that this process may use, at least 1: the affinity mask, cut to the CPU quota of its control
 * group and of the groups above (version 1 or 2; part of a processor counts as one) and to OMP_NUM_THREADS.
 * `root` is prefixed to /proc and /sys: "". */
int bd_processors(const char *root);

double bd_cpu_quota(const char *root); /* the quota of the groups alone, in processors; 0: no limit */

#endif
