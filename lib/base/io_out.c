/* Writing: files and directories that appear under their final name only when they are complete. */
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define CHUNK ((size_t)1 << 20)

/* The directory a path lies in; caller frees. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return bd_strdup(".");
	return bd_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* fsync() where the file system supports it. */
static void sync_fd(int fd, const char *name)
{
	if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
		bd_die(BD_SYS, "%s: cannot write:", name);
}

static void sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return; /* a directory may be writable and not readable */
	sync_fd(fd, path);
	close(fd);
}

static void sync_parent(const char *path)
{
	char *parent = parent_of(path);

	sync_dir(parent);
	bd_free(parent);
}

/* ---- files ---- */

struct bd_out {
	int fd;
	char *name;           /* the target, for messages and the rename */
	struct bd_temp *temp; /* NULL: written directly */
	bool regular;
	off_t base;    /* where the output begins in a regular file: stdout may have content before it */
	uint64_t sent; /* bytes handed to write() */
	char *buf;     /* [CHUNK] */
	size_t n;
	ZSTD_CStream *zstd;
};

static _Noreturn void die_write(const char *name)
{
	if (errno == EPIPE)
		bd_die(BD_SYS, "%s: broken pipe downstream", name);
	bd_die(BD_SYS, "%s: cannot write:", name);
}

static void write_all(struct bd_out *out, const char *p, size_t n)
{
	ssize_t k;

	for (; n > 0; p += k, n -= (size_t)k) {
		k = write(out->fd, p, n);
		if (k < 0 && errno != EINTR)
			die_write(out->name);
		k = k < 0 ? 0 : k;
		out->sent += (uint64_t)k;
	}
}

static void open_stdout(struct bd_out *out, bool binary)
{
	struct stat st;
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	out->name = bd_strdup("<stdout>");
	out->fd = STDOUT_FILENO;
	if (fflush(stdout) != 0 || flags < 0 || fstat(out->fd, &st) != 0)
		die_write(out->name);
	if (binary && isatty(out->fd))
		bd_die(BD_USAGE, "binary output is not written to a terminal; redirect it or give -o FILE");
	out->regular = S_ISREG(st.st_mode) && (flags & O_APPEND) == 0; /* with O_APPEND, pwrite() appends */
	out->base = out->regular ? lseek(out->fd, 0, SEEK_CUR) : 0;
}

static void open_path(struct bd_out *out, const char *path)
{
	char *real = realpath(path, NULL); /* replaces the target of a symbolic link, not the link */
	struct stat st;

	out->name = bd_strdup(real != NULL ? real : path);
	free(real);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		out->fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
		if (out->fd < 0)
			bd_die(BD_SYS, "%s: cannot open for writing:", path);
		return;
	}
	out->temp = bd_temp_file(out->name, &out->fd);
	out->regular = true;
}

struct bd_out *bd_out_open(const char *path, bool binary, int level)
{
	struct bd_out *out = bd_zalloc(1, sizeof(*out));

	if (path == NULL || strcmp(path, "-") == 0)
		open_stdout(out, binary);
	else
		open_path(out, path);
	out->buf = bd_alloc(CHUNK, 1);
	if (level > 0) {
		out->zstd = ZSTD_createCStream();
		if (out->zstd == NULL || ZSTD_isError(ZSTD_initCStream(out->zstd, level)) ||
		    ZSTD_isError(ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_checksumFlag, 1)))
			bd_die(BD_SYS, "out of memory");
	}
	return out;
}

bool bd_out_regular(const struct bd_out *out)
{
	return out->regular;
}

/* Compresses p[n] into the buffer, writing it out when full. */
static void compress(struct bd_out *out, const void *p, size_t n, ZSTD_EndDirective end)
{
	ZSTD_inBuffer src = {p, n, 0};
	size_t left;

	do {
		ZSTD_outBuffer dst = {out->buf, CHUNK, out->n};

		left = ZSTD_compressStream2(out->zstd, &dst, &src, end);
		if (ZSTD_isError(left))
			bd_die(BD_SYS, "%s: cannot compress: %s", out->name, ZSTD_getErrorName(left));
		out->n = dst.pos;
		if (out->n == CHUNK) {
			write_all(out, out->buf, out->n);
			out->n = 0;
		}
	} while (end == ZSTD_e_continue ? src.pos < n : left > 0);
}

void bd_out_write(struct bd_out *out, const void *buf, size_t n)
{
	if (out->zstd != NULL) {
		compress(out, buf, n, ZSTD_e_continue);
		return;
	}
	if (n > CHUNK - out->n) {
		write_all(out, out->buf, out->n);
		out->n = 0;
	}
	if (n >= CHUNK) {
		write_all(out, buf, n);
	} else if (n > 0) {
		memcpy(out->buf + out->n, buf, n);
		out->n += n;
	}
}

void bd_out_str(struct bd_out *out, const char *s)
{
	bd_out_write(out, s, strlen(s));
}

static void flush(struct bd_out *out, ZSTD_EndDirective end)
{
	if (out->zstd != NULL)
		compress(out, NULL, 0, end);
	write_all(out, out->buf, out->n);
	out->n = 0;
}

void bd_out_flush(struct bd_out *out)
{
	flush(out, ZSTD_e_flush);
}

