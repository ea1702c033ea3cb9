/* The CPU as a device: memory is the host's own, and every call is done when it returns. */
#include "machine/dev.h"

#include <stdint.h>
#include <string.h>

#include "base/guard.h"

struct device {
	struct bd_dev dev; /* first, so that a bd_dev of the CPU can be cast to this */
	struct bd_cpu cpu;
	struct bd_par *own; /* par if it is to be freed with the device, else NULL */
};

/* ---- memory ---- */

/* Precedes every block. Large blocks have pages of their own, which are zeroed, and resident only once they
 * are used. */
struct block {
	size_t pages; /* bytes mapped; 0: from the heap */
	char pad[64 - sizeof(size_t)];
};
enum { LARGE = 1 << 20 };

static void *alloc(struct bd_dev *dev, size_t size)
{
	size_t total = bd_add(size, sizeof(struct block));
	struct block *b;

	(void)dev;
	if (total < LARGE) {
		b = bd_zalloc(total, 1);
		return b + 1;
	}
	b = bd_pages(total);
	b->pages = total;
	return b + 1;
}

static void release(struct bd_dev *dev, void *p)
{
	struct block *b = (struct block *)p - 1;

	(void)dev;
	if (b->pages > 0)
		bd_pages_free(b, b->pages);
	else
		bd_free(b);
}

static void copy(struct bd_dev *dev, void *to, const void *from, size_t size)
{
	(void)dev;
	memcpy(to, from, size);
}

static void fill(struct bd_dev *dev, void *p, int byte, size_t size)
{
	(void)dev;
	memset(p, byte, size);
}

static void *map(struct bd_dev *dev, const void *host, size_t size)
{
	(void)dev, (void)size;
	return (void *)(uintptr_t)host;
}

static void unmap(struct bd_dev *dev, void *p)
{
	(void)dev, (void)p;
}

/* ---- operations ---- */

static void run(struct bd_dev *dev, const struct bd_op *op, const void *operands)
{
	op->cpu(&((struct device *)dev)->cpu, operands);
}

static void wait_for_all(struct bd_dev *dev)
{
	(void)dev;
}

static float *reach(struct bd_cpu *cpu, struct bd_cpu_room *s, size_t n)
{
	if (n > s->n) {
		struct bd_scope *before = bd_guard_into(*cpu->scope);
		float *p = bd_alloc(n, sizeof(*p));

		bd_free(s->p);
		*s = (struct bd_cpu_room){p, n};
		bd_guard_into(before);
	}
	return s->p;
}

float *bd_cpu_scratch(struct bd_cpu *cpu, int slice, size_t n)
{
	return reach(cpu, &cpu->slice[slice], n);
}

float *bd_cpu_shared(struct bd_cpu *cpu, size_t n)
{
	return reach(cpu, &cpu->all, n);
}

struct slices {
	struct bd_cpu *cpu;
	bd_cpu_fn *fn;
	const void *operands;
};

static void run_slice(void *ctx, size_t begin, size_t end, int slice)
{
	const struct slices *s = ctx;

	s->fn(s->cpu, s->operands, begin, end, slice);
}

void bd_cpu_for(struct bd_cpu *cpu, size_t n, bd_cpu_fn *fn, const void *operands)
{
	if (n == 1)
		fn(cpu, operands, 0, 1, 0);
	else
		bd_par_for(cpu->par, n, run_slice, &(struct slices){cpu, fn, operands});
}

void bd_cpu_for_work(struct bd_cpu *cpu, size_t n, size_t work, bd_cpu_fn *fn, const void *operands)
{
	enum { SMALL = 1 << 15 }; /* some microseconds */

	if (work < SMALL)
		fn(cpu, operands, 0, n, 0);
	else
		bd_cpu_for(cpu, n, fn, operands);
}

static void close_cpu(struct bd_dev *dev)
{
	struct device *d = (struct device *)dev;
	struct bd_cpu *cpu = &d->cpu;

	for (int i = 0; i < bd_par_threads(cpu->par); i++)
		bd_free(cpu->slice[i].p);
	bd_free(cpu->slice);
	bd_free(cpu->all.p);
	bd_par_free(d->own);
	bd_free(d);
}

struct bd_dev *bd_dev_cpu(struct bd_par *par, const struct bd_kern *kern)
{
	static const struct bd_dev_calls calls = {
	    .host = true,
	    .alloc = alloc,
	    .release = release,
	    .to = copy,
	    .from = copy,
	    .within = copy,
	    .fill = fill,
	    .map = map,
	    .unmap = unmap,
	    .run = run,
	    .wait = wait_for_all,
	    .close = close_cpu,
	};
	struct device *d = bd_zalloc(1, sizeof(*d));

	d->dev = (struct bd_dev){&calls, par, bd_guard_scope()};
	d->cpu.par = par;
	d->cpu.scope = &d->dev.scope;
	d->cpu.kern = kern != NULL ? kern : bd_kern();
	d->cpu.slice = bd_zalloc((size_t)bd_par_threads(par), sizeof(*d->cpu.slice));
	return &d->dev;
}

struct bd_dev *bd_dev_threads(int threads)
{
	struct bd_par *par = bd_par_new(threads);
	struct bd_dev *dev = bd_dev_cpu(par, NULL);

	((struct device *)dev)->own = par;
	return dev;
}
