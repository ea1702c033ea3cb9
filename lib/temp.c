/* Temporaries and their removal. Everything that the signal handler reaches uses system calls only. */
#include "temp.h"

#include "io.h"
#include "mem.h"
#include "msg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- removing ---- */

static void remove_at(int dir, const char *name);

/* Removes what is in the directory; true if something was. */
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
	/* removing may hide entries from a read under way: look again */
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

/* Nodes are reused but never freed, so that a signal handler may walk the list at any moment. */
struct bd_temp {
	atomic_bool live;
	char path[PATH_MAX];
	struct bd_temp *next;
};

static struct bd_temp *_Atomic temps;

static void remove_temps(void *unused)
{
	(void)unused;
	for (struct bd_temp *t = temps; t != NULL; t = t->next)
		if (atomic_exchange(&t->live, false))
			remove_at(AT_FDCWD, t->path);
}

static void on_signal(int sig)
{
	remove_temps(NULL);
	signal(sig, SIG_DFL);
	raise(sig); /* is pending until this handler returns; then the shell sees a death by signal */
}

/* A handler or SIG_IGN that is already there stays. */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction old, act = {.sa_handler = on_signal};

	sigfillset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &act, NULL);
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
		bd_msg_cleanup(remove_temps, NULL);
		catch_signals();
	}
	for (t = temps; t != NULL && t->live; t = t->next)
		;
	if (t == NULL) {
		t = bd_zalloc(1, sizeof(*t));
		t->next = temps;
		temps = t;
	}
	strcpy(t->path, path);
	t->live = true;
	pthread_mutex_unlock(&lock);
	return t;
}

const char *bd_temp_path(const struct bd_temp *t)
{
	return t->path;
}

void bd_temp_keep(struct bd_temp *t)
{
	t->live = false;
}

void bd_temp_drop(struct bd_temp *t)
{
	remove_at(AT_FDCWD, t->path);
	t->live = false;
}

/* DIR/.NAME.PID.tmp, the try-th variant: a process killed with SIGKILL may have left one with our number. */
static char *temp_name(const char *path, int try)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	int dir_n = (int)(name - path);

	if (try == 0)
		return bd_sprintf("%.*s.%s.%ld.tmp", dir_n, path, name, (long)getpid());
	return bd_sprintf("%.*s.%s.%ld-%d.tmp", dir_n, path, name, (long)getpid(), try);
}

static struct bd_temp *create(const char *path, int *fd)
{
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
			bd_free(name);
			return t;
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
