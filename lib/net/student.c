/* Where the slots of the model table lie in a net, and filling a ternary net from a checkpoint. */
#include "net/student.h"

#include "base/mem.h"
#include "machine/quant.h"

#include <string.h>

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

/* ---- from a checkpoint ---- */

static void fill_table(struct bd_net *net, const struct bd_part *p, const struct bd_st_tensor *t)
{
	bool half = t->dtype == BD_F16 || (t->dtype == BD_BF16 && p->cols <= BD_TABLE_COLS);
	float *copy = NULL;

	*p->table = (struct bd_table){.type = BD_GGML_F32, .rows = p->rows, .cols = p->cols};
	if (half && (uintptr_t)t->data % sizeof(uint16_t) == 0) {
		p->table->type = t->dtype == BD_F16 ? BD_GGML_F16 : BD_GGML_BF16;
		p->table->p = t->data;
	} else {
		p->table->p = bd_st_floats(t, &copy);
	}
	if (copy != NULL)
		bd_net_own(net, copy);
}

static void fill_linear(struct bd_net *net, const struct bd_part *p, const struct bd_ckpt *k)
{
	uint8_t *codes = bd_net_own(net, bd_alloc(bd_mul(p->rows, bd_ternary_stride(p->cols)), 1));

	p->linear->in = p->cols;
	p->linear->out = p->rows;
	p->linear->codes = codes;
	p->linear->scale = bd_ckpt_ternary(k, p->slot, p->layer, codes);
}

static void fill_vector(struct bd_net *net, const struct bd_part *p, const struct bd_ckpt *k)
{
	float *v = bd_alloc(p->cols, sizeof(*v));

	bd_ckpt_vector(k, p->slot, p->layer, v);
	*p->vector = bd_net_own(net, v);
}

static void close_ckpt(void *k)
{
	bd_ckpt_close(k);
}

struct bd_net *bd_student_open(struct bd_ckpt *k, struct bd_par *par)
{
	struct bd_config c = bd_config_copy(bd_ckpt_config(k));
	struct bd_part *part;
	struct bd_net *net;
	size_t n;

	c.ternary = true;
	net = bd_net_new(&c, par);
	bd_config_free(&c);
	part = bd_net_parts(net, &n);
	for (size_t i = 0; i < n; i++) {
		if (part[i].kind == BD_KIND_TABLE)
			fill_table(net, &part[i], bd_ckpt_tensor(k, part[i].slot, part[i].layer));
		else if (part[i].kind == BD_KIND_LINEAR)
			fill_linear(net, &part[i], k);
		else
			fill_vector(net, &part[i], k);
	}
	bd_free(part);
	if (net->cfg.tied)
		net->head = net->embed;
	net->release = close_ckpt;
	net->release_arg = k;
	return net;
}
