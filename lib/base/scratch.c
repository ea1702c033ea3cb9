/* Memory backed by an unnamed file. */
#include "base/scratch.h"

#include "base/msg.h"
#include "base/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct bd_scratch bd_scratch_new(const char *path, size_t n)
{
	struct bd_scratch s = {.n = n};
	struct bd_temp *temp;
	int fd, failed;

	if (n == 0)
		return s;
	temp = bd_temp_file(path, &fd);
	failed = posix_fallocate(fd, 0, (off_t)n);
	s.p = failed == 0 ? mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (s.p == MAP_FAILED) {
		errno = failed != 0 ? failed : errno;
		bd_die(BD_SYS, "%s: cannot hold %zu bytes on disk:", bd_temp_path(temp), n);
	}
	close(fd);
	bd_temp_drop(temp);
	return s;
}

void bd_scratch_free(struct bd_scratch *s)
{
	if (s->p != NULL)
		munmap(s->p, s->n);
	*s = (struct bd_scratch){0};
}
