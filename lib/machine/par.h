/* Fork-join over fixed slices: the work of slice s of S is always the same range,
 * whoever runs it and when. */
#ifndef BD_PAR_H
#define BD_PAR_H

#include <stddef.h>

struct bd_par;
struct bd_par *bd_par_new(int threads);     /* >= 1; the caller's thread is one of them */
void bd_par_free(struct bd_par *p);         /* NULL is fine */
int bd_par_threads(const struct bd_par *p); /* 1 for NULL */

/* Runs fn(ctx, begin, end, slice) for every slice: [n*slice/S, n*(slice+1)/S), S = threads, and returns when
 * all are done. fn must not call bd_par_for. With p == NULL or n == 1: one slice, on this thread. */
typedef void bd_par_fn(void *ctx, size_t begin, size_t end, int slice);
void bd_par_for(struct bd_par *p, size_t n, bd_par_fn *fn, void *ctx);

#endif
