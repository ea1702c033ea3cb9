#include "text/ids.h"

#include "base/mem.h"

#include <string.h>

void bd_ids_push(struct bd_ids *v, uint32_t id)
{
	if (v->n == v->cap) {
		v->cap = v->cap ? 2 * v->cap : 64;
		v->id = bd_resize(v->id, v->n, v->cap, sizeof(*v->id));
	}
	v->id[v->n++] = id;
}

void bd_ids_free(struct bd_ids *v)
{
	bd_free(v->id);
	memset(v, 0, sizeof(*v));
}
