/* Running and reading the other program. */
#include "eval/bench_peer.h"

#include "base/mem.h"
#include "base/msg.h"
#include "eval/spread.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ME "--vs-cmd" /* in messages */

enum { OUTPUT_MAX = 64 << 20, NOT_FOUND = 127 };

/* ---- running ---- */

static pid_t start(const char *command, int *fd)
{
	sigset_t none;
	int ends[2];
	pid_t pid;

	if (pipe(ends) != 0 || (pid = fork()) < 0)
		bd_die(BD_SYS, ME ": cannot start sh:");
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		signal(SIGPIPE, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(NOT_FOUND);
	}
	close(ends[1]);
	*fd = ends[0];
	return pid;
}

static void read_all(int fd, struct bd_buf *b)
{
	char piece[1 << 14];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno != EINTR)
			bd_die(BD_SYS, ME ": cannot read its output:");
		if (n > 0)
			bd_buf_add(b, piece, (size_t)n);
		if (b->n > OUTPUT_MAX)
			bd_die(BD_DATA,
			       ME ": more than %d MiB of output; it should be that of llama-bench -o json",
			       OUTPUT_MAX >> 20);
	}
	close(fd);
}

/* Bytes of its peak. */
static double finish(pid_t pid)
{
	struct rusage u;
	int status;

	while (wait4(pid, &status, 0, &u) < 0)
		if (errno != EINTR)
			bd_die(BD_SYS, ME ": cannot wait for it:");
	if (WIFSIGNALED(status))
		bd_die(BD_SYS, ME ": the command was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == NOT_FOUND)
		bd_die(BD_SYS, ME ": the command was not found (exit status %d)", NOT_FOUND);
	if (WEXITSTATUS(status) != 0)
		bd_die(BD_SYS, ME ": the command failed with exit status %d", WEXITSTATUS(status));
	return (double)u.ru_maxrss * 1024;
}

/* ---- reading ---- */

static bool is_result(const json_t *o)
{
	return json_is_integer(json_object_get(o, "n_prompt")) &&
	       json_is_integer(json_object_get(o, "n_gen")) &&
	       json_is_integer(json_object_get(o, "n_threads"));
}

/* The array in the text; the caller's. */
static json_t *parse(const char *text, size_t n)
{
	json_error_t e;
	json_t *all = bd_json_read(text, n, &e), *list = all, *o;
	size_t i;

	if (all == NULL)
		bd_die(BD_DATA,
		       ME ": its output is not JSON: line %d: %s; let it print what llama-bench -o json does",
		       e.line, e.text);
	if (json_is_object(all))
		list = json_object_get(all, "tests");
	if (!json_is_array(list) || json_array_size(list) == 0)
		bd_die(BD_DATA, ME ": its output has no array of results, as llama-bench -o json prints");
	json_array_foreach(list, i, o)
		if (!is_result(o))
			bd_die(BD_DATA, ME ": result %zu lacks n_prompt, n_gen or n_threads", i);
	json_incref(list);
	json_decref(all);
	return list;
}

struct bd_peer bd_peer_run(const char *command)
{
	struct bd_buf b = {0};
	struct bd_peer p;
	int fd;
	pid_t pid = start(command, &fd);

	read_all(fd, &b);
	p.peak = finish(pid);
	p.results = parse(b.n > 0 ? b.p : "", b.n);
	bd_buf_free(&b);
	return p;
}

static bool matches(const json_t *o, const struct bd_bench_test *t, int64_t threads)
{
	bool prefill = t->kind == BD_BENCH_PREFILL;

	return bd_json_int(o, "n_prompt", 0, 0, INT64_MAX, ME) == (prefill ? (int64_t)t->n : 0) &&
	       bd_json_int(o, "n_gen", 0, 0, INT64_MAX, ME) == (prefill ? 0 : (int64_t)t->n) &&
	       bd_json_int(o, "n_depth", 0, 0, INT64_MAX, ME) == (int64_t)t->depth &&
	       bd_json_int(o, "n_sequences", 1, 0, INT64_MAX, ME) == (int64_t)t->sequences &&
	       bd_json_int(o, "n_threads", 0, 0, INT64_MAX, ME) == threads;
}

/* NAN: neither samples_ts nor avg_ts. */
static double median(const json_t *o)
{
	const json_t *samples = json_object_get(o, "samples_ts"), *x;
	size_t n = json_array_size(samples), i;
	double *v, m;

	if (n == 0)
		return bd_json_real(o, "avg_ts", NAN, ME);
	v = bd_alloc(n, sizeof(*v));
	json_array_foreach(samples, i, x)
		v[i] = json_is_number(x) ? json_number_value(x) : NAN;
	m = bd_spread(v, n).median;
	bd_free(v);
	return m;
}

double bd_peer_speed(const json_t *results, const struct bd_bench_test *t, int64_t threads)
{
	const json_t *o, *found = NULL;
	char name[BD_BENCH_NAME];
	double speed;
	size_t i;

	if (t->kind == BD_BENCH_EXAMPLES || t->sequences > 1)
		return NAN;
	bd_bench_test_name(name, t);
	json_array_foreach(results, i, o) {
		if (!matches(o, t, threads))
			continue;
		if (found != NULL)
			bd_die(BD_DATA, ME ": two results for %s with %lld threads; let it measure one model",
			       name, (long long)threads);
		found = o;
	}
	if (found == NULL)
		bd_die(BD_DATA,
		       ME ": no result for %s with %lld threads; let it measure this test too, or leave it "
		          "out here",
		       name, (long long)threads);
	speed = median(found);
	if (!isfinite(speed) || speed <= 0)
		bd_die(BD_DATA,
		       ME ": the result for %s with %lld threads has no speed in samples_ts or avg_ts", name,
		       (long long)threads);
	return speed;
}

static const char *text(const json_t *results, const char *key)
{
	return json_string_value(json_object_get(json_array_get(results, 0), key));
}

const char *bd_peer_model(const json_t *results)
{
	const char *path = text(results, "model_filename");

	return path != NULL ? path : text(results, "model");
}

const char *bd_peer_weights(const json_t *results)
{
	const char *type = text(results, "model_type");

	return type != NULL ? type : text(results, "weights");
}

const char *bd_peer_head(const json_t *results)
{
	return text(results, "head");
}

double bd_peer_file_bytes(const json_t *results)
{
	const char *path = text(results, "model_filename");
	struct stat st;

	return path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (double)st.st_size : NAN;
}