void bd_out_patch(struct bd_out *out, uint64_t at, const void *buf, size_t n)
{
	const char *p = buf;
	ssize_t k;

	bd_out_flush(out);
	if (!out->regular || out->zstd != NULL || at > out->sent || n > out->sent - at)
		bd_die(BD_SYS, "%s: internal error: %zu bytes cannot be changed at %llu", out->name, n,
		       (unsigned long long)at);
	for (; n > 0; p += k, at += (uint64_t)k, n -= (size_t)k) {
		k = pwrite(out->fd, p, n, out->base + (off_t)at);
		if (k < 0 && errno != EINTR)
			die_write(out->name);
		k = k < 0 ? 0 : k;
	}
}

static void out_free(struct bd_out *out)
{
	ZSTD_freeCStream(out->zstd);
	bd_free(out->buf);
	bd_free(out->name);
	bd_free(out);
}

void bd_out_close(struct bd_out *out)
{
	flush(out, ZSTD_e_end);
	if (out->temp != NULL)
		sync_fd(out->fd, out->name);
	if (out->fd != STDOUT_FILENO && close(out->fd) != 0)
		die_write(out->name);
	if (out->temp != NULL) {
		if (rename(bd_temp_path(out->temp), out->name) != 0)
			bd_die(BD_SYS, "%s: cannot rename the finished file to this name:", out->name);
		bd_temp_keep(out->temp);
		sync_parent(out->name);
	}
	out_free(out);
}

void bd_out_drop(struct bd_out *out)
{
	if (out == NULL)
		return;
	if (out->fd != STDOUT_FILENO)
		close(out->fd);
	if (out->temp != NULL)
		bd_temp_drop(out->temp);
	out_free(out);
}

void bd_write_file(const char *path, const void *buf, size_t n)
{
	struct bd_out *out = bd_out_open(path, true, 0);

	bd_out_write(out, buf, n);
	bd_out_close(out);
}

void bd_copy_file(const char *from, const char *to)
{
	struct bd_map m = bd_map_file(from);

	bd_write_file(to, m.p, m.n);
	bd_unmap(&m);
}

void bd_stdout_close(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		die_write("<stdout>");
	if (close(STDOUT_FILENO) != 0 && errno != EBADF) /* closed already: nothing was lost */
		die_write("<stdout>");
}

/* ---- directories ---- */

struct bd_outdir {
	char *name; /* the target, without a slash at the end */
	bool force;
	struct bd_temp *temp;
};

struct bd_outdir *bd_outdir_open(const char *path, bool force)
{
	struct bd_outdir *d;
	size_t n = strlen(path);
	struct stat st;

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (lstat(path, &st) == 0) {
		if (!force)
			bd_die(BD_USAGE, "%s: exists; give --force to replace it", path);
		if (!S_ISDIR(st.st_mode))
			bd_die(BD_USAGE, "%s: is not a directory; remove it or choose another name", path);
	}
	d = bd_zalloc(1, sizeof(*d));
	d->name = bd_strndup(path, n);
	d->force = force;
	d->temp = bd_temp_dir(d->name);
	return d;
}

const char *bd_outdir_path(const struct bd_outdir *d)
{
	return bd_temp_path(d->temp);
}

/* The old directory is moved aside and the new one takes its name; nothing is removed until both are done. */
static bool replace(struct bd_outdir *d)
{
	struct bd_temp *old;
	char *aside, *fresh;
	bool done;

	if (renameat2(AT_FDCWD, bd_temp_path(d->temp), AT_FDCWD, d->name, RENAME_EXCHANGE) == 0) {
		bd_temp_drop(d->temp); /* now holds the old one */
		return true;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return false;
	old = bd_temp_dir(d->name);
	aside = bd_strdup(bd_temp_path(old));
	fresh = bd_strdup(bd_temp_path(d->temp));
	bd_temp_keep(old);
	bd_temp_keep(d->temp);
	done = rename(d->name, aside) == 0 && rename(fresh, d->name) == 0;
	if (done)
		bd_remove_tree(aside);
	bd_free(aside);
	bd_free(fresh);
	return done;
}

static void outdir_free(struct bd_outdir *d)
{
	bd_free(d->name);
	bd_free(d);
}

void bd_outdir_commit(struct bd_outdir *d)
{
	char *list = bd_digest_list(bd_temp_path(d->temp)),
	     *path = bd_path(bd_temp_path(d->temp), BD_DIGESTS);
	bool done;

	bd_write_file(path, list, strlen(list));
	bd_free(list);
	bd_free(path);
	sync_dir(bd_temp_path(d->temp));
	done = rename(bd_temp_path(d->temp), d->name) == 0;
	if (done)
		bd_temp_keep(d->temp);
	else if (d->force && (errno == ENOTEMPTY || errno == EEXIST))
		done = replace(d);
	if (!done)
		bd_die(BD_SYS, "%s: cannot rename the finished directory to this name:", d->name);
	sync_parent(d->name);
	outdir_free(d);
}

void bd_outdir_drop(struct bd_outdir *d)
{
	if (d == NULL)
		return;
	bd_temp_drop(d->temp);
	outdir_free(d);
}
