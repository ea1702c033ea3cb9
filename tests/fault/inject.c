/* Loaded before a program (LD_PRELOAD), makes its N-th call of the system fail.
 *
 *	INJECT_COUNT=FILE     none fails; appends the name of each call that could
 *	INJECT_AT=N           the N-th of these, counted from 1,
 *	INJECT=ENOSPC|EIO|short    fails with this error, or transfers one byte only
 *
 * A call for which the error makes no sense (a read cannot run out of space) fails with EIO, and one that
 * transfers nothing is left alone by "short". Messages, to descriptor 2, always pass. stdio calls the system
 * from inside libc, which cannot be intercepted: its functions that open, flush and close count instead. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static long at = -1; /* 0: none fails */
static int error;    /* 0: short */
static int count = -1;

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
	const char *n = getenv("INJECT_AT"), *what = getenv("INJECT"), *file = getenv("INJECT_COUNT");

	at = n != NULL ? atol(n) : 0;
	error = what == NULL || strcmp(what, "EIO") == 0 ? EIO : strcmp(what, "ENOSPC") == 0 ? ENOSPC : 0;
	if (file != NULL)
		count = ((int (*)(const char *, int, ...))next("open"))(
		    file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

enum kind { READS, WRITES, OTHER }; /* transfers, out or in; no transfer */

/* Whether this call is the one; then errno is set, or *shorter. */
static bool hit(const char *name, enum kind kind, bool *shorter)
{
	static ssize_t (*real_write)(int, const void *, size_t);
	char line[32];

	if (at < 0) /* before the constructor */
		return false;
	if (count >= 0) {
		if (real_write == NULL)
			real_write = (ssize_t(*)(int, const void *, size_t))next("write");
		real_write(count, line, (size_t)snprintf(line, sizeof(line), "%s\n", name));
		return false;
	}
	if (atomic_fetch_add(&calls, 1) + 1 != at)
		return false;
	if (error == 0) {
		if (shorter != NULL)
			*shorter = true;
		return false;
	}
	errno = kind == READS ? EIO : error;
	return true;
}

#define REAL(type, name, ...)                                                                                \
	static type (*real)(__VA_ARGS__);                                                                    \
	bool shorter = false;                                                                                \
	if (real == NULL)                                                                                    \
		real = (type(*)(__VA_ARGS__))next(name);                                                     \
	(void)shorter

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	if (fd != 2 && hit("write", WRITES, &shorter))
		return -1;
	return real(fd, p, shorter && n > 1 ? 1 : n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t where)
{
	REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
	if (hit("pwrite", WRITES, &shorter))
		return -1;
	return real(fd, p, shorter && n > 1 ? 1 : n, where);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(ssize_t, "writev", int, const struct iovec *, int);
	if (fd != 2 && hit("writev", WRITES, &shorter))
		return -1;
	return real(fd, v, shorter && n > 1 ? 1 : n);
}

ssize_t read(int fd, void *p, size_t n)
{
	REAL(ssize_t, "read", int, void *, size_t);
	if (hit("read", READS, &shorter))
		return -1;
	return real(fd, p, shorter && n > 1 ? 1 : n);
}

ssize_t pread(int fd, void *p, size_t n, off_t where)
{
	REAL(ssize_t, "pread", int, void *, size_t, off_t);
	if (hit("pread", READS, &shorter))
		return -1;
	return real(fd, p, shorter && n > 1 ? 1 : n, where);
}

int fsync(int fd)
{
	REAL(int, "fsync", int);
	return hit("fsync", OTHER, NULL) ? -1 : real(fd);
}

int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);
	return hit("fdatasync", OTHER, NULL) ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
	REAL(int, "rename", const char *, const char *);
	return hit("rename", OTHER, NULL) ? -1 : real(from, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
	return hit("renameat2", OTHER, NULL) ? -1 : real(a, from, b, to, flags);
}

int link(const char *from, const char *to)
{
	REAL(int, "link", const char *, const char *);
	return hit("link", OTHER, NULL) ? -1 : real(from, to);
}

int mkdir(const char *path, mode_t mode)
{
	REAL(int, "mkdir", const char *, mode_t);
	return hit("mkdir", OTHER, NULL) ? -1 : real(path, mode);
}

int ftruncate(int fd, off_t n)
{
	REAL(int, "ftruncate", int, off_t);
	return hit("ftruncate", OTHER, NULL) ? -1 : real(fd, n);
}

int truncate(const char *path, off_t n)
{
	REAL(int, "truncate", const char *, off_t);
	return hit("truncate", OTHER, NULL) ? -1 : real(path, n);
}

int posix_fallocate(int fd, off_t where, off_t n)
{
	REAL(int, "posix_fallocate", int, off_t, off_t);
	return hit("posix_fallocate", OTHER, NULL) ? errno : real(fd, where, n);
}

/* As Linux does: the descriptor is closed even so. */
int close(int fd)
{
	REAL(int, "close", int);
	bool failed = fd != 2 && hit("close", OTHER, NULL);
	int before = errno, rc = real(fd);

	errno = failed ? before : errno;
	return failed ? -1 : rc;
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode)
{
	return hit(flags & O_CREAT ? "open O_CREAT" : "open", flags & O_CREAT ? OTHER : READS, NULL)
	           ? -1
	           : real(path, flags, mode);
}

/* clang-format off */
#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		mode_t mode = 0; \
		va_list ap; \
		REAL(int, #name, const char *, int, ...); \
		va_start(ap, flags); \
		if (flags & O_CREAT) \
			mode = va_arg(ap, mode_t); \
		va_end(ap); \
		return opened(real, path, flags, mode); \
	}
/* clang-format on */
OPEN(open)
OPEN(open64)

int stat(const char *path, struct stat *st)
{
	REAL(int, "stat", const char *, struct stat *);
	return hit("stat", READS, NULL) ? -1 : real(path, st);
}

int fstat(int fd, struct stat *st)
{
	REAL(int, "fstat", int, struct stat *);
	return hit("fstat", READS, NULL) ? -1 : real(fd, st);
}

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t where)
{
	REAL(void *, "mmap", void *, size_t, int, int, int, off_t);
	if (!(flags & MAP_ANONYMOUS) && hit("mmap", READS, NULL))
		return MAP_FAILED;
	return real(p, n, prot, flags, fd, where);
}

FILE *fopen(const char *path, const char *mode)
{
	REAL(FILE *, "fopen", const char *, const char *);
	return hit("fopen", *mode == 'r' ? READS : OTHER, NULL) ? NULL : real(path, mode);
}

int fflush(FILE *f)
{
	REAL(int, "fflush", FILE *);
	return f != stderr && hit("fflush", OTHER, NULL) ? EOF : real(f);
}

int fclose(FILE *f)
{
	REAL(int, "fclose", FILE *);
	bool failed = f != stderr && hit("fclose", OTHER, NULL);
	int before = errno, rc = real(f);

	errno = failed ? before : errno;
	return failed ? EOF : rc;
}
