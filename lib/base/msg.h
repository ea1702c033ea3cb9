/* Errors and exit statuses: one sentence on stderr, "tool: file: place: reason; advice", then exit.
 *
 * A library function that encounters bad input or a system failure reports it itself, where the cause is
 * known, and does not return. bd_die() first runs the clean-ups of io.h, so that no half-written output
 * survives. Under a guard (guard.h) it returns to the guard instead, and nothing is printed. */
#ifndef BD_MSG_H
#define BD_MSG_H

#define BD_VERSION "0.1.0"

enum bd_status {
	BD_OK = 0,    /* done */
	BD_NO = 1,    /* a negative result: files differ, a check failed */
	BD_USAGE = 2, /* wrong usage */
	BD_DATA = 3,  /* bad input data */
	BD_SYS = 4,   /* disk full, out of memory, interrupted, broken pipe */
};

/* Set once by main() from argv[0]; the only mutable global of the suite besides the clean-up lists. */
void bd_msg_tool(const char *argv0);
const char *bd_msg_tool_name(void);

/* Print "tool: ..." and a newline; the same warning once. A format that ends in ':' gets " strerror(errno)"
 * appended. */
void bd_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void bd_die(enum bd_status status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* From now on, bd_die() in other threads waits forever: the caller is about to end the process. Returns only
 * when no bd_die() is in progress. */
void bd_msg_hush(void);

/* Registers fn(arg) to run before bd_die() exits and on exit(); newest first. bd_msg_undo removes it. */
void bd_msg_cleanup(void (*fn)(void *), void *arg);
void bd_msg_undo(void (*fn)(void *), void *arg);

#endif
