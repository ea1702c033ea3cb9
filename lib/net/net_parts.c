/* Where a net keeps the slots of the model table. */
#include "net/net_parts.h"

#include "base/mem.h"

#include <stddef.h>

/* In the net, and of per-layer slots in their block; those of linears are found by place_of. */
static const size_t places[BD_SLOTS] = {
    [BD_EMBED] = offsetof(struct bd_net, embed),
    [BD_FINAL_NORM] = offsetof(struct bd_net, final_norm),
    [BD_HEAD] = offsetof(struct bd_net, head),
    [BD_ATTN_NORM] = offsetof(struct bd_block, attn_norm),
    [BD_FFN_NORM] = offsetof(struct bd_block, ffn_norm),
    [BD_ATTN_POST] = offsetof(struct bd_block, attn_post),
    [BD_FFN_POST] = offsetof(struct bd_block, ffn_post),
    [BD_Q_NORM] = offsetof(struct bd_block, q_norm),
    [BD_K_NORM] = offsetof(struct bd_block, k_norm),
};

static void *place_of(struct bd_net *net, enum bd_slot s, int layer)
{
	if (s >= BD_W && s < BD_FINAL_NORM) {
		struct bd_linear *w = &net->block[layer].lin[(s - BD_W) % BD_LINS];

		return s < BD_SUBLN ? (void *)w : s < BD_BIAS ? (void *)&w->gain : (void *)&w->bias;
	}
	return (layer >= 0 ? (char *)&net->block[layer] : (char *)net) + places[s];
}

static struct bd_part part_of(struct bd_net *net, enum bd_slot s, int layer)
{
	struct bd_part p = {.slot = s, .layer = layer, .kind = bd_slot_info(s)->kind};
	void *place = place_of(net, s, layer);

	bd_slot_shape(&net->cfg, s, &p.rows, &p.cols);
	if (p.kind == BD_KIND_TABLE)
		p.table = place;
	else if (p.kind == BD_KIND_LINEAR)
		p.linear = place;
	else
		p.vector = place;
	return p;
}

const void *bd_part_data(const struct bd_part *p)
{
	if (p->kind == BD_KIND_TABLE)
		return p->table->p;
	return p->kind == BD_KIND_LINEAR ? (const void *)p->linear->codes : *p->vector;
}

struct bd_part *bd_net_parts(struct bd_net *net, size_t *n)
{
	struct bd_part *p = bd_alloc(bd_add(2, bd_mul((size_t)net->cfg.layers + 1, BD_SLOTS)), sizeof(*p));

	*n = 0;
	p[(*n)++] = part_of(net, BD_EMBED, -1);
	for (int l = 0; l < net->cfg.layers; l++)
		for (int s = 0; s < BD_SLOTS; s++)
			if (bd_slot_info((enum bd_slot)s)->per_layer &&
			    bd_slot_exists(&net->cfg, (enum bd_slot)s))
				p[(*n)++] = part_of(net, (enum bd_slot)s, l);
	p[(*n)++] = part_of(net, BD_FINAL_NORM, -1);
	if (bd_slot_exists(&net->cfg, BD_HEAD))
		p[(*n)++] = part_of(net, BD_HEAD, -1);
	return p;
}
