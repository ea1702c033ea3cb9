/* Files: what is read is what was written, and nothing half-written is ever seen under a final name. */
#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#define MIB ((size_t)1 << 20)

/* Every test runs in an empty directory of its own. */
static char dir[] = "/tmp/bd-test-io.XXXXXX";

static int set_up(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") != 0)
		return -1;
	bd_remove_tree(dir);
	return 0;
}

/* Entries of a directory, hidden ones included. */
static int count(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

static void assert_file(const char *path, const char *text)
{
	size_t n;
	char *p = bd_read_file(path, &n);

	assert_int_equal(n, strlen(text));
	assert_string_equal(p, text);
	bd_free(p);
}

/* n bytes that do not compress well, with a newline now and then; caller frees. */
static char *noise(size_t n)
{
	char *p = bd_alloc(n, 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)("abcdefg\n"[bd_rng_below(1, 1, i, 8)]);
	return p;
}

/* ---- reading ---- */

static void read_missing(void *name)
{
	bd_read_file(name, NULL);
}

static void map_missing(void *name)
{
	bd_map_file(name);
}

static void open_missing(void *name)
{
	bd_in_open(name);
}

static void test_whole(void **state)
{
	char *big = noise(3 * MIB + 5), *p;
	struct bd_map m;
	size_t n;

	(void)state;
	bd_write_file("big", big, 3 * MIB + 5);
	bd_write_file("empty", NULL, 0);
	p = bd_read_file("big", &n);
	assert_int_equal(n, 3 * MIB + 5);
	assert_memory_equal(p, big, n);
	assert_int_equal(p[n], 0);
	bd_free(p);
	m = bd_map_file("big");
	assert_int_equal(m.n, n);
	assert_memory_equal(m.p, big, n);
	bd_unmap(&m);
	bd_unmap(&m);
	m = bd_map_file("empty");
	assert_true(m.p == NULL && m.n == 0);
	assert_file("empty", "");
	bd_copy_file("big", "copy");
	p = bd_read_file("copy", &n);
	assert_int_equal(n, 3 * MIB + 5);
	assert_memory_equal(p, big, n);
	bd_free(p);
	bd_free(big);
	p = bd_read_file("/proc/self/status", &n); /* claims to have 0 bytes */
	assert_true(n > 100 && strncmp(p, "Name:", 5) == 0);
	bd_free(p);
	assert_true(bd_exists("big") && !bd_is_dir("big") && bd_is_dir(".") && !bd_exists("none"));
	p = bd_path("a/", "b");
	assert_string_equal(p, "a/b");
	bd_free(p);
	child_dies(read_missing, "none", BD_DATA, "none: cannot open: No such file");
	child_dies(read_missing, ".", BD_DATA, ".: cannot open: Is a directory");
	child_dies(map_missing, "none/x", BD_DATA, "none/x: cannot open: No such file");
	child_dies(map_missing, "/dev/null", BD_DATA, "/dev/null: not a regular file");
	child_dies(open_missing, "big/x", BD_DATA, "big/x: cannot open: Not a directory");
}

/* Reads path line by line and compares with text[n]. */
static void assert_lines(struct bd_in *in, const char *text, size_t n)
{
	size_t at = 0, k;
	char *line;

	while ((line = bd_in_line(in, &k)) != NULL) {
		assert_true(at + k <= n);
		assert_memory_equal(line, text + at, k);
		assert_int_equal(line[k], 0);
		at += k;
		if (at < n)
			assert_int_equal(text[at++], '\n');
		assert_int_equal(bd_in_offset(in), at);
	}
	assert_int_equal(at, n);
	assert_null(bd_in_line(in, &k));
}

static void test_lines(void **state)
{
	static const char *const texts[] = {"",         "\n",     "a", "a\n", "a\n\nb",
	                                    "(\xb5/\n", "(\xb5/", "(", "P*M", "P*M\n"};
	size_t n = 5 * MIB + 3;
	char *text = noise(n);
	struct bd_in *in;

	(void)state;
	memset(text + MIB / 2, 'x', 2 * MIB + 7); /* a line longer than the buffer */
	for (int level = 0; level <= 3; level += 3) {
		struct bd_out *out = bd_out_open("lines", true, level);

		bd_out_write(out, text, n);
		bd_out_close(out);
		in = bd_in_open("lines");
		assert_string_equal(bd_in_name(in), "lines");
		assert_true(bd_in_seekable(in));
		assert_lines(in, text, n);
		bd_in_rewind(in);
		assert_lines(in, text, n);
		bd_in_close(in);
	}
	bd_free(text);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		bd_write_file("lines", texts[i], strlen(texts[i]));
		in = bd_in_open("lines");
		assert_lines(in, texts[i], strlen(texts[i]));
		bd_in_close(in);
	}
	bd_in_close(NULL);
}

