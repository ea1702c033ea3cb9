/* flip [-1] [-i] SEED N CUTS FILE... -- COMMAND...: N times, a bit at a random place of one of the files
 * is turned over, CUTS times one is cut at a random place, and the command is run on that; afterwards the
 * files are as they were. In the end the command must have failed with status 3 (with -1, a check: or 1)
 * and left no `out', or have given what it gives for the files as they are: the same standard output (with
 * -i: whatever it is) and the same file or directory `out'. Says how many were noticed, how many had no
 * consequence, and describes every other. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 32, PATIENCE = 60 }; /* seconds until a run counts as hanging */

static struct file {
	const char *path;
	unsigned char *p;
	size_t n;
} file[FILES];
static size_t files;
static bool is_check, ignores_stdout;

static void die(const char *what)
{
	perror(what);
	exit(4);
}

/* SplitMix64. */
static uint64_t draw(uint64_t *state, uint64_t below)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static struct file load(const char *path)
{
	struct file f = {.path = path};
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	f.n = (size_t)st.st_size;
	f.p = malloc(f.n + 1);
	if (read(fd, f.p, f.n) != st.st_size)
		die(path);
	close(fd);
	return f;
}

/* Its first n bytes; a directory that the command has removed is made again. */
static void store(const struct file *f, size_t n)
{
	const char *slash = strrchr(f->path, '/');
	int fd;

	if (slash != NULL) {
		char *dir = strndup(f->path, (size_t)(slash - f->path));

		mkdir(dir, 0777);
		free(dir);
	}
	fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || write(fd, f->p, n) != (ssize_t)n || close(fd) != 0)
		die(f->path);
}

/* ---- what a run gives ---- */

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const unsigned char *)p)[i]) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t hash_file(const char *path)
{
	struct file f = load(path);
	uint64_t h = hash(hash(UINT64_C(0xcbf29ce484222325), path, strlen(path)), f.p, f.n);

	free(f.p);
	return h;
}

static uint64_t sum; /* of the hashes: a directory lists its files in any order */

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)at;
	sum += type == FTW_F ? hash_file(path) : 1;
	return 0;
}

static int discard(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static uint64_t outcome(void)
{
	sum = ignores_stdout ? 0 : hash_file("flip.stdout");
	nftw("out", visit, 16, FTW_PHYS);
	return sum;
}

static int run(char **command)
{
	pid_t pid;
	int status;

	nftw("out", discard, 16, FTW_DEPTH | FTW_PHYS);
	pid = fork();
	if (pid == 0) {
		alarm(PATIENCE); /* survives exec */
		if (freopen("flip.stdout", "w", stdout) == NULL ||
		    freopen("flip.stderr", "w", stderr) == NULL)
			_exit(126);
		if (access("flip.stdin", R_OK) == 0 && freopen("flip.stdin", "r", stdin) == NULL)
			_exit(126);
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("fork");
	return status;
}

/* ---- judging ---- */

static size_t noticed, harmless, wrong;

static const char *fault_of(int status, uint64_t expected)
{
	struct stat st;

	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGALRM ? "hangs" : "ends with a signal";
	if (WEXITSTATUS(status) == 0)
		return outcome() == expected ? NULL : "gives another result";
	if (WEXITSTATUS(status) != 3 && !(is_check && WEXITSTATUS(status) == 1))
		return "ends with another status";
	return lstat("out", &st) == 0 ? "leaves an output" : NULL;
}

static void judge(int status, uint64_t expected, const char *how, const struct file *f, size_t at, int bit)
{
	const char *fault = fault_of(status, expected);

	noticed += fault == NULL && status != 0;
	harmless += fault == NULL && status == 0;
	wrong += fault != NULL;
	if (fault != NULL)
		printf("%s at byte %zu, bit %d, of %s: %s (status %d, signal %d)\n", how, at, bit, f->path,
		       fault, WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void damage(uint64_t *rng, char **command, uint64_t expected, bool cut)
{
	struct file *f = &file[draw(rng, files)];
	size_t at = f->n > 0 ? (size_t)draw(rng, f->n) : 0;
	int bit = (int)draw(rng, 8);

	for (size_t i = 0; i < files; i++)
		store(&file[i], file[i].n);
	if (f->n == 0)
		return;
	f->p[at] ^= (unsigned char)(cut ? 0 : 1 << bit);
	store(f, cut ? at : f->n);
	judge(run(command), expected, cut ? "a cut" : "a flip", f, at, bit);
	f->p[at] ^= (unsigned char)(cut ? 0 : 1 << bit);
}

int main(int argc, char **argv)
{
	uint64_t seed, expected;
	long n, cuts;
	int i, status;

	while ((i = getopt(argc, argv, "+1i")) != -1)
		*(i == '1' ? &is_check : &ignores_stdout) = true;
	argv += optind;
	seed = strtoull(argv[0], NULL, 10);
	n = atol(argv[1]);
	cuts = atol(argv[2]);
	for (argv += 3; strcmp(*argv, "--") != 0; argv++)
		file[files++] = load(*argv);
	argv++;
	status = run(argv);
	expected = outcome();
	for (size_t k = 0; k < files; k++)
		store(&file[k], file[k].n);
	if (status != 0 || run(argv) != 0 || outcome() != expected) {
		puts("fails, or gives different results, even without damage");
		return 1;
	}
	for (long k = 0; k < n + cuts; k++)
		damage(&seed, argv, expected, k >= n);
	for (size_t k = 0; k < files; k++)
		store(&file[k], file[k].n);
	printf("%zu noticed, %zu without consequence, %zu wrong\n", noticed, harmless, wrong);
	return wrong > 0;
}
