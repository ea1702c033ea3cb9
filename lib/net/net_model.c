#include "net/net_model.h"

#include "base/mem.h"
#include "machine/quant.h"
#include "net/net_parts.h"

static void fill_linear(struct bd_net *net, struct bd_linear *w, const float *master, bool train)
{
	w->w = w->master = master;
	if (!net->cfg.ternary)
		return;
	w->codes = bd_net_keep(net, NULL, bd_mul(w->out, bd_ternary_stride(w->in)));
	w->w = train ? bd_net_keep(net, NULL, bd_mul(bd_mul(w->out, w->in), sizeof(float))) : NULL;
}

struct bd_net *bd_net_from_model(const struct bd_model *m, struct bd_dev *dev, bool train)
{
	struct bd_net *net = bd_net_new(&m->cfg, dev);
	struct bd_part *part;
	size_t n;

	net->params = (float *)(uintptr_t)bd_net_map(net, m->data, m->n * sizeof(float));
	part = bd_net_parts(net, &n);
	for (size_t i = 0; i < n; i++) {
		const struct bd_part *p = &part[i];
		const float *data = net->params + bd_model_param(m, p->slot, p->layer)->off;

		if (p->kind == BD_KIND_TABLE)
			*p->table = (struct bd_table){BD_GGML_F32, p->rows, p->cols, data};
		else if (p->kind == BD_KIND_LINEAR)
			fill_linear(net, p->linear, data, train);
		else
			*p->vector = data;
	}
	bd_free(part);
	if (net->cfg.tied)
		net->head = net->embed;
	bd_net_refresh(net);
	return net;
}
