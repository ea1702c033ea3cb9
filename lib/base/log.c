/* Progress on a terminal and JSON lines in a file. */
#include "base/log.h"

#include "base/mem.h"
#include "base/msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 20 };

struct bd_log {
	FILE *file; /* NULL: none */
	char *path;
	bool progress, shown;
	double start, last; /* seconds */
	double start_done;  /* a resumed run does not begin at 0 */
};

double bd_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A line "KEY  123 kB" of the process's status; 0 if there is none. */
static double status_kib(const char *key)
{
	FILE *f = fopen("/proc/self/status", "re");
	double kib = 0;
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtod(line + strlen(key), NULL);
	if (f != NULL)
		fclose(f);
	return kib;
}

size_t bd_resident(void)
{
	return (size_t)(1024 * status_kib("VmRSS:"));
}

/* VmHWM rather than ru_maxrss, which starts from the parent's value before exec. */
double bd_rss_mib(void)
{
	double kib = status_kib("VmHWM:");
	struct rusage u;

	if (kib == 0 && getrusage(RUSAGE_SELF, &u) == 0)
		kib = (double)u.ru_maxrss;
	return kib / 1024;
}

static bool is_regular(FILE *f)
{
	struct stat st;

	return fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
}

/* Nothing is lost of a log that is there already before the run has begun: bd_log_cut. */
static FILE *open_file(const char *path)
{
	FILE *f = fopen(path, "ae");

	if (f == NULL)
		bd_die(BD_SYS, "%s: cannot write:", path);
	if (is_regular(f) && flock(fileno(f), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		bd_die(BD_USAGE, "%s: another process is writing this log; choose another name", path);
	return f;
}

struct bd_log *bd_log_open(const char *path, bool quiet)
{
	struct bd_log *l = bd_zalloc(1, sizeof(*l));

	l->progress = !quiet && isatty(STDERR_FILENO);
	l->start = -1;
	if (path != NULL) {
		l->path = bd_strdup(path);
		l->file = open_file(path);
	}
	return l;
}

size_t bd_log_bytes(const struct bd_log *l)
{
	struct stat st;

	return l->file != NULL && is_regular(l->file) && fstat(fileno(l->file), &st) == 0 ? (size_t)st.st_size
	                                                                                  : 0;
}

void bd_log_cut(struct bd_log *l, size_t bytes)
{
	if (bd_log_bytes(l) > bytes && ftruncate(fileno(l->file), (off_t)bytes) != 0)
		bd_die(BD_SYS, "%s: cannot be cut:", l->path);
}

void bd_log_json(struct bd_log *l, json_t *obj)
{
	if (l->file != NULL) {
		char *text = bd_json_text(obj, false);

		if (fprintf(l->file, "%s\n", text) < 0 || fflush(l->file) != 0)
			bd_die(BD_SYS, "%s: cannot write:", l->path);
		bd_free(text);
	}
	json_decref(obj);
}

/* "2:03:04", "3:04" */
static void clock_text(char *s, size_t n, double seconds)
{
	long t = seconds < 0 ? 0 : seconds > 1e9 ? 1000000000 : (long)(seconds + 0.5);

	if (t >= 3600)
		snprintf(s, n, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
	else
		snprintf(s, n, "%ld:%02ld", t / 60, t % 60);
}

/* "[####................]  20%  text  3:04 left", or without a total "1234  text  3:04". */
static void progress_text(const struct bd_log *l, struct bd_buf *b, double now, double done, double total,
                          const char *text)
{
	double part = total > 0 ? done / total : 0, spent = now - l->start, work = done - l->start_done;
	char bar[BAR + 1], left[32];

	if (total > 0) {
		part = part < 0 ? 0 : part > 1 ? 1 : part;
		memset(bar, '.', BAR);
		memset(bar, '#', (size_t)(part * BAR));
		bar[BAR] = '\0';
		bd_buf_fmt(b, "[%s] %3d%%  %s", bar, (int)(100 * part), text);
		if (work <= 0)
			return;
		clock_text(left, sizeof(left), spent / work * (total - done));
		bd_buf_fmt(b, "  %s left", left);
	} else {
		clock_text(left, sizeof(left), spent);
		bd_buf_fmt(b, "%.0f  %s  %s", done, text, left);
	}
}

void bd_log_progress(struct bd_log *l, double done, double total, const char *text)
{
	struct winsize w = {0};
	struct bd_buf b = {0};
	double now;

	if (!l->progress)
		return;
	now = bd_seconds();
	if (l->start < 0) {
		l->start = now;
		l->start_done = done;
	} else if (now - l->last < 0.1 && !(total > 0 && done >= total)) {
		return;
	}
	l->last = now;
	l->shown = true;
	progress_text(l, &b, now, done, total, text);
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 && b.n >= w.ws_col)
		b.p[w.ws_col - 1] = '\0';
	fprintf(stderr, "\r%s\033[K", b.p);
	bd_buf_free(&b);
}

void bd_log_close(struct bd_log *l)
{
	if (l == NULL)
		return;
	if (l->shown)
		fputc('\n', stderr);
	if (l->file != NULL && fclose(l->file) != 0)
		bd_die(BD_SYS, "%s: cannot write:", l->path);
	bd_free(l->path);
	bd_free(l);
}
