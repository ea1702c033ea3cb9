/* Inputs as files, and the guard around a harness. */
#include "fuzz.h"

#include "base/digest.h"
#include "base/guard.h"
#include "base/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOWER 10
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SLOWER 10
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

bool bd_hash_trust(void)
{
	return true;
}

/* ---- inputs ---- */

unsigned fuzz_byte(struct fuzz *f)
{
	if (f->n == 0)
		return 0;
	f->n--;
	return (unsigned char)*f->p++;
}

struct fuzz fuzz_part(struct fuzz *f)
{
	const char *end = f->n > 0 ? memchr(f->p, 0xff, f->n) : NULL;
	struct fuzz part = {f->p, end != NULL ? (size_t)(end - f->p) : f->n};

	f->p += part.n + (end != NULL);
	f->n -= part.n + (end != NULL);
	return part;
}

char *fuzz_string(struct fuzz f)
{
	return bd_strndup(f.n > 0 ? f.p : "", f.n);
}

/* ---- files ---- */

static char dir[] = "/dev/shm/bd-fuzz.XXXXXX";
enum { FILES = 16 };
static struct {
	const char *name;
	char *path;
	int fd;
} files[FILES];

static void remove_files(void)
{
	bd_remove_tree(dir);
}

/* A file of this name, made when it is asked for first. */
static size_t file_of(const char *name)
{
	size_t i;
	char *slash;

	for (i = 0; i < FILES && files[i].name != NULL && strcmp(files[i].name, name) != 0; i++)
		;
	if (i == FILES)
		abort();
	if (files[i].name != NULL)
		return i;
	files[i].name = name;
	if (asprintf(&files[i].path, "%s/%s", dir, name) < 0)
		abort();
	slash = strrchr(files[i].path + sizeof(dir), '/');
	if (slash != NULL) {
		*slash = '\0';
		mkdir(files[i].path, 0777);
		*slash = '/';
	}
	files[i].fd = open(files[i].path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (files[i].fd < 0)
		abort();
	return i;
}

const char *fuzz_file(const char *name, struct fuzz f)
{
	size_t i = file_of(name);

	if (ftruncate(files[i].fd, (off_t)f.n) != 0 || pwrite(files[i].fd, f.p, f.n, 0) != (ssize_t)f.n)
		abort();
	return files[i].path;
}

const char *fuzz_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

const char *fuzz_root(void)
{
	static char *root;

	if (root == NULL)
		root = getenv("BD_ROOT") != NULL ? getenv("BD_ROOT") : realpath(".", NULL);
	return root;
}

/* ---- runs ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (mkdtemp(dir) == NULL) {
		memcpy(dir, "/tmp/bd-fuzz.XXXXXX", sizeof("/tmp/bd-fuzz.XXXXXX"));
		if (mkdtemp(dir) == NULL)
			abort();
	}
	atexit(remove_files);
	bd_json_guard();
	if (fuzz_begin != NULL)
		fuzz_begin();
	return 0;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static _Noreturn void report(const char *what, double value)
{
	fprintf(stderr, "fuzz: %s: %g\n", what, value);
	abort();
}

int fuzz_one(void (*fn)(void *ctx), const uint8_t *p, size_t n)
{
	struct fuzz f = {(const char *)p, n};
	double before = seconds(), took;
	struct bd_scope s;
	int status;

	bd_verify(n % 8 == 0);
	bd_scope_begin(&s, NULL);
	status = bd_guard(&s, fn, &f);
	if (status == 0 && s.n > 0)
		report("not released", (double)s.n);
	if (getenv("FUZZ_SHOW") != NULL)
		fprintf(stderr, "%d: %s\n", status, status != 0 ? bd_guard_text() : "");
	bd_scope_end(&s);
	took = seconds() - before;
	if (took > FUZZ_SECONDS * SLOWER)
		report("seconds", took);
	return 0;
}