/* Data that grows when compressed: the end of the frame does not fit into the buffer. */
static void test_incompressible(void **state)
{
	char *text = bd_alloc(MIB, 1), *got = bd_alloc(MIB + 1, 1);
	struct bd_out *out = bd_out_open("f", true, 1);
	struct bd_in *in;

	(void)state;
	for (size_t i = 0; i < MIB; i++)
		text[i] = (char)bd_rng_u64(1, 2, i);
	bd_out_write(out, text, MIB);
	bd_out_close(out);
	in = bd_in_open("f");
	assert_int_equal(bd_in_read(in, got, MIB + 1), MIB);
	assert_memory_equal(got, text, MIB);
	bd_in_close(in);
	bd_free(text);
	bd_free(got);
}

/* A child writes data[n] byte by byte into the pipe that is returned. */
static struct bd_in *drip(const char *data, size_t n, pid_t *pid)
{
	int fd[2];
	struct bd_in *in;
	char name[40];

	assert_int_equal(pipe(fd), 0);
	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid == 0) {
		for (size_t i = 0; i < n; i++)
			if (write(fd[1], data + i, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(fd[1]);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd[0]);
	in = bd_in_open(name);
	close(fd[0]);
	return in;
}

static void test_pieces(void **state)
{
	static const char skippable[] = "\x5a\x2a\x4d\x18\x03\0\0\0abc";
	char text[3000], frame[4000], data[9000], got[7000];
	size_t frame_n, n;
	struct bd_in *in;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)bd_rng_u64(1, 2, i);
	frame_n = ZSTD_compress(frame, sizeof(frame), text, sizeof(text), 1);
	assert_false(ZSTD_isError(frame_n));
	memcpy(data, skippable, 11); /* as pzstd: a skippable frame, then two frames */
	memcpy(data + 11, frame, frame_n);
	memcpy(data + 11 + frame_n, frame, frame_n);
	in = drip(data, 11 + 2 * frame_n, &pid);
	assert_false(bd_in_seekable(in));
	n = bd_in_read(in, got, 100);
	n += bd_in_read(in, got + 100, sizeof(got) - 100);
	assert_int_equal(n, 2 * sizeof(text));
	assert_memory_equal(got, text, sizeof(text));
	assert_memory_equal(got + sizeof(text), text, sizeof(text));
	assert_int_equal(bd_in_read(in, got, 1), 0);
	assert_int_equal(bd_in_offset(in), 2 * sizeof(text));
	bd_in_close(in);
	waitpid(pid, NULL, 0);
	in = drip(text, sizeof(text), &pid);
	assert_int_equal(bd_in_read(in, got, sizeof(got)), sizeof(text));
	assert_memory_equal(got, text, sizeof(text));
	bd_in_close(in);
	waitpid(pid, NULL, 0);
}

/* A short line at a terminal or in a pipe is there at once, before more follows. */
static void test_interactive(void **state)
{
	struct bd_in *in;
	char name[40];
	size_t n;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd[0]);
	in = bd_in_open(name);
	alarm(10); /* rather than wait for ever */
	assert_int_equal(write(fd[1], "a\n", 2), 2);
	assert_string_equal(bd_in_line(in, &n), "a");
	assert_int_equal(write(fd[1], "bc\n", 3), 3);
	assert_string_equal(bd_in_line(in, &n), "bc");
	alarm(0);
	close(fd[0]);
	close(fd[1]);
	assert_null(bd_in_line(in, &n));
	bd_in_close(in);
}

