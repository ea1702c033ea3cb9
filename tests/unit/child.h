/* Code that is expected to die runs in a child process; its exit status and its stderr are returned. */
#ifndef CHILD_H
#define CHILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	int status, signal; /* of the exit; signal 0: none */
	char err[8192];     /* what it wrote to stderr */
};

static inline struct child child_run(void (*fn)(void *), void *arg)
{
	struct child c = {0};
	size_t n = 0;
	ssize_t k;
	int fd[2], wait_status;
	pid_t pid;

	fflush(NULL); /* or the child would print it once more */
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		fn(arg);
		_exit(0);
	}
	close(fd[1]);
	while ((k = read(fd[0], c.err + n, sizeof(c.err) - 1 - n)) > 0)
		n += (size_t)k;
	close(fd[0]);
	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	if (WIFSIGNALED(wait_status))
		c.signal = WTERMSIG(wait_status);
	else
		c.status = WEXITSTATUS(wait_status);
	return c;
}

/* fn(arg) must exit with `status` after a message that contains `text`. */
static inline void child_dies(void (*fn)(void *), void *arg, int status, const char *text)
{
	struct child c = child_run(fn, arg);

	if (c.signal != 0 || c.status != status || strstr(c.err, text) == NULL)
		fail_msg("expected exit %d with \"%s\"; got exit %d, signal %d: %s", status, text, c.status,
		         c.signal, c.err);
}

#endif
