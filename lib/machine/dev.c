/* What the calls of all devices have in common. */
#include "machine/dev.h"

#include <stdint.h>

void *bd_dev_alloc(struct bd_dev *dev, size_t n, size_t size)
{
	return dev->calls->alloc(dev, bd_mul(n, size));
}

void bd_dev_free(struct bd_dev *dev, const void *p)
{
	if (p != NULL)
		dev->calls->release(dev, (void *)(uintptr_t)p);
}

void *bd_dev_reach(struct bd_dev *dev, void *p, size_t *cap, size_t n, size_t size)
{
	void *fresh;

	if (n <= *cap)
		return p;
	n += n / 4;
	fresh = bd_dev_alloc(dev, n, size); /* before the old one goes: it may fail under a guard */
	bd_dev_free(dev, p);
	*cap = n;
	return fresh;
}

void bd_dev_arena_open(struct bd_dev *dev, struct bd_arena *a)
{
	bd_arena_place(a, bd_dev_alloc(dev, a->n, 1));
}

void bd_dev_arena_free(struct bd_dev *dev, struct bd_arena *a)
{
	bd_dev_free(dev, bd_arena_leave(a));
}

void bd_dev_to(struct bd_dev *dev, void *p, const void *host, size_t size)
{
	if (p != host && size > 0)
		dev->calls->to(dev, p, host, size);
}

void bd_dev_from(struct bd_dev *dev, void *host, const void *p, size_t size)
{
	if (p != host && size > 0)
		dev->calls->from(dev, host, p, size);
}

void bd_dev_within(struct bd_dev *dev, void *to, const void *from, size_t size)
{
	if (to != from && size > 0)
		dev->calls->within(dev, to, from, size);
}

void bd_dev_fill(struct bd_dev *dev, void *p, int byte, size_t size)
{
	if (size > 0)
		dev->calls->fill(dev, p, byte, size);
}

void *bd_dev_view(struct bd_dev *dev, void *p, void *copy, size_t size)
{
	if (dev->calls->host)
		return p;
	bd_dev_from(dev, copy, p, size);
	return copy;
}

void *bd_dev_view_room(struct bd_dev *dev, size_t n, size_t size)
{
	return dev->calls->host ? NULL : bd_alloc(n, size);
}

void *bd_dev_map(struct bd_dev *dev, const void *host, size_t size)
{
	return dev->calls->map(dev, host, size);
}

void bd_dev_unmap(struct bd_dev *dev, const void *p)
{
	if (p != NULL)
		dev->calls->unmap(dev, (void *)(uintptr_t)p);
}

void bd_dev_run(struct bd_dev *dev, const struct bd_op *op, const void *operands)
{
	dev->calls->run(dev, op, operands);
}

void bd_dev_wait(struct bd_dev *dev)
{
	dev->calls->wait(dev);
}

void bd_dev_close(struct bd_dev *dev)
{
	if (dev != NULL)
		dev->calls->close(dev);
}
