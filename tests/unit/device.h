/* Devices for tests. */
#ifndef DEVICE_H
#define DEVICE_H

#include "net/net.h"

/* The CPU with one thread; lives as long as the test. */
struct bd_dev *cpu(void);

/* The CPU with par's threads over memory that nobody else reads or writes: its pages are accessible
 * (mprotect) only while an operation or a copy runs, so that a direct access is a SIGSEGV. It maps nothing:
 * bd_dev_map copies. */
struct bd_dev *locked_new(struct bd_par *par);

/* The CPU with one thread that tells what it does, once it is done: each operation, and each copy to the
 * host, which may be spoilt. Either may be NULL. */
struct watcher {
	void (*ran)(struct watcher *w, const struct bd_op *op, const void *operands);
	void (*fetched)(struct watcher *w, void *host, size_t size);
	size_t n; /* the test's own */
};
struct bd_dev *watched_new(struct watcher *w);

/* z[T,V] of ids[T] in one sequence, computed as inference does; host memory, the caller frees. */
float *logits_of(struct bd_net *net, const uint32_t *ids, size_t T);

#endif
