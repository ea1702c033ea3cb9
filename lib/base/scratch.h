/* Memory backed by an unnamed file: for data that is needed for a while but need not stay in memory, since
 * the system may write it out. */
#ifndef BD_SCRATCH_H
#define BD_SCRATCH_H

#include <stddef.h>

struct bd_scratch {
	void *p; /* [n], zeroed; NULL when n is 0 */
	size_t n;
};
/* In the directory that `path` lies in; a full disk dies here, not when the memory is written. */
struct bd_scratch bd_scratch_new(const char *path, size_t n);
void bd_scratch_free(struct bd_scratch *s);

#endif