/* n bytes at text as a gzip member with a name in its header, behind data[at]; the new length. */
static size_t gzip(const char *text, size_t n, char *data, size_t at, size_t room)
{
	z_stream z = {0};
	gz_header head = {.name = (unsigned char *)"a name"};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
	deflateSetHeader(&z, &head);
	z.next_in = (unsigned char *)(uintptr_t)text;
	z.avail_in = (unsigned)n;
	z.next_out = (unsigned char *)data + at;
	z.avail_out = (unsigned)(room - at);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

/* gzip in pieces, two members as cat and pigz make them; read twice. */
static void test_gzip(void **state)
{
	char text[3000], data[9000], got[7000];
	struct bd_in *in;
	size_t n;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(bd_rng_u64(1, 2, i) % 40);
	n = gzip(text, sizeof(text), data, gzip(text, 1000, data, 0, sizeof(data)), sizeof(data));
	in = drip(data, n, &pid);
	assert_int_equal(bd_in_read(in, got, sizeof(got)), 1000 + sizeof(text));
	assert_memory_equal(got, text, 1000);
	assert_memory_equal(got + 1000, text, sizeof(text));
	bd_in_close(in);
	waitpid(pid, NULL, 0);
	bd_write_file("gz", data, n);
	in = bd_in_open("gz");
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(bd_in_read(in, got, sizeof(got)), 1000 + sizeof(text));
		assert_memory_equal(got + 1000, text, sizeof(text));
		bd_in_rewind(in);
	}
	bd_in_close(in);
}

static void read_all(void *path)
{
	struct bd_in *in = bd_in_open(path);
	char buf[1000];

	while (bd_in_read(in, buf, sizeof(buf)) == sizeof(buf))
		;
	bd_in_close(in);
}

static void rewind_pipe(void *unused)
{
	(void)unused;
	bd_in_rewind(bd_in_open("/dev/zero"));
}

static void test_broken_gzip(void **state)
{
	char *text = noise(10000), *data = bd_alloc(20000, 1);
	size_t n = gzip(text, 10000, data, 0, 20000);

	(void)state;
	for (size_t cut = 4; cut < n; cut += n / 20) {
		bd_write_file("cut", data, cut);
		child_dies(read_all, "cut", BD_DATA, "cut: truncated gzip stream at byte");
	}
	data[n / 2] ^= 1;
	bd_write_file("flip", data, n);
	child_dies(read_all, "flip", BD_DATA, "flip: broken gzip stream near byte");
	data[n / 2] ^= 1;
	data[n - 5] ^= 1; /* the checksum */
	bd_write_file("flip", data, n);
	child_dies(read_all, "flip", BD_DATA, "flip: broken gzip stream near byte");
	data[n - 5] ^= 1;
	memcpy(data + n, "garbage", 7);
	bd_write_file("more", data, n + 7);
	child_dies(read_all, "more", BD_DATA, "more: broken gzip stream near byte");
	bd_free(text);
	bd_free(data);
}

static void read_lines(void *path)
{
	struct bd_in *in = bd_in_open(path);
	const struct rlimit limit = {(rlim_t)400 << 20, (rlim_t)400 << 20};
	size_t n;

	(void)limit;
#ifndef BD_SAN /* whose shadow memory counts */
	setrlimit(RLIMIT_DATA, &limit);
#endif
	while (bd_in_line(in, &n) != NULL)
		;
	bd_in_close(in);
}

/* A small file that expands to 1 GiB without a newline is refused before it takes much memory, as is one
 * whose window is too large. */
static void test_bombs(void **state)
{
	static const char wide[] = "\x28\xb5\x2f\xfd\x00\xa0"; /* a window of 2^30 */
	struct bd_out *out = bd_out_open("bomb", true, 3);
	char *zeros = bd_zalloc(1 << 20, 1);

	(void)state;
	for (int i = 0; i < 1024; i++)
		bd_out_write(out, zeros, 1 << 20);
	bd_out_close(out);
	child_dies(read_lines, "bomb", BD_DATA, "no real data is like that");
	bd_write_file("wide", wide, 6);
	child_dies(read_all, "wide", BD_DATA, "wide: broken zstd stream near byte");
	bd_free(zeros);
}

