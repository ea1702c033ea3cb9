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

/* z[T,V] of ids[T] in one sequence, computed as inference does; host memory, the caller frees. */
float *logits_of(struct bd_net *net, const uint32_t *ids, size_t T);

#endif
