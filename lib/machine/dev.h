/* The seam between what is computed and what computes it. Tensors live in a device's memory; net/, train/,
 * run/ and pack/ move and change them only through the functions here and the operations of math/. The CPU is
 * the only device so far; math/ops.h lists the operations that another one must supply besides a struct
 * bd_dev_calls.
 *
 * Memory. A tensor is an address in device memory: a pointer to its type of element, on which pointer
 * arithmetic works, but through which only operations and copies read and write. Numbers that say where and
 * how much (ids, positions, rows, starts, scales), and sums that are returned, are in host memory.
 *
 * Order. Copies and operations take effect in the order of the calls. Host memory that a call only reads may
 * change as soon as the call has returned; host memory that an operation writes is valid after bd_dev_wait,
 * what bd_dev_from writes when it returns. */
#ifndef BD_DEV_H
#define BD_DEV_H

#include <stdbool.h>
#include <stddef.h>

#include "machine/kern.h"
#include "base/mem.h"
#include "machine/par.h"

struct bd_dev;
struct bd_cpu;

/* An operation: its name, by which another device finds its own version, and the CPU's code for it. The
 * operands are a struct, declared in the same header as the operation. */
struct bd_op {
	const char *name;
	void (*cpu)(struct bd_cpu *cpu, const void *operands);
};

/* What a device does. Sizes are bytes and may be 0. */
struct bd_dev_calls {
	bool host; /* its memory is the host's */
	/* zeroed, 64-byte aligned; dies BD_SYS if there is not enough */
	void *(*alloc)(struct bd_dev *dev, size_t size);
	void (*release)(struct bd_dev *dev, void *p);
	void (*to)(struct bd_dev *dev, void *p, const void *host, size_t size);
	void (*from)(struct bd_dev *dev, void *host, const void *p, size_t size);
	void (*within)(struct bd_dev *dev, void *to, const void *from, size_t size); /* no overlap */
	void (*fill)(struct bd_dev *dev, void *p, int byte, size_t size);
	void *(*map)(struct bd_dev *dev, const void *host, size_t size);
	void (*unmap)(struct bd_dev *dev, void *p);
	void (*run)(struct bd_dev *dev, const struct bd_op *op, const void *operands);
	void (*wait)(struct bd_dev *dev);
	void (*close)(struct bd_dev *dev);
};

struct bd_dev {
	const struct bd_dev_calls *calls;
	struct bd_par *par; /* the host's threads, for what is done with host memory; borrowed */
	struct bd_scope
	    *scope; /* it was opened in (guard.h), or a service's: for what lives as long as the device */
};

/* The CPU: its memory is the host's; an operation runs on par's threads (NULL: one) with the loops of `kern`
 * (NULL: the best ones) and is done when the call returns. par must outlive it. */
struct bd_dev *bd_dev_cpu(struct bd_par *par, const struct bd_kern *kern);
struct bd_dev *bd_dev_threads(int threads); /* the same with threads of its own and the best kernels */
void bd_dev_close(struct bd_dev *dev);      /* NULL is fine */

/* n elements of `size` bytes, zeroed. */
void *bd_dev_alloc(struct bd_dev *dev, size_t n, size_t size);
void bd_dev_free(struct bd_dev *dev, const void *p); /* NULL is fine */
/* Room for n elements: p itself if *cap is enough, else new memory with a quarter to spare; then the contents
 * of p are lost. */
void *bd_dev_reach(struct bd_dev *dev, void *p, size_t *cap, size_t n, size_t size);
/* Places an arena in device memory, until bd_dev_arena_free. */
void bd_dev_arena_open(struct bd_dev *dev, struct bd_arena *a);
void bd_dev_arena_free(struct bd_dev *dev, struct bd_arena *a);

/* Copies of `size` bytes: from the host, to the host, within the device. If both addresses are the same,
 * nothing is done. */
void bd_dev_to(struct bd_dev *dev, void *p, const void *host, size_t size);
void bd_dev_from(struct bd_dev *dev, void *host, const void *p, size_t size);
void bd_dev_within(struct bd_dev *dev, void *to, const void *from, size_t size);
void bd_dev_fill(struct bd_dev *dev, void *p, int byte, size_t size);
/* Results for the host: p itself if the device's memory is the host's, else `copy`, a host block into which
 * the `size` bytes at p are copied. The host may overwrite what it gets. */
void *bd_dev_view(struct bd_dev *dev, void *p, void *copy, size_t size);
void *bd_dev_view_room(struct bd_dev *dev, size_t n, size_t size); /* such a block, NULL if none is needed */

/* The device's address for `size` bytes at `host`: that memory itself on a CPU, elsewhere a copy. For weights
 * mapped from files and for data read from streams. The host must not change or free that memory before
 * bd_dev_unmap; what the device has changed there is fetched by bd_dev_from(dev, host, address, size). */
void *bd_dev_map(struct bd_dev *dev, const void *host, size_t size);
void bd_dev_unmap(struct bd_dev *dev, const void *p); /* NULL is fine */

void bd_dev_run(struct bd_dev *dev, const struct bd_op *op, const void *operands);
void bd_dev_wait(struct bd_dev *dev);

/* ---- for the CPU's code of an operation ---- */

struct bd_cpu {
	struct bd_par *par;
	const struct bd_kern *kern;
	struct bd_scope **scope; /* the device's */
	struct bd_cpu_room {
		float *p;
		size_t n;
	} * slice, all; /* [threads], and one for the operation as a whole */
};

/* At least n floats, not initialised, valid until the next call for the same place: one place for each slice
 * of bd_par_for, and one for the operation as a whole. */
float *bd_cpu_scratch(struct bd_cpu *cpu, int slice, size_t n);
float *bd_cpu_shared(struct bd_cpu *cpu, size_t n);

/* bd_par_for with the CPU's threads: fn(cpu, operands, begin, end, slice) over [0, n). */
typedef void bd_cpu_fn(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice);
void bd_cpu_for(struct bd_cpu *cpu, size_t n, bd_cpu_fn *fn, const void *operands);
/* The same for results that do not depend on the slices: all on this thread if `work`, in multiplications,
 * takes no longer than to ask the others. */
void bd_cpu_for_work(struct bd_cpu *cpu, size_t n, size_t work, bd_cpu_fn *fn, const void *operands);

#endif