static void test_broken_zstd(void **state)
{
	char *text = noise(100000), *frame = bd_alloc(ZSTD_compressBound(100000) + 10, 1);
	struct bd_out *out = bd_out_open("whole", true, 3);
	size_t n, cut;
	char *p;

	(void)state;
	bd_out_write(out, text, 100000);
	bd_out_close(out);
	p = bd_read_file("whole", &n);
	assert_true(n < 100000);
	for (cut = 4; cut < n; cut += n / 50) {
		char where[60];

		bd_write_file("cut", p, cut);
		snprintf(where, sizeof(where), "cut: truncated zstd stream at byte %zu", cut);
		child_dies(read_all, "cut", BD_DATA, where);
	}
	for (size_t bit = 4 * 8; bit < 8 * n; bit += n / 3) { /* any flipped bit: the frame has a checksum */
		p[bit / 8] ^= (char)(1 << bit % 8);
		bd_write_file("flip", p, n);
		child_dies(read_all, "flip", BD_DATA, "flip: ");
		p[bit / 8] ^= (char)(1 << bit % 8);
	}
	memcpy(frame, p, n);
	memcpy(frame + n, "garbage", 7);
	bd_write_file("more", frame, n + 7);
	child_dies(read_all, "more", BD_DATA, "more: broken zstd stream near byte");
	bd_write_file("more", frame, n + 2);
	child_dies(read_all, "more", BD_DATA, "more: ");
	assert_int_equal(child_run(read_all, "whole").status, 0);
	child_dies(rewind_pipe, NULL, BD_DATA, "/dev/zero: cannot be read a second time");
	bd_free(text);
	bd_free(frame);
	bd_free(p);
}

/* ---- writing ---- */

static void test_atomic(void **state)
{
	struct bd_out *out;
	struct stat st;

	(void)state;
	bd_write_file("f", "old", 3);
	umask(022);
	out = bd_out_open("f", true, 0);
	assert_true(bd_out_regular(out));
	bd_out_str(out, "new contents");
	bd_out_flush(out);
	assert_file("f", "old");
	assert_int_equal(count("."), 2);
	bd_out_patch(out, 4, "CONTENTS", 8);
	bd_out_close(out);
	assert_file("f", "new CONTENTS");
	assert_int_equal(count("."), 1);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	out = bd_out_open("f", true, 0);
	bd_out_str(out, "dropped");
	bd_out_drop(out);
	bd_out_drop(NULL);
	assert_file("f", "new CONTENTS");
	assert_int_equal(count("."), 1);
}

static void test_link(void **state)
{
	struct stat st;

	(void)state;
	bd_write_file("target", "old", 3);
	assert_int_equal(symlink("target", "link"), 0);
	bd_write_file("link", "new", 3);
	assert_file("target", "new");
	assert_true(lstat("link", &st) == 0 && S_ISLNK(st.st_mode));
}

/* A leftover of a killed process with our number is not touched, and does not stop us. */
static void test_leftover(void **state)
{
	char *name = bd_sprintf(".f.%ld.tmp", (long)getpid());

	(void)state;
	bd_write_file(name, "left", 4);
	bd_write_file("f", "new", 3);
	assert_file("f", "new");
	assert_file(name, "left");
	bd_free(name);
}

/* What a test of a dying writer does once it has written something. */
struct end {
	const char *name;
	int level, signal; /* signal 0: die, -1: exit */
	bool dir;
};

static void write_and_end(void *arg)
{
	const struct end *e = arg;
	struct bd_outdir *d = NULL;
	struct bd_out *out;
	char *p, *text = noise(3 * MIB), *name = bd_strdup(e->name);

	if (e->dir) {
		d = bd_outdir_open(e->name, true);
		bd_free(name);
		name = bd_path(bd_outdir_path(d), "part");
		p = bd_path(bd_outdir_path(d), "done");
		bd_write_file(p, "done", 4);
		p = bd_path(bd_outdir_path(d), "sub");
		mkdir(p, 0777);
		p = bd_path(p, "file");
		bd_write_file(p, "x", 1);
	}
	out = bd_out_open(name, true, e->level);
	bd_out_write(out, text, 3 * MIB);
	bd_out_flush(out);
	if (e->signal == -1)
		exit(0);
	if (e->signal != 0) {
		kill(getpid(), e->signal);
		for (;;) /* another thread takes it */
			pause();
	}
	bd_die(BD_DATA, "died");
}

