/* Behind bd.h: every call that may die runs under a guard, in the scope of the object that it changes. */
#ifndef BD_DOOR_H
#define BD_DOOR_H

#include "base/guard.h"
#include "bd.h"
#include "run/answer.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/* What is made anew after a failure has its own scope, which the failure ends. */
struct bd_door_model {
	pthread_mutex_t lock; /* of what computes: the threads of the net serve one caller */
	pid_t pid;            /* where those threads live */
	struct bd_scope scope;
	struct bd_infer *infer;

	struct bd_scope judge_scope;
	struct bd_labels *judge; /* of bd_classify; NULL: not yet */

	struct bd_scope info_scope;
	char *info; /* NULL: not yet */
};

struct bd_door_session {
	struct bd_door_model *m;
	struct bd_scope scope;
	struct bd_gen *gen; /* NULL: lost in a failure */
	char **stop;        /* [n_stop] of the text under way */
	size_t n_stop;
	bool begun; /* a text */
	const char *finish;
};

/* fn(ctx) under a guard: 0, or a bd_failure. */
int bd_door_call(struct bd_scope *s, void (*fn)(void *ctx), void *ctx);
/* The same in a scope that ends with it. */
int bd_door_once(const struct bd_door_model *m, void (*fn)(void *ctx), void *ctx);
/* The same with the model's threads, in `s`; after a failure s is empty again. */
int bd_door_compute(struct bd_door_model *m, struct bd_scope *s, void (*fn)(void *ctx), void *ctx);

/* BD_EARGUMENT, and bd_error says so. */
int bd_door_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for an object that is NULL: the failure that made it so keeps its message, if there was one. */
int bd_door_missing(const char *what);

#endif
