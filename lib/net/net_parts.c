/* Where the slots of the model table lie in a net. */
#include "net/net_parts.h"

#include "base/mem.h"

static struct bd_part part_of(struct bd_net *net, enum bd_slot s, int layer)
{
	struct bd_part p = {.slot = s, .layer = layer, .kind = bd_slot_info(s)->kind};
	struct bd_block *b = layer >= 0 ? &net->block[layer] : NULL;

	bd_slot_shape(&net->cfg, s, &p.rows, &p.cols);
	if (s == BD_EMBED)
		p.table = &net->embed;
	else if (s == BD_HEAD)
		p.table = &net->head;
	else if (s == BD_FINAL_NORM)
		p.vector = &net->final_norm;
	else if (s == BD_ATTN_NORM)
		p.vector = &b->attn_norm;
	else if (s == BD_FFN_NORM)
		p.vector = &b->ffn_norm;
	else if (s == BD_ATTN_POST)
		p.vector = &b->attn_post;
	else if (s == BD_FFN_POST)
		p.vector = &b->ffn_post;
	else if (s == BD_Q_NORM)
		p.vector = &b->q_norm;
	else if (s == BD_K_NORM)
		p.vector = &b->k_norm;
	else if (s < BD_SUBLN)
		p.linear = &b->lin[s - BD_W];
	else if (s < BD_BIAS)
		p.vector = &b->lin[s - BD_SUBLN].gain;
	else
		p.vector = &b->lin[s - BD_BIAS].bias;
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
