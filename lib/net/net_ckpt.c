#include "net/net_ckpt.h"

#include "base/mem.h"
#include "format/finite.h"
#include "machine/quant.h"
#include "net/net_parts.h"

#include <string.h>

/* The numbers of a tensor as they are stored, if they are floats of two bytes; else as f32. */
static const void *stored(struct bd_net *net, const struct bd_st_tensor *t, enum bd_ggml_type *type)
{
	bool half = (t->dtype == BD_F16 || t->dtype == BD_BF16) && (uintptr_t)t->data % sizeof(uint16_t) == 0;
	float *copy = NULL;
	const float *x;
	const void *p;

	bd_st_check_finite(t, net->dev->par);
	*type = !half ? BD_GGML_F32 : t->dtype == BD_F16 ? BD_GGML_F16 : BD_GGML_BF16;
	if (half)
		return bd_net_map(net, t->data, t->bytes);
	x = bd_st_floats(t, &copy);
	p = copy != NULL ? bd_net_keep(net, copy, t->count * sizeof(*x))
	                 : bd_net_map(net, x, t->count * sizeof(*x));
	bd_free(copy);
	return p;
}

static void fill_table(struct bd_net *net, const struct bd_part *p, const struct bd_st_tensor *t)
{
	*p->table = (struct bd_table){.rows = p->rows, .cols = p->cols};
	p->table->p = stored(net, t, &p->table->type);
}

static void fill_dense(struct bd_net *net, const struct bd_part *p, const struct bd_st_tensor *t)
{
	enum bd_ggml_type type;
	const void *w = stored(net, t, &type);

	p->linear->in = p->cols;
	p->linear->out = p->rows;
	p->linear->w = type == BD_GGML_F32 ? w : NULL;
	p->linear->half = type == BD_GGML_F32 ? NULL : w;
	p->linear->bf16 = type == BD_GGML_BF16;
}

static void fill_linear(struct bd_net *net, const struct bd_part *p, const struct bd_ckpt *k)
{
	size_t size = bd_mul(p->rows, bd_ternary_stride(p->cols));
	uint8_t *codes = bd_alloc(size, 1);

	p->linear->in = p->cols;
	p->linear->out = p->rows;
	p->linear->scale = bd_ckpt_ternary(k, p->slot, p->layer, codes);
	p->linear->codes = bd_net_keep(net, codes, size);
	bd_free(codes);
}

static void fill_vector(struct bd_net *net, const struct bd_part *p, const struct bd_ckpt *k)
{
	float *v = bd_alloc(p->cols, sizeof(*v));

	bd_ckpt_vector(k, p->slot, p->layer, v);
	*p->vector = bd_net_keep(net, v, p->cols * sizeof(*v));
	bd_free(v);
}

static void close_ckpt(void *k)
{
	bd_ckpt_close(k);
}

struct bd_net *bd_net_from_ckpt(struct bd_ckpt *k, struct bd_dev *dev, bool ternary)
{
	struct bd_config c = bd_config_copy(bd_ckpt_config(k));
	struct bd_part *part;
	struct bd_net *net;
	size_t n;

	c.ternary |= ternary;
	ternary = c.ternary;
	net = bd_net_new(&c, dev);
	bd_config_free(&c);
	part = bd_net_parts(net, &n);
	for (size_t i = 0; i < n; i++) {
		if (part[i].kind == BD_KIND_TABLE)
			fill_table(net, &part[i], bd_ckpt_tensor(k, part[i].slot, part[i].layer));
		else if (part[i].kind == BD_KIND_LINEAR && ternary)
			fill_linear(net, &part[i], k);
		else if (part[i].kind == BD_KIND_LINEAR)
			fill_dense(net, &part[i], bd_ckpt_tensor(k, part[i].slot, part[i].layer));
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