static void test_killed(void **state)
{
	static const int signals[] = {-1, 0, SIGINT, SIGTERM, SIGHUP};

	(void)state;
	assert_int_equal(mkdir("old", 0777), 0);
	bd_write_file("old/f", "old", 3);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		for (int dir_too = 0; dir_too < 2; dir_too++)
			for (int level = 0; level < 2; level++) {
				struct end e = {"new", level, signals[i], dir_too};
				struct child c = child_run(write_and_end, &e);

				assert_int_equal(c.signal, signals[i] > 0 ? signals[i] : 0);
				if (signals[i] == 0)
					assert_int_equal(c.status, BD_DATA);
				assert_int_equal(count("."), 1);
				if (dir_too) { /* a directory that was there stays as it was */
					e.name = "old";
					child_run(write_and_end, &e);
					assert_int_equal(count("."), 1);
					assert_int_equal(count("old"), 1);
					assert_file("old/f", "old");
				}
			}
	child_run(write_and_end, &(struct end){"new", 0, SIGKILL, false});
	assert_false(bd_exists("new")); /* a leftover is possible, the final name is not */
}

static void ignore_hangup(void *unused)
{
	struct bd_out *out;

	(void)unused;
	signal(SIGHUP, SIG_IGN); /* as nohup does it */
	out = bd_out_open("f", true, 0);
	raise(SIGHUP);
	bd_out_str(out, "survived");
	bd_out_close(out);
}

static void test_ignored_signal(void **state)
{
	(void)state;
	assert_int_equal(child_run(ignore_hangup, NULL).signal, 0);
	assert_file("f", "survived");
}

static void write_out(void *arg)
{
	const struct end *e = arg;
	char *text = noise(3 * MIB);
	struct bd_out *out = bd_out_open(e->name, true, e->level);

	bd_out_write(out, text, e->signal == 0 ? 3 * MIB : 10);
	bd_out_close(out);
}

static void write_limited(void *arg)
{
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 100000}); /* like a full disk */
	signal(SIGXFSZ, SIG_IGN);
	write_out(arg);
}

static void write_dir_limited(void *arg)
{
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 100000});
	signal(SIGXFSZ, SIG_IGN);
	write_and_end(arg);
}

static void test_full(void **state)
{
	struct end big = {"/dev/full", 0, 0, false}, small = {"/dev/full", 3, 1, false};

	(void)state;
	child_dies(write_out, &big, BD_SYS, "/dev/full: cannot write: No space left");
	child_dies(write_out, &small, BD_SYS, "/dev/full: cannot write: No space left");
	big.name = "f";
	child_dies(write_limited, &big, BD_SYS, "f: cannot write: File too large");
	assert_int_equal(count("."), 0);
	big.dir = true;
	child_dies(write_dir_limited, &big, BD_SYS, "part: cannot write: File too large");
	assert_int_equal(count("."), 0);
	big.name = "/dev/null";
	assert_int_equal(child_run(write_out, &big).status, 0);
	big.name = "none/f";
	child_dies(write_out, &big, BD_SYS, "none/f: cannot create none/.f.");
	big.name = ".";
	child_dies(write_out, &big, BD_SYS, ": cannot open for writing: Is a directory");
}

/* Runs in a child: stdout is a pipe without a reader. */
static void write_to_nobody(void *with_stdio)
{
	int fd[2];

	if (pipe(fd) != 0)
		return;
	close(fd[0]);
	dup2(fd[1], STDOUT_FILENO);
	signal(SIGPIPE, SIG_IGN);
	if (with_stdio == NULL)
		write_out(&(struct end){"-", 0, 0, false});
	printf("text");
	bd_stdout_close();
}

static void print_to(void *path)
{
	dup2(open(path, O_WRONLY), STDOUT_FILENO);
	printf("text");
	bd_stdout_close();
}

static void test_stdout(void **state)
{
	(void)state;
	child_dies(write_to_nobody, NULL, BD_SYS, "<stdout>: broken pipe downstream");
	child_dies(write_to_nobody, "stdio", BD_SYS, "<stdout>: broken pipe downstream");
	child_dies(print_to, "/dev/full", BD_SYS, "<stdout>: cannot write: No space left");
	bd_write_file("f", "", 0);
	child_dies(print_to, "f", 0, "");
	assert_file("f", "text");
}

static void patch_stdout(void *append)
{
	struct bd_out *out;

	dup2(open("f", O_WRONLY | O_CREAT | (append != NULL ? O_APPEND : 0), 0666), STDOUT_FILENO);
	printf("line\n");
	out = bd_out_open(NULL, true, 0);
	if (bd_out_regular(out) == (append != NULL))
		_exit(1);
	bd_out_str(out, "0123456789");
	if (append == NULL)
		bd_out_patch(out, 2, "xx", 2);
	bd_out_close(out);
	bd_stdout_close();
}

