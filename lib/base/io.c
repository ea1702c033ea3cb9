/* Reading: whole files, mappings and streams. Writing is in io_out.c. */
#include "base/digest.h"
#include "base/io.h"

#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/signals.h"
#include "base/unzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* Size of a read, and of the first buffer; less where fuzzing is to meet their ends. */
#ifndef BD_IN_CHUNK
#define BD_IN_CHUNK 1 << 20
#endif
#define CHUNK ((size_t)(BD_IN_CHUNK))

/* A file that does not exist or may not be read is bad input; other errors (EIO, EMFILE) are system
 * failures. */
static bool is_input(int e)
{
	return e == ENOENT || e == ENOTDIR || e == EACCES || e == ELOOP || e == ENAMETOOLONG || e == EISDIR ||
	       e == ENXIO;
}

static _Noreturn void die_open(const char *path)
{
	bd_die(is_input(errno) ? BD_DATA : BD_SYS, "%s: cannot open:", path);
}

/* An open descriptor of something that can be read: not of a directory, and of a regular file only if it is
 * wanted or under a guard; opening waits for nobody then. */
static int open_input(const char *path, struct stat *st, bool regular)
{
	int fd;

	regular = regular || bd_guard_scope() != NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (regular ? O_NONBLOCK : 0));
	if (fd < 0)
		die_open(path);
	bd_guard_keep_fd(fd);
	if (fstat(fd, st) != 0)
		die_open(path);
	if (S_ISDIR(st->st_mode)) {
		errno = EISDIR;
		die_open(path);
	}
	if (regular && !S_ISREG(st->st_mode))
		bd_die(BD_DATA, "%s: not a regular file", path);
	return fd;
}

static void close_input(int fd)
{
	bd_guard_drop_fd(fd);
	close(fd);
}

/* read() that is not interrupted; 0 at the end of the file, or if a caught signal ends the wait for more. */
static size_t read_some(int fd, void *buf, size_t n, const char *name)
{
	ssize_t k;

	if (!bd_signals_await(fd))
		return 0;
	do
		k = read(fd, buf, n);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		bd_die(BD_SYS, "%s: cannot read:", name);
	return (size_t)k;
}

/* ---- whole files ---- */

static void unmap(void *p, size_t n)
{
	munmap(p, n);
}

struct bd_map bd_map_unchecked(const char *path)
{
	struct bd_map m = {0};
	struct stat st;
	int fd = open_input(path, &st, true);

	if (st.st_size > 0) {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (p == MAP_FAILED)
			bd_die(BD_SYS, "%s: cannot map:", path);
		m = (struct bd_map){p, (size_t)st.st_size};
		bd_guard_keep(p, m.n, unmap);
	}
	close_input(fd);
	return m;
}

struct bd_map bd_map_file(const char *path)
{
	struct bd_map m = bd_map_unchecked(path);

	bd_digest_check(path, m.p, m.n);
	return m;
}

void bd_unmap(struct bd_map *m)
{
	bd_guard_drop(m->p);
	if (m->p != NULL)
		munmap((void *)m->p, m->n);
	*m = (struct bd_map){0};
}

char *bd_read_file(const char *path, size_t *n)
{
	size_t used = 0, cap, k;
	struct stat st = {0};
	bool standard = strcmp(path, "-") == 0;
	const char *name = standard ? "<stdin>" : path;
	int fd = standard ? STDIN_FILENO : open_input(path, &st, true);
	char *p;

	if (st.st_size > BD_FILE_MAX)
		bd_die(BD_DATA, "%s: %lld bytes; a file of this kind may have %d MiB", path,
		       (long long)st.st_size, BD_FILE_MAX >> 20);
	/* one more byte to see the end of the file, one for the NUL */
	cap = (standard ? CHUNK : (size_t)st.st_size) + 2;
	p = bd_alloc(cap, 1);
	while ((k = read_some(fd, p + used, cap - 1 - used, name)) > 0) {
		used += k;
		if (used > BD_FILE_MAX)
			bd_die(BD_DATA, "%s: more than %d MiB", name, BD_FILE_MAX >> 20);
		if (used == cap - 1) {
			p = bd_resize(p, used, bd_mul(cap, 2), 1);
			cap *= 2;
		}
	}
	p[used] = '\0';
	if (!standard) {
		close_input(fd);
		bd_digest_check(path, p, used);
	}
	if (n != NULL)
		*n = used;
	return p;
}

/* A failing disk does not make a file absent. */
static bool look(const char *path, struct stat *st)
{
	if (stat(path, st) == 0)
		return true;
	if (!is_input(errno))
		bd_die(BD_SYS, "%s: cannot look for it:", path);
	return false;
}

