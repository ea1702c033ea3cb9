/* Temporaries and their removal. */
#include "base/temp.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/signals.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- removing ---- */

static void remove_at(int dir, const char *name);

/* Removes the contents of the directory; true if there were any. */
static bool empty_dir(int fd)
{
	_Alignas(struct dirent64) char buf[4096];
	bool removed = false;
	ssize_t n;

	while ((n = getdents64(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n;) {
			const struct dirent64 *e = (const struct dirent64 *)(buf + i);

			i += e->d_reclen;
			if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
				continue;
			remove_at(fd, e->d_name);
			removed = true;
		}
	return removed;
}

/* A file, or a directory with all below it; best effort. Symbolic links are not followed. */
static void remove_at(int dir, const char *name)
{
	int fd;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	/* removal may hide entries from a read in progress: look again */
	for (int tries = 0; tries < 100; tries++) {
		bool removed = empty_dir(fd);

		if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || !removed || lseek(fd, 0, SEEK_SET) < 0)
			break;
	}
	close(fd);
}

void bd_remove_tree(const char *path)
{
	struct stat st;

	remove_at(AT_FDCWD, path);
	if (lstat(path, &st) == 0)
		bd_die(BD_SYS, "%s: cannot be removed", path);
}

/* ---- the list ---- */

/* Nodes are reused but never freed, so that the thread that handles signals may walk the list at any
 * moment. */
struct bd_temp {
	atomic_bool live;
	int lock; /* of a directory: keeps it locked while we live; -1: none */
	char path[PATH_MAX];
	struct bd_temp *next;
};

static struct bd_temp *_Atomic temps;

static void remove_temps(void)
{
	for (struct bd_temp *t = temps; t != NULL; t = t->next)
		if (atomic_exchange(&t->live, false))
			remove_at(AT_FDCWD, t->path);
}

static void clean_up(void *unused)
{
	(void)unused;
	remove_temps();
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Called before the path is created: removing what is not there yet does no harm. */
static struct bd_temp *add(const char *path)
{
	struct bd_temp *t;

	if (strlen(path) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		bd_die(BD_SYS, "%s: cannot create:", path);
	}
	pthread_mutex_lock(&lock);
	if (temps == NULL) {
		bd_msg_cleanup(clean_up, NULL);
		bd_signals_before(remove_temps);
	}
	for (t = temps; t != NULL && t->live; t = t->next)
		;
	if (t == NULL) {
		t = bd_zalloc(1, sizeof(*t));
		t->next = temps;
		temps = t;
	}
	strcpy(t->path, path);
	t->lock = -1;
	t->live = true;
	pthread_mutex_unlock(&lock);
	bd_signals_take();
	return t;
}

const char *bd_temp_path(const struct bd_temp *t)
{
	return t->path;
}

static void unlock(struct bd_temp *t)
{
	if (t->lock >= 0)
		close(t->lock);
	t->lock = -1;
}

void bd_temp_keep(struct bd_temp *t)
{
	unlock(t);
	t->live = false;
}

void bd_temp_drop(struct bd_temp *t)
{
	unlock(t);
	remove_at(AT_FDCWD, t->path);
	t->live = false;
}

/* ---- leftovers of dead processes ---- */

/* The process that `entry` belongs to, if it is .NAME.PID.tmp or .NAME.PID-TRY.tmp; else 0. */
static long owner_of(const char *entry, const char *name)
{
	size_t n = strlen(name);
	char *end;
	long pid;

	if (entry[0] != '.' || strncmp(entry + 1, name, n) != 0 || entry[1 + n] != '.' ||
	    !isdigit((unsigned char)entry[2 + n]))
		return 0;
	pid = strtol(entry + 2 + n, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		strtol(end + 1, &end, 10);
	return strcmp(end, ".tmp") == 0 && pid <= INT_MAX ? pid : 0;
}

/* Whose a temporary is. The process number is not enough: on a shared disk or in a container it may belong to
 * another system. But a living process holds a lock. */
enum owner { OWNER_DEAD, OWNER_ALIVE, OWNER_UNKNOWN };

static enum owner look(int dir, const char *entry, long pid)
{
	bool dead = kill((pid_t)pid, 0) != 0 && errno == ESRCH;
	int fd = openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc, error;

	if (fd < 0)
		return OWNER_UNKNOWN;
	for (int try = 0; (rc = flock(fd, LOCK_EX | LOCK_NB)) != 0 && errno == EWOULDBLOCK && try < 3; try++)
		usleep(5000); /* another may be looking at this moment */
	error = errno;
	close(fd);
	if (rc != 0)
		return error == EWOULDBLOCK || !dead ? OWNER_ALIVE : OWNER_UNKNOWN;
	return dead ? OWNER_DEAD
	            : OWNER_UNKNOWN; /* not locked yet, or left by an earlier process of this number */
}

static bool is_ours(int dir, const char *entry)
{
	struct stat st, own;

	if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	for (struct bd_temp *t = temps; t != NULL; t = t->next)
		if (t->live && lstat(t->path, &own) == 0 && own.st_dev == st.st_dev &&
		    own.st_ino == st.st_ino)
			return true;
	return false;
}

/* Removes what the dead have left for this target; returns the number of a living process that writes it, or
 * 0. */
static long look_around(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	char *parent = slash != NULL ? bd_strndup(path, (size_t)(name - path)) : bd_strdup(".");
	DIR *d = opendir(parent);
	struct dirent *e;
	long writer = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		long pid = owner_of(e->d_name, name);
		bool other = pid > 0 && !is_ours(dirfd(d), e->d_name);
		enum owner o = other ? look(dirfd(d), e->d_name, pid) : OWNER_UNKNOWN;

		if (o == OWNER_DEAD)
			remove_at(dirfd(d), e->d_name);
		writer = o == OWNER_ALIVE ? pid : writer;
	}
	if (d != NULL)
		closedir(d);
	bd_free(parent);
	return writer;
}

/* ---- making ---- */

/* DIR/.NAME.PID.tmp, the try-th variant: a process killed with SIGKILL may have left one with our number. */
static char *temp_name(const char *path, int try)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	int dir_n = (int)(name - path);

	if (try == 0)
		return bd_sprintf("%.*s.%s.%ld.tmp", dir_n, path, name, (long)getpid());
	return bd_sprintf("%.*s.%s.%ld-%d.tmp", dir_n, path, name, (long)getpid(), try);
}

/* Looked for after our own was made and locked: of two that begin at once, one sees the other. */
static struct bd_temp *alone(struct bd_temp *t, const char *path)
{
	long writer = look_around(path);

	if (writer > 0)
		bd_die(BD_USAGE, "%s: process %ld is writing it; wait for its end, or choose another name",
		       path, writer);
	return t;
}

static struct bd_temp *create(const char *path, int *fd)
{
	look_around(path);
	for (int try = 0; try < 100; try++) {
		char *name = temp_name(path, try);
		struct bd_temp *t;
		struct stat st;
		int rc;

		if (lstat(name, &st) == 0) { /* not ours: must not be removed by our clean-up */
			bd_free(name);
			continue;
		}
		t = add(name);
		if (fd != NULL)
			rc = *fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		else
			rc = mkdir(name, 0777);
		if (rc >= 0) {
			t->lock = fd == NULL ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
			/* best effort: not all file systems can */
			flock(fd != NULL ? *fd : t->lock, LOCK_SH);
			bd_free(name);
			return alone(t, path);
		}
		bd_temp_keep(t);
		if (errno == EEXIST) {
			bd_free(name);
			continue;
		}
		bd_die(BD_SYS, "%s: cannot create %s:", path, name);
	}
	bd_die(BD_SYS, "%s: too many left-over files named .*.tmp beside it; remove them", path);
}

struct bd_temp *bd_temp_file(const char *path, int *fd)
{
	return create(path, fd);
}

struct bd_temp *bd_temp_dir(const char *path)
{
	return create(path, NULL);
}
