/* Errors: the message is formatted first (its arguments may not survive the clean-ups), the clean-ups run,
 * then one write() puts it on stderr, so that messages of several tools in a pipeline do not mix. */
#include "base/msg.h"

#include "base/guard.h"
#include "base/show.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_MAX = 8192 };

struct cleanup {
	void (*fn)(void *);
	void *arg;
	struct cleanup *next;
};

static const char *tool = "bd";
static struct cleanup *cleanups; /* newest first */
/* the first of several threads prints and exits */
static pthread_mutex_t dying = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void bd_msg_tool(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');

	tool = slash != NULL ? slash + 1 : argv0;
}

const char *bd_msg_tool_name(void)
{
	return tool;
}

/* What snprintf has added of k characters to room for `room`. */
static size_t added(int k, size_t room)
{
	return k < 0 ? 0 : (size_t)k < room ? (size_t)k : room - 1;
}

/* The message into text, in one line whatever it quotes; one longer than the buffer is cut. Returns its
 * length. */
static size_t format(char *text, size_t room, const char *fmt, va_list ap)
{
	char raw[MESSAGE_MAX];
	size_t fmt_n = strlen(fmt), n;
	const char *reason = fmt_n > 0 && fmt[fmt_n - 1] == ':' ? strerror(errno) : NULL;

	n = added(vsnprintf(raw, sizeof(raw), fmt, ap), sizeof(raw));
	if (reason != NULL)
		n += added(snprintf(raw + n, sizeof(raw) - n, " %s", reason), sizeof(raw) - n);
	return bd_show(raw, n, false, text, room);
}

/* "tool: message\n" */
static size_t format_line(char line[MESSAGE_MAX], const char *fmt, va_list ap)
{
	size_t room = MESSAGE_MAX - 1, n = added(snprintf(line, room, "%s: ", tool), room);

	n += format(line + n, room - n, fmt, ap);
	line[n++] = '\n';
	return n;
}

static void print(const char *line, size_t n)
{
	ssize_t k;

	if (isatty(STDERR_FILENO)) /* wipe the rest of a progress line */
		k = write(STDERR_FILENO, "\r\033[K", 4);
	do
		k = write(STDERR_FILENO, line, n);
	while (k < 0 && errno == EINTR);
}

/* Whether the line is one of the first SAID that were printed: a file is often read more than once. */
static bool said(const char *line, size_t n)
{
	enum { SAID = 64 };
	static uint64_t seen[SAID];
	static size_t count;
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
	bool again = false;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)line[i]) * 0x100000001b3u;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < count; i++)
		again = again || seen[i] == h;
	if (!again && count < SAID)
		seen[count++] = h;
	pthread_mutex_unlock(&lock);
	return again;
}

void bd_warn(const char *fmt, ...)
{
	char line[MESSAGE_MAX];
	va_list ap;
	size_t n;

	if (bd_guard_scope() != NULL)
		return;
	va_start(ap, fmt);
	n = format_line(line, fmt, ap);
	va_end(ap);
	if (!said(line, n))
		print(line, n);
}

static struct cleanup *pop(void)
{
	struct cleanup *c;

	pthread_mutex_lock(&lock);
	c = cleanups;
	if (c != NULL)
		cleanups = c->next;
	pthread_mutex_unlock(&lock);
	return c;
}

static void run_cleanups(void)
{
	struct cleanup *c;

	while ((c = pop()) != NULL) {
		c->fn(c->arg);
		free(c);
	}
}

void bd_die(enum bd_status status, const char *fmt, ...)
{
	static _Thread_local bool here;
	char line[MESSAGE_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	if (bd_guard_scope() != NULL) {
		format(bd_guard_text(), BD_GUARD_TEXT, fmt, ap);
		va_end(ap);
		bd_guard_raise((int)status);
	}
	n = format_line(line, fmt, ap);
	va_end(ap);
	if (!here) {
		pthread_mutex_lock(&dying);
		here = true; /* and a clean-up that dies does not start over */
		run_cleanups();
	}
	print(line, n);
	_exit((int)status); /* not exit(): half a result in stdio's buffer must not reach stdout */
}

void bd_msg_hush(void)
{
	pthread_mutex_lock(&dying);
}

void bd_msg_cleanup(void (*fn)(void *), void *arg)
{
	static bool registered;
	struct cleanup *c = malloc(sizeof(*c));

	if (c == NULL)
		bd_die(BD_SYS, "out of memory");
	c->fn = fn;
	c->arg = arg;
	pthread_mutex_lock(&lock);
	c->next = cleanups;
	cleanups = c;
	if (!registered)
		registered = atexit(run_cleanups) == 0;
	pthread_mutex_unlock(&lock);
}

void bd_msg_undo(void (*fn)(void *), void *arg)
{
	struct cleanup **p, *c;

	pthread_mutex_lock(&lock);
	for (p = &cleanups; *p != NULL && ((*p)->fn != fn || (*p)->arg != arg); p = &(*p)->next)
		;
	c = *p;
	if (c != NULL)
		*p = c->next;
	pthread_mutex_unlock(&lock);
	free(c);
}