/* Patches count from where the output begins. */
static void test_patch_stdout(void **state)
{
	(void)state;
	child_dies(patch_stdout, NULL, 0, "");
	assert_file("f", "line\n01xx456789");
	child_dies(patch_stdout, "append", 0, "");
	assert_file("f", "line\n01xx456789line\n0123456789");
}

static void patch_outside(void *unused)
{
	struct bd_out *out = bd_out_open("f", true, 0);

	(void)unused;
	bd_out_str(out, "0123456789");
	bd_out_patch(out, 9, "xx", 2);
}

static void test_patch_outside(void **state)
{
	(void)state;
	child_dies(patch_outside, NULL, BD_SYS, "internal error");
	assert_int_equal(count("."), 0);
}

/* ---- directories ---- */

static void open_dir(void *path)
{
	bd_outdir_open(path, false);
}

static void open_dir_force(void *path)
{
	bd_outdir_open(path, true);
}

static void fill_dir(const char *path, bool force, const char *text)
{
	struct bd_outdir *d = bd_outdir_open(path, force);
	char *p = bd_path(bd_outdir_path(d), text);

	bd_write_file(p, text, strlen(text));
	bd_free(p);
	bd_outdir_commit(d);
}

/* ---- digests ---- */

static void read_whole(void *path)
{
	bd_free(bd_read_file(path, NULL));
}

static void map_whole(void *path)
{
	struct bd_map m = bd_map_file(path);

	bd_unmap(&m);
}

static void copy_whole(void *path)
{
	bd_copy_file(path, "copy");
}

static void state_of(void *ctx, const char *name, enum bd_digest_state s)
{
	bd_buf_fmt(ctx, "%s %d;", name, (int)s);
}

static void assert_states(const char *dir, const char *expected)
{
	struct bd_buf b = {0};

	assert_true(bd_digest_all(dir, state_of, &b));
	assert_string_equal(b.p, expected);
	bd_buf_free(&b);
}

/* A list is right as a whole, or not at all. */
static void damage_list(const char *path, char *list)
{
	for (size_t i = 0; i < strlen(list); i += 7) {
		list[i] ^= 1;
		bd_write_file(path, list, strlen(list));
		child_dies(read_whole, "moved/other", BD_DATA, "moved/bd-digests.txt: damaged");
		list[i] ^= 1;
		bd_write_file(path, list, i);
		child_dies(read_whole, "moved/other", BD_DATA, "moved/bd-digests.txt: damaged");
	}
}

/* The digest of "short\n" is right, but that is no line of a list. */
static void short_line(const char *path)
{
	static const char text[] = "short\n# list: c9427c0464a96766e670924139251c54\n";

	bd_write_file(path, text, strlen(text));
	child_dies(read_whole, "moved/other", BD_DATA, "moved/bd-digests.txt: damaged");
}

/* Whoever reads a listed file, wherever the directory has gone, meets its digest, which is that of `xxhsum
 * -H2`. */
static void test_digests(void **state)
{
	(void)state;
	void (*const read[])(void *) = {read_whole, map_whole, copy_whole};
	char *list;

	fill_dir("sums", false, "one");
	list = bd_read_file("sums/bd-digests.txt", NULL);
	assert_int_equal(strncmp(list, "0a1c6d4cf41eb499911faba7321fe1a0  one\n# list: ", 46), 0);
	assert_int_equal(rename("sums", "moved"), 0);
	bd_write_file("moved/other", "x", 1);
	assert_states("moved", "one 0;other 2;");
	bd_write_file("moved/one", "onf", 3);
	assert_states("moved", "one 1;other 2;");
	for (size_t i = 0; i < sizeof(read) / sizeof(*read); i++)
		child_dies(read[i], "moved/one", BD_DATA, "moved/one: is not what was written");
	assert_false(bd_exists("copy"));
	read_whole("moved/other");
	bd_verify(false);
	read_whole("moved/one");
	bd_verify(true);
	assert_int_equal(unlink("moved/one"), 0);
	assert_states("moved", "other 2;one 3;");
	damage_list("moved/bd-digests.txt", list);
	short_line("moved/bd-digests.txt");
	assert_false(bd_digest_all(".", state_of, NULL));
	bd_free(list);
	bd_remove_tree("moved");
}

