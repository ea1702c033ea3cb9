/* Files: whole reads, mapping, streams that recognise zstd and gzip, and outputs that appear only when
 * complete. All functions die with file and reason; "-" is stdin or stdout. A file read as a whole is
 * compared with its digest (digest.h), if it has one. */
#ifndef BD_IO_H
#define BD_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A read-only mapping; n == 0 gives p == NULL. */
struct bd_map {
	const unsigned char *p;
	size_t n;
};
struct bd_map bd_map_file(const char *path);
/* without a look at its digest, which is the caller's then */
struct bd_map bd_map_unchecked(const char *path);
void bd_unmap(struct bd_map *m);

/* All of a regular file, or of "-", NUL-terminated: JSON, a template, a prompt; what is larger than this dies
 * BD_DATA. The caller frees it; n may be NULL. */
#define BD_FILE_MAX (128 << 20)
char *bd_read_file(const char *path, size_t *n);
bool bd_exists(const char *path);
bool bd_is_file(const char *path); /* a regular one */
bool bd_is_dir(const char *path);
char *bd_path(const char *dir, const char *name); /* dir/name, caller frees */

/* Input stream; zstd and gzip are recognised by their magic numbers and decompressed. Memory is bounded. */
struct bd_in;
struct bd_in *bd_in_open(const char *path);     /* "-" or NULL: stdin */
const char *bd_in_name(const struct bd_in *in); /* for messages: path or "<stdin>" */
bool bd_in_seekable(const struct bd_in *in);    /* a regular file: bd_in_rewind works */
void bd_in_rewind(struct bd_in *in);
size_t bd_in_read(struct bd_in *in, void *buf, size_t n); /* fewer than n only at the end of the data */
uint64_t bd_in_offset(const struct bd_in *in);            /* decompressed bytes read so far */
/* Next line without its newline (a final line without one counts); NULL at the end. Owned by `in`, valid
 * until the next call. Lines over BD_LINE_MAX die. */
char *bd_in_line(struct bd_in *in, size_t *n);
/* The same; a line of more than max bytes is read over, and *n is SIZE_MAX then. */
char *bd_in_line_within(struct bd_in *in, size_t max, size_t *n);
#define BD_LINE_MAX ((size_t)1 << 30)
/* Whether the next line, or the end, can be had without waiting for whoever writes. */
bool bd_in_ready(struct bd_in *in);
/* What comes next, without taking it: to the end of the first line at least, if that is within max bytes. *n:
 * how many bytes there are, at most max. Valid until the next call. */
const char *bd_in_peek(struct bd_in *in, size_t max, size_t *n);
/* Against decompression bombs: dies if one piece (a line, a record) has already grown to n bytes, more than
 * BD_IN_MODEST and more than BD_IN_RATIO times the compressed bytes read so far. */
void bd_in_weigh(const struct bd_in *in, size_t n);
#define BD_IN_MODEST ((size_t)64 << 20)
#define BD_IN_RATIO  1000
void bd_in_close(struct bd_in *in); /* NULL is fine */

/* Output file: written beside the target and renamed by bd_out_close; a process that dies or is killed by
 * SIGINT/SIGTERM/SIGHUP leaves nothing. path NULL or "-": stdout (binary is refused to a terminal). A path
 * that is not a regular file (/dev/null, a pipe) is written directly. level > 0: zstd at that level. */
struct bd_out;
struct bd_out *bd_out_open(const char *path, bool binary, int level);
bool bd_out_regular(const struct bd_out *out); /* a regular file; stdout too, unless it appends (>>) */
void bd_out_write(struct bd_out *out, const void *buf, size_t n);
void bd_out_str(struct bd_out *out, const char *s);
void bd_out_flush(struct bd_out *out);
/* Random access in an append-only output, for writers that fill in a header later: writes n bytes at `at`
 * (regular files, not compressed). */
void bd_out_patch(struct bd_out *out, uint64_t at, const void *buf, size_t n);
void bd_out_close(struct bd_out *out); /* flush, fsync, rename; every failure dies BD_SYS */
void bd_out_drop(struct bd_out *out);  /* discard it: remove the temporary */

/* Output directory with the same guarantee: create files inside bd_outdir_path(), then commit adds their
 * digests and renames it. An existing target is refused (BD_USAGE) unless force, which replaces it at
 * commit. */
struct bd_outdir;
struct bd_outdir *bd_outdir_open(const char *path, bool force);
const char *bd_outdir_path(const struct bd_outdir *d);
void bd_outdir_commit(struct bd_outdir *d);
void bd_outdir_drop(struct bd_outdir *d);

void bd_write_file(const char *path, const void *buf, size_t n); /* whole file, atomically */
void bd_copy_file(const char *from, const char *to);
void bd_remove_tree(const char *path);

/* Last line of every main(): flush and close stdout; a failure dies BD_SYS. */
void bd_stdout_close(void);

#endif
