/* Calls that fail without ending the process, for programs that the library is a part of (bd.h).
 *
 * Under a guard bd_die() does not exit but returns to the guard, whatever functions lie between. What was
 * acquired since then stands in a scope and can be released as a whole: memory, mappings, descriptors,
 * threads. Without a guard, as in the tools, all of this does nothing. Errors and memory build on it, so
 * nothing here calls them. */
#ifndef BD_GUARD_H
#define BD_GUARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* What was acquired and not yet released. `outer`, or NULL: the scope of what this one uses, so that memory
 * of theirs which a call here frees is not freed again with them. */
struct bd_scope {
	pthread_mutex_t lock; /* slices of bd_par_for acquire too */
	struct bd_scope *outer;
	struct bd_held *held; /* a hash table by address */
	size_t n, cap;
	struct bd_scope *next; /* in the list of all, for bd_guard_live */
};
void bd_scope_begin(struct bd_scope *s, struct bd_scope *outer);
void bd_scope_trim(struct bd_scope *s);  /* gives back what it does not need for what is in it */
void bd_scope_leave(struct bd_scope *s); /* ends too, but what was acquired is left to its owners */
void bd_scope_end(struct bd_scope *s); /* releases everything: what has a function of its own, then memory */

/* Runs fn(ctx); 0, or the status that bd_die() was called with: then bd_guard_text says why. What fn has
 * acquired is in s either way. A guard may stand inside another. */
int bd_guard(struct bd_scope *s, void (*fn)(void *ctx), void *ctx);

enum { BD_GUARD_TEXT = 1024 };
char *bd_guard_text(void); /* [BD_GUARD_TEXT] of this thread: why its last guarded call failed */

/* ---- for those who acquire ---- */

/* Records p, to be released by fn(p, n), or by free() if fn is NULL; when there is no memory to do so, p is
 * released and the guarded call fails. p NULL: nothing. */
typedef void bd_release(void *p, size_t n);
void bd_guard_keep(void *p, size_t n, bd_release *fn);
void bd_guard_drop(const void *p); /* p is about to be released, or nobody's: not recorded any longer */
void bd_guard_keep_fd(int fd);
void bd_guard_drop_fd(int fd);

/* The scope of this thread's guard, NULL: no guard. bd_guard_into makes what follows go to another one and
 * returns the one before, for what belongs to longer-lived owners; s NULL changes nothing. */
struct bd_scope *bd_guard_scope(void);
struct bd_scope *bd_guard_into(struct bd_scope *s);

_Noreturn void bd_guard_raise(int status); /* to the guard, with what stands in bd_guard_text */

/* ---- for tests ---- */

size_t bd_guard_live(void); /* recorded at the moment, in all scopes */
/* Shall this allocation fail? Asked under a guard; a test may define bd_guard_spoil. */
bool bd_guard_fails(void);
bool bd_guard_spoil(void) __attribute__((weak));

#endif