static void test_outdir(void **state)
{
	struct bd_outdir *d;

	(void)state;
	fill_dir("d/", false, "one");
	assert_int_equal(count("."), 1);
	assert_file("d/one", "one");
	child_dies(open_dir, "d", BD_USAGE, "d: exists; give --force to replace it");
	fill_dir("d", true, "two"); /* exchanged: nothing of the old one is left */
	assert_int_equal(count("."), 1);
	assert_int_equal(count("d"), 2); /* with the digests */
	assert_file("d/two", "two");
	fill_dir("e", true, "new");
	assert_file("e/new", "new");
	d = bd_outdir_open("gone", false);
	assert_int_equal(count("."), 3);
	bd_outdir_drop(d);
	bd_outdir_drop(NULL);
	assert_int_equal(count("."), 2);
	child_dies(open_dir, "none/d", BD_SYS, "none/d: cannot create none/.d.");
	child_dies(open_dir, "d/two/x", BD_SYS, "Not a directory");
	child_dies(open_dir_force, "d/two", BD_USAGE, "d/two: is not a directory");
	assert_int_equal(count("."), 2);
}

/* Leftovers of a killed process for this target are removed; other targets, other names and locked ones
 * stay. */
static void write_f(void *unused)
{
	(void)unused;
	bd_write_file("f", "newer", 5);
}

static void test_left_by_the_dead(void **state)
{
	pid_t pid = fork();
	int status, fd;
	char name[64];

	(void)state;
	if (pid == 0) {
		bd_out_open("f", true, 0);
		bd_write_file(bd_path(bd_outdir_path(bd_outdir_open("d", false)), "inside"), "x", 1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(count("."), 2);
	bd_write_file("f", "new", 3);
	assert_int_equal(count("."), 2); /* f and what belongs to d */
	struct bd_outdir *d = bd_outdir_open("d", false);
	bd_outdir_commit(d);
	assert_int_equal(count("."), 2);

	static const char *const others[] = {".ff.%d.tmp", ".f.%dx.tmp", ".f.%d.tmp2", ".f.x%d.tmp"};
	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), others[i], (int)pid);
		close(open(name, O_CREAT | O_WRONLY, 0666));
	}
	snprintf(name, sizeof(name), ".f.%d-7.tmp", (int)pid);
	fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	snprintf(name, sizeof(name), "/f: process %d is writing it", (int)pid);
	child_dies(write_f, NULL, BD_USAGE, name); /* a process elsewhere with that number is alive */
	assert_int_equal(count("."), 7);
	assert_file("f", "new");
	close(fd);
	bd_write_file("f", "newest", 6);
	assert_int_equal(count("."), 6);
	assert_file("f", "newest");
}

static void test_remove_tree(void **state)
{
	char name[40];

	(void)state;
	assert_int_equal(mkdir("keep", 0777), 0);
	bd_write_file("keep/f", "x", 1);
	assert_true(mkdir("t", 0777) == 0 && mkdir("t/u", 0777) == 0);
	for (int i = 0; i < 300; i++) { /* more than one getdents buffer */
		snprintf(name, sizeof(name), "t/u/a-rather-long-name-%d", i);
		close(open(name, O_CREAT | O_WRONLY, 0666));
	}
	assert_int_equal(symlink("../keep", "t/link"), 0);
	bd_remove_tree("t");
	assert_false(bd_exists("t"));
	assert_file("keep/f", "x"); /* links are not followed */
	bd_remove_tree("none");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_ignored_signal), /* first: handlers are installed with the first temporary */
	    TEST(test_whole),          TEST(test_lines),
	    TEST(test_incompressible), TEST(test_pieces),
	    TEST(test_interactive),    TEST(test_gzip),
	    TEST(test_broken_gzip),    TEST(test_bombs),
	    TEST(test_broken_zstd),    TEST(test_atomic),
	    TEST(test_link),           TEST(test_leftover),
	    TEST(test_killed),         TEST(test_full),
	    TEST(test_stdout),         TEST(test_patch_stdout),
	    TEST(test_patch_outside),  TEST(test_outdir),
	    TEST(test_digests),        TEST(test_left_by_the_dead),
	    TEST(test_remove_tree),
	};

	signal(SIGHUP, SIG_DFL); /* under nohup it is ignored, and children would wait for it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