bool bd_exists(const char *path)
{
	struct stat st;

	return look(path, &st);
}

bool bd_is_file(const char *path)
{
	struct stat st;

	return look(path, &st) && S_ISREG(st.st_mode);
}

bool bd_is_dir(const char *path)
{
	struct stat st;

	return look(path, &st) && S_ISDIR(st.st_mode);
}

char *bd_path(const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return bd_sprintf("%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

/* ---- streams ---- */

struct bd_in {
	int fd;
	char *name;
	bool regular, started, eof; /* eof: buf has all that is left */
	off_t base;                 /* where the stream begins in a regular file */
	char *buf;                  /* [cap + 1]; data in [pos, end) */
	size_t pos, end, cap;
	uint64_t buf_at;        /* offset of buf[0] in the decompressed stream */
	struct bd_unzip *unzip; /* NULL: plain */
	char *raw;              /* compressed, [raw_pos, raw_end) of CHUNK */
	size_t raw_pos, raw_end;
	uint64_t raw_at; /* compressed bytes read */
};

struct bd_in *bd_in_open(const char *path)
{
	struct bd_in *in = bd_zalloc(1, sizeof(*in));
	struct stat st = {0};

	if (path == NULL || strcmp(path, "-") == 0) {
		in->name = bd_strdup("<stdin>");
		in->fd = STDIN_FILENO;
		if (fstat(in->fd, &st) != 0)
			die_open(in->name);
	} else {
		in->name = bd_strdup(path);
		in->fd = open_input(path, &st, false);
	}
	in->regular = S_ISREG(st.st_mode);
	in->base = in->regular ? lseek(in->fd, 0, SEEK_CUR) : 0;
	in->cap = CHUNK;
	in->buf = bd_alloc(in->cap + 1, 1);
	return in;
}

const char *bd_in_name(const struct bd_in *in)
{
	return in->name;
}

bool bd_in_seekable(const struct bd_in *in)
{
	return in->regular;
}

uint64_t bd_in_offset(const struct bd_in *in)
{
	return in->buf_at + in->pos;
}

void bd_in_rewind(struct bd_in *in)
{
	if (!in->regular || lseek(in->fd, in->base, SEEK_SET) < 0)
		bd_die(BD_DATA, "%s: cannot be read a second time; give a regular file", in->name);
	bd_unzip_free(in->unzip);
	in->unzip = NULL;
	in->started = in->eof = false;
	in->pos = in->end = in->raw_pos = in->raw_end = 0;
	in->buf_at = in->raw_at = 0;
}

void bd_in_close(struct bd_in *in)
{
	if (in == NULL)
		return;
	if (in->fd != STDIN_FILENO)
		close_input(in->fd);
	bd_unzip_free(in->unzip);
	bd_free(in->raw);
	bd_free(in->buf);
	bd_free(in->name);
	bd_free(in);
}

/* Reads until the kind of data is clear: 4 bytes, which may come in pieces, or fewer if no magic number
 * begins with them. A line typed at a terminal is not held back. */
static void start(struct bd_in *in)
{
	size_t k;

	in->started = true;
	while (in->end < BD_UNZIP_MAGIC && bd_unzip_like(in->buf, in->end) &&
	       (k = read_some(in->fd, in->buf + in->end, CHUNK - in->end, in->name)) > 0)
		in->end += k;
	if (in->end < BD_UNZIP_MAGIC || !bd_unzip_like(in->buf, in->end))
		return;
	in->unzip = bd_unzip_new(in->buf);
	if (in->raw == NULL)
		in->raw = bd_alloc(CHUNK, 1);
	memcpy(in->raw, in->buf, in->end);
	in->raw_end = in->raw_at = in->end;
	in->end = 0;
}

/* Decompresses into dst[n] until there is some output; 0 at the end of the stream. */
static size_t read_packed(struct bd_in *in, char *dst, size_t n)
{
	const char *why;
	size_t got = 0, had;

	while (got == 0) {
		had = in->raw_end - in->raw_pos;
		if (had == 0) {
			in->raw_pos = 0;
			in->raw_end = had = read_some(in->fd, in->raw, CHUNK, in->name);
			in->raw_at += had;
		}
		if (had == 0 && !bd_unzip_open(in->unzip))
			return 0;
		got = bd_unzip_run(in->unzip, dst, n, in->raw, &in->raw_pos, in->raw_end, &why);
		if (why != NULL)
			bd_die(BD_DATA, "%s: broken %s stream near byte %llu: %s", in->name,
			       bd_unzip_format(in->unzip),
			       (unsigned long long)(in->raw_at - (in->raw_end - in->raw_pos)), why);
		if (had == 0 && got == 0 && bd_unzip_open(in->unzip)) /* nothing is held back */
			bd_die(BD_DATA, "%s: truncated %s stream at byte %llu; make or copy it again",
			       in->name, bd_unzip_format(in->unzip), (unsigned long long)in->raw_at);
	}
	return got;
}

/* Reads more data after [pos, end), which moves to the front; the buffer grows when a line fills it. */
static void fill(struct bd_in *in)
{
	size_t k;

	if (!in->started) {
		start(in);
		if (in->end > 0)
			return;
	}
	if (in->pos > 0) {
		memmove(in->buf, in->buf + in->pos, in->end - in->pos);
		in->buf_at += in->pos;
		in->end -= in->pos;
		in->pos = 0;
	}
	if (in->end == in->cap) {
		in->buf = bd_resize(in->buf, in->end, 2 * in->cap + 1, 1);
		in->cap *= 2;
	}
	if (in->unzip != NULL)
		k = read_packed(in, in->buf + in->end, in->cap - in->end);
	else
		k = read_some(in->fd, in->buf + in->end, in->cap - in->end, in->name);
	in->end += k;
	in->eof = k == 0;
}

size_t bd_in_read(struct bd_in *in, void *buf, size_t n)
{
	size_t got = 0, k;

	while (got < n) {
		if (in->pos == in->end && !in->eof)
			fill(in);
		k = in->end - in->pos;
		if (k == 0)
			break;
		k = k < n - got ? k : n - got;
		memcpy((char *)buf + got, in->buf + in->pos, k);
		in->pos += k;
		got += k;
	}
	return got;
}

bool bd_in_ready(struct bd_in *in)
{
	struct pollfd p = {.fd = in->fd, .events = POLLIN};

	while (!in->regular && !in->eof && memchr(in->buf + in->pos, '\n', in->end - in->pos) == NULL) {
		if (poll(&p, 1, 0) <= 0)
			return false;
		fill(in);
	}
	return true;
}

const char *bd_in_peek(struct bd_in *in, size_t max, size_t *n)
{
	while (!in->eof && in->end - in->pos < max &&
	       memchr(in->buf + in->pos, '\n', in->end - in->pos) == NULL)
		fill(in);
	*n = in->end - in->pos < max ? in->end - in->pos : max;
	return in->buf + in->pos;
}

void bd_in_weigh(const struct bd_in *in, size_t n)
{
	if (in->unzip != NULL && n > BD_IN_MODEST && n / BD_IN_RATIO > in->raw_at)
		bd_die(BD_DATA,
		       "%s: byte %llu: over %zu MiB in one piece from %llu compressed bytes; no real data is "
		       "like that",
		       in->name, (unsigned long long)bd_in_offset(in), n >> 20,
		       (unsigned long long)in->raw_at);
}

/* Where the line that begins at pos ends: its newline, or NULL at the end of the data; *more: it is longer
 * than max. */
static const char *find_end(struct bd_in *in, size_t max, bool *more)
{
	size_t seen = 0; /* bytes after pos known to contain no newline */

	for (;;) {
		const char *nl = memchr(in->buf + in->pos + seen, '\n', in->end - in->pos - seen);
		size_t have = in->end - in->pos;

		*more = (nl != NULL ? (size_t)(nl - (in->buf + in->pos)) : have) > max;
		if (nl != NULL || in->eof || *more)
			return nl;
		seen = have;
		bd_in_weigh(in, seen);
		fill(in);
	}
}

char *bd_in_line_within(struct bd_in *in, size_t max, size_t *n)
{
	bool more, cut = false;
	const char *nl;
	char *line;

	while ((nl = find_end(in, max, &more)) == NULL && more) { /* its rest is not kept */
		cut = true;
		in->pos = in->end;
	}
	if (nl == NULL && in->pos == in->end && !cut)
		return NULL;
	line = in->buf + in->pos;
	*n = nl != NULL ? (size_t)(nl - line) : in->end - in->pos;
	in->pos += *n + (nl != NULL);
	line[*n] = '\0';
	if (cut || more)
		*n = SIZE_MAX;
	return line;
}

char *bd_in_line(struct bd_in *in, size_t *n)
{
	char *line = bd_in_line_within(in, BD_LINE_MAX, n);

	if (line != NULL && *n == SIZE_MAX)
		bd_die(BD_DATA, "%s: byte %llu: line longer than 1 GiB", in->name,
		       (unsigned long long)bd_in_offset(in));
	return line;
}
