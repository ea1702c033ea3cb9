/* Files that must not be one another. */
#include "base/files.h"

#include "base/mem.h"
#include "base/msg.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 }; /* followed in one path, as the kernel does */

struct id {
	dev_t dev;
	ino_t ino;
};

struct file {
	char *path, *what; /* path "": a standard stream */
	bool written, there, dir;
	struct id id;            /* if it is there */
	struct id parent;        /* else of the directory it would be made in, */
	char name[NAME_MAX + 1]; /* under this name; "": there is no such directory */
	struct file *next;
};

static struct file *files;

static bool same_id(struct id a, struct id b)
{
	return a.dev == b.dev && a.ino == b.ino;
}

/* The directory that `path` is an entry of, with a slash at its end; "" for the current one. Caller frees. */
static char *parent_of(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	return bd_strndup(path, n);
}

/* Whether the file at `path`, there or not, lies in the directory, at any depth. */
static bool path_inside(const char *path, struct id dir)
{
	char *parent = parent_of(path);
	int fd = open(*parent != '\0' ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC), up;
	struct id last = {0};
	bool inside = false;
	struct stat st;

	bd_free(parent);
	while (fd >= 0 && !inside && fstat(fd, &st) == 0 &&
	       !same_id(last, (struct id){st.st_dev, st.st_ino})) {
		last = (struct id){st.st_dev, st.st_ino}; /* the root is its own parent */
		inside = same_id(last, dir);
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = up;
	}
	if (fd >= 0)
		close(fd);
	return inside;
}

/* By its own place, or by that of what it links to. */
static bool inside(const struct file *f, const struct file *dir)
{
	char *real;
	bool in;

	if (*f->path == '\0' || !dir->there || !dir->dir)
		return false;
	if (path_inside(f->path, dir->id))
		return true;
	real = realpath(f->path, NULL);
	in = real != NULL && path_inside(real, dir->id);
	free(real);
	return in;
}

static bool same(const struct file *a, const struct file *b)
{
	if (a->there || b->there)
		return a->there && b->there && same_id(a->id, b->id);
	return *a->name != '\0' && strcmp(a->name, b->name) == 0 && same_id(a->parent, b->parent);
}

static void compare(const struct file *a, const struct file *b)
{
	if (same(a, b))
		bd_die(BD_USAGE, "%s: is the same file as %s; choose another name", a->what, b->what);
	if (inside(a, b))
		bd_die(BD_USAGE, "%s: lies inside %s; choose another place", a->what, b->what);
	if (b->written && inside(b, a))
		bd_die(BD_USAGE, "%s: lies inside %s; choose another place", b->what, a->what);
	if (inside(b, a))
		bd_die(BD_USAGE, "%s: contains %s, which would be lost; choose another name", a->what,
		       b->what);
}

/* a is written, or b is. */
static void check(const struct file *a)
{
	for (const struct file *b = files; b != NULL; b = b->next)
		if (a->written)
			compare(a, b);
		else if (b->written)
			compare(b, a);
}

/* Where the file would be made: a link to nothing leads there. */
static void find_place(struct file *f)
{
	char *path = bd_strdup(f->path), to[PATH_MAX], *parent, *name;
	struct stat st;
	ssize_t n = 0;

	for (int i = 0; i < LINKS_MAX && (n = readlink(path, to, sizeof(to) - 1)) > 0; i++) {
		to[n] = '\0';
		parent = parent_of(path);
		bd_free(path);
		path = bd_sprintf("%s%s", *to != '/' ? parent : "", to);
		bd_free(parent);
	}
	parent = parent_of(path);
	name = path + strlen(parent);
	name[strcspn(name, "/")] = '\0';
	if (strlen(name) <= NAME_MAX && stat(*parent != '\0' ? parent : ".", &st) == 0) {
		f->parent = (struct id){st.st_dev, st.st_ino};
		strcpy(f->name, name);
	}
	bd_free(parent);
	bd_free(path);
}

/* False if it is neither a file, nor a directory, nor a name for one. */
static bool describe(struct file *f)
{
	bool standard = strcmp(f->path, "-") == 0;
	struct stat st;
	int rc = standard ? fstat(f->written ? STDOUT_FILENO : STDIN_FILENO, &st) : stat(f->path, &st);

	f->there = rc == 0;
	f->dir = f->there && S_ISDIR(st.st_mode);
	if (f->there)
		f->id = (struct id){st.st_dev, st.st_ino};
	else
		find_place(f);
	if (standard)
		f->path[0] = '\0';
	return f->there ? f->dir || S_ISREG(st.st_mode) : f->written;
}

static void file_free(struct file *f)
{
	bd_free(f->path);
	bd_free(f->what);
	bd_free(f);
}

/* NULL if there is nothing to compare. */
static struct file *new_file(const char *path, const char *what, bool written)
{
	struct file *f = bd_zalloc(1, sizeof(*f));

	f->path = bd_strdup(path);
	f->what = bd_strdup(what);
	f->written = written;
	if (describe(f))
		return f;
	file_free(f);
	return NULL;
}

void bd_files_add(const char *path, const char *what, bool written)
{
	struct file *f = new_file(path, what, written);

	if (f == NULL)
		return;
	check(f);
	f->next = files;
	files = f;
}

void bd_files_forget(void)
{
	while (files != NULL) {
		struct file *f = files;

		files = f->next;
		file_free(f);
	}
}

void bd_files_apart(const char *path, const char *what)
{
	struct file *f = new_file(path, what, true);

	if (f == NULL)
		return;
	check(f);
	file_free(f);
}
