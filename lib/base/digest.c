/* Digests, and the list of them. Below io.h, which calls this: so files are mapped here, too. */
#include "base/digest.h"

#include "base/guard.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/msg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAST "# list: " /* then its digest */

enum { HEX = BD_HEX - 1, NAME_AT = HEX + 2 };

static bool ignored;

void bd_verify(bool wanted)
{
	ignored = !wanted;
}

bool bd_verify_wanted(void)
{
	return !ignored;
}

/* ---- files ---- */

struct map {
	const char *p;
	size_t n;
};

static void unmap(void *p, size_t n)
{
	munmap(p, n);
}

/* False: no regular file has this name. */
static bool map_file(struct map *m, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *p = NULL;
	bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR) /* it may be there */
		bd_die(BD_SYS, "%s: cannot open:", path);
	*m = (struct map){0};
	if (regular && st.st_size > 0) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		*m = (struct map){p, (size_t)st.st_size};
	}
	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED)
		bd_die(BD_SYS, "%s: cannot map:", path);
	bd_guard_keep(p, m->n, unmap);
	return regular;
}

static void drop(struct map *m)
{
	bd_guard_drop(m->p);
	if (m->p != NULL)
		munmap((void *)(uintptr_t)m->p, m->n);
}

/* ---- the list ---- */

struct list {
	char *path;
	struct map map;
	size_t n; /* bytes of the lines */
};

static void close_list(struct list *l)
{
	drop(&l->map);
	bd_free(l->path);
}

/* Whether p[n] is lines that each have room for a digest and a name. */
static bool are_lines(const char *p, size_t n)
{
	const char *end = p + n, *nl;

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL || nl - p <= NAME_AT)
			return false;
	}
	return true;
}

/* Its last line must be the digest of the ones before. */
static void check_list(struct list *l)
{
	const size_t last = strlen(LAST) + HEX + 1;
	const char *p = l->map.p;
	char hex[BD_HEX];

	l->n = l->map.n > last ? l->map.n - last : 0;
	bd_hash128_hex(p, l->n, hex);
	if (l->map.n < last || memcmp(p + l->n, LAST, strlen(LAST)) != 0 ||
	    memcmp(p + l->map.n - HEX - 1, hex, HEX) != 0 || p[l->map.n - 1] != '\n' ||
	    (l->n > 0 && !are_lines(p, l->n)))
		bd_die(BD_DATA,
		       "%s: damaged; copy the directory again, or remove this file to do without digests",
		       l->path);
}

/* False: the directory has none. */
static bool open_list(struct list *l, const char *dir)
{
	*l = (struct list){.path = bd_sprintf("%s/" BD_DIGESTS, dir)};
	if (!map_file(&l->map, l->path)) {
		bd_free(l->path);
		return false;
	}
	check_list(l);
	return true;
}

/* The digest of the file of this name: HEX digits, or NULL. */
static const char *find(const struct list *l, const char *name)
{
	const char *p = l->map.p, *end = p + l->n, *nl;
	size_t n = strlen(name);

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if ((size_t)(nl - p) == NAME_AT + n && memcmp(p + NAME_AT, name, n) == 0)
			return p;
	}
	return NULL;
}

static bool matches(const char *listed, const void *p, size_t n)
{
	char hex[BD_HEX];

	bd_hash128_hex(p, n, hex);
	return memcmp(listed, hex, HEX) == 0;
}

/* ---- one file ---- */

void bd_digest_check(const char *path, const void *p, size_t n)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *listed;
	struct list l;
	char *dir;

	if (ignored)
		return;
	dir = slash == NULL ? bd_strdup(".") : bd_strndup(path, slash > path ? (size_t)(slash - path) : 1);
	if (open_list(&l, dir)) {
		listed = find(&l, name);
		if (listed != NULL && !matches(listed, p, n))
			bd_die(BD_DATA,
			       "%s: is not what was written: its digest is not the one in %s; if it was not "
			       "damaged but edited, remove %s or give --no-verify",
			       path, l.path, l.path);
		close_list(&l);
	}
	bd_free(dir);
}

/* ---- all files ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_dir(void *d, size_t n)
{
	(void)n;
	closedir(d);
}

/* The names of the regular files of a directory, but for the list, in the order of their bytes; the caller's,
 * as is each. */
static char **files_of(const char *dir, size_t *n)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char **name = NULL;

	*n = 0;
	if (d == NULL)
		bd_die(BD_SYS, "%s: cannot read:", dir);
	bd_guard_keep(d, 0, close_dir);
	while ((errno = 0, e = readdir(d)) != NULL) {
		char *path = bd_sprintf("%s/%s", dir, e->d_name);
		struct stat st;

		if (stat(path, &st) != 0) {
			if (errno != ENOENT) /* a link to nothing is no file */
				bd_die(BD_SYS, "%s: cannot look for it:", path);
		} else if (strcmp(e->d_name, BD_DIGESTS) != 0 && S_ISREG(st.st_mode)) {
			name = bd_resize(name, *n, *n + 1, sizeof(*name));
			name[(*n)++] = bd_strdup(e->d_name);
		}
		bd_free(path);
	}
	if (errno != 0)
		bd_die(BD_SYS, "%s: cannot read:", dir);
	bd_guard_drop(d);
	closedir(d);
	if (*n > 0)
		qsort(name, *n, sizeof(*name), by_text);
	return name;
}

static void free_names(char **name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bd_free(name[i]);
	bd_free(name);
}

char *bd_digest_list(const char *dir)
{
	struct bd_buf b = {0};
	char hex[BD_HEX], **name;
	struct map m;
	size_t n;

	name = files_of(dir, &n);
	for (size_t i = 0; i < n; i++) {
		char *path = bd_sprintf("%s/%s", dir, name[i]);

		if (!map_file(&m, path))
			bd_die(BD_SYS, "%s: cannot read what was just written:", path);
		bd_hash128_hex(m.p, m.n, hex);
		bd_buf_fmt(&b, "%s  %s\n", hex, name[i]);
		drop(&m);
		bd_free(path);
	}
	bd_hash128_hex(b.p, b.n, hex);
	bd_buf_fmt(&b, LAST "%s\n", hex);
	free_names(name, n);
	return b.p;
}

/* Listed files that the directory does not have among its name[n]. */
static void report_missing(const struct list *l, char **name, size_t n, bd_digest_fn *fn, void *ctx)
{
	for (const char *p = l->map.p, *end = p + l->n, *nl; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		char *listed = bd_strndup(p + NAME_AT, (size_t)(nl - p) - NAME_AT);

		if (n == 0 || bsearch(&listed, name, n, sizeof(*name), by_text) == NULL)
			fn(ctx, listed, BD_DIGEST_MISSING);
		bd_free(listed);
	}
}

bool bd_digest_all(const char *dir, bd_digest_fn *fn, void *ctx)
{
	struct list l;
	struct map m;
	char **name;
	size_t n;

	if (!open_list(&l, dir))
		return false;
	name = files_of(dir, &n);
	for (size_t i = 0; i < n; i++) {
		const char *listed = find(&l, name[i]);
		char *path = bd_sprintf("%s/%s", dir, name[i]);

		if (!map_file(&m, path))
			bd_die(BD_DATA, "%s: cannot open:", path);
		fn(ctx, name[i],
		   listed == NULL              ? BD_DIGEST_NONE
		   : matches(listed, m.p, m.n) ? BD_DIGEST_RIGHT
		                               : BD_DIGEST_WRONG);
		drop(&m);
		bd_free(path);
	}
	report_missing(&l, name, n, fn, ctx);
	free_names(name, n);
	close_list(&l);
	return true;
}
