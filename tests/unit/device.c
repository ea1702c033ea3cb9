/* A device whose memory is locked between operations; its blocks come from one reserved range, first fit. And
 * one that is watched. */
#include "device.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/msg.h"

#define RANGE ((size_t)1 << 30) /* reserved; only what is used is resident */

struct block {
	size_t at, size; /* in bytes from the range's beginning */
	bool mapped;
	struct block *next;
};

struct locked {
	struct bd_dev dev;
	struct bd_dev *cpu;
	char *range;
	size_t end;          /* of the last block there ever was: beyond, all pages are untouched */
	struct block *first; /* live blocks in order of their place */
};

struct bd_dev *cpu(void)
{
	static struct bd_dev *one;

	if (one == NULL)
		one = bd_dev_cpu(NULL, NULL);
	return one;
}

static void protect(struct locked *l, int how)
{
	if (l->end > 0 && mprotect(l->range, l->end, how) != 0)
		bd_die(BD_SYS, "mprotect:");
}

static void unlock(struct locked *l)
{
	protect(l, PROT_READ | PROT_WRITE);
}

static void lock(struct locked *l)
{
	protect(l, PROT_NONE);
}

static void *alloc(struct bd_dev *dev, size_t size)
{
	struct locked *l = (struct locked *)dev;
	struct block **p = &l->first, *b = bd_alloc(1, sizeof(*b));
	size_t at = 0;

	size = (size + 64 + 63) / 64 * 64; /* a gap after every block */
	for (; *p != NULL && (*p)->at - at < size; p = &(*p)->next)
		at = (*p)->at + (*p)->size;
	if (size > RANGE - at)
		bd_die(BD_SYS, "out of memory: %zu bytes", size);
	*b = (struct block){at, size, false, *p};
	*p = b;
	l->end = at + size > l->end ? (at + size + 4095) / 4096 * 4096 : l->end;
	unlock(l);
	memset(l->range + at, 0, size);
	lock(l);
	return l->range + at;
}

static struct block **block_at(struct locked *l, const void *p)
{
	struct block **q = &l->first;

	while (*q != NULL && l->range + (*q)->at != (const char *)p)
		q = &(*q)->next;
	return q;
}

static void give_back(struct bd_dev *dev, void *p, bool mapped)
{
	struct block **q = block_at((struct locked *)dev, p), *b = *q;

	if (b == NULL || b->mapped != mapped)
		bd_die(BD_SYS, "memory is released twice, or that was never %s",
		       mapped ? "mapped" : "allocated");
	*q = b->next;
	bd_free(b);
}

static void release(struct bd_dev *dev, void *p)
{
	give_back(dev, p, false);
}

static void unmap(struct bd_dev *dev, void *p)
{
	give_back(dev, p, true);
}

static void copy(struct bd_dev *dev, void *to, const void *from, size_t size)
{
	unlock((struct locked *)dev);
	memcpy(to, from, size);
	lock((struct locked *)dev);
}

static void fill(struct bd_dev *dev, void *p, int byte, size_t size)
{
	unlock((struct locked *)dev);
	memset(p, byte, size);
	lock((struct locked *)dev);
}

static void *map(struct bd_dev *dev, const void *host, size_t size)
{
	void *p = alloc(dev, size);

	(*block_at((struct locked *)dev, p))->mapped = true;
	if (size > 0)
		copy(dev, p, host, size);
	return p;
}

static void run(struct bd_dev *dev, const struct bd_op *op, const void *operands)
{
	struct locked *l = (struct locked *)dev;

	unlock(l);
	bd_dev_run(l->cpu, op, operands);
	lock(l);
}

static void wait_for_all(struct bd_dev *dev)
{
	(void)dev;
}

static void close_locked(struct bd_dev *dev)
{
	struct locked *l = (struct locked *)dev;

	if (l->first != NULL)
		bd_die(BD_SYS, "%zu bytes of the device were not released", l->first->size);
	munmap(l->range, RANGE);
	bd_dev_close(l->cpu);
	bd_free(l);
}

struct bd_dev *locked_new(struct bd_par *par)
{
	static const struct bd_dev_calls calls = {
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
	    .close = close_locked,
	};
	struct locked *l = bd_zalloc(1, sizeof(*l));

	l->dev = (struct bd_dev){&calls, par, NULL};
	l->cpu = bd_dev_cpu(par, NULL);
	l->range = mmap(NULL, RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (l->range == MAP_FAILED)
		bd_die(BD_SYS, "mmap:");
	return &l->dev;
}

/* ---- watched ---- */

static const struct bd_dev_calls *unwatched; /* the CPU's */
static struct watcher *watcher;

static void run_watched(struct bd_dev *dev, const struct bd_op *op, const void *operands)
{
	unwatched->run(dev, op, operands);
	if (watcher->ran != NULL)
		watcher->ran(watcher, op, operands);
}

static void fetch_watched(struct bd_dev *dev, void *host, const void *p, size_t size)
{
	unwatched->from(dev, host, p, size);
	if (watcher->fetched != NULL)
		watcher->fetched(watcher, host, size);
}

struct bd_dev *watched_new(struct watcher *w)
{
	static struct bd_dev_calls calls;
	struct bd_dev *dev = bd_dev_threads(1);

	unwatched = cpu()->calls;
	watcher = w;
	calls = *unwatched;
	calls.run = run_watched;
	calls.from = fetch_watched;
	dev->calls = &calls;
	return dev;
}

/* ---- */

float *logits_of(struct bd_net *net, const uint32_t *ids, size_t T)
{
	size_t V = (size_t)net->cfg.vocab, n = T * V, start[2] = {0, T}, *row = bd_alloc(T, sizeof(*row));
	struct bd_batch b = {.n_seq = 1, .T = T, .start = start, .ids = (uint32_t *)(uintptr_t)ids};
	struct bd_acts *a = bd_acts_new(net, false);
	float *z = bd_alloc(n, sizeof(*z)), *dz = bd_dev_alloc(net->dev, n, sizeof(*dz));

	for (size_t i = 0; i < T; i++)
		row[i] = i;
	bd_net_logits(net, dz, bd_net_forward(net, a, &b, NULL), row, T, false);
	bd_dev_from(net->dev, z, dz, n * sizeof(*z));
	bd_dev_free(net->dev, dz);
	bd_acts_free(a);
	bd_free(row);
	return z;
}
