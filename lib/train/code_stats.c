/* Statistics of the ternary codes of a net in training. */
#include "train/code_stats.h"

#include "base/mem.h"
#include "math/op_linear.h"
#include "machine/quant.h"

static const struct bd_linear *linear_at(const struct bd_net *net, size_t i)
{
	return &net->block[i / BD_LINS].lin[i % BD_LINS];
}

static size_t linears(const struct bd_net *net)
{
	return net->cfg.ternary ? (size_t)net->cfg.layers * BD_LINS : 0;
}

static size_t bytes_of(const struct bd_linear *w)
{
	return w->out * bd_ternary_stride(w->in);
}

struct bd_code_stats bd_code_stats_new(const struct bd_net *net)
{
	struct bd_code_stats c = {.dev = net->dev};

	for (size_t i = 0; i < linears(net); i++)
		c.n += bytes_of(linear_at(net, i));
	c.p = bd_dev_alloc(c.dev, c.n, 1);
	for (size_t i = 0, at = 0; i < linears(net); at += bytes_of(linear_at(net, i++)))
		bd_dev_within(c.dev, c.p + at, linear_at(net, i)->codes, bytes_of(linear_at(net, i)));
	return c;
}

void bd_code_stats_free(struct bd_code_stats *c)
{
	if (c->dev != NULL)
		bd_dev_free(c->dev, c->p);
	*c = (struct bd_code_stats){0};
}

/* All linears; caller frees. */
static struct bd_code_change *changes(const struct bd_code_stats *c, const struct bd_net *net)
{
	size_t n = linears(net), at = 0;
	struct bd_code_change *x = bd_alloc(n, sizeof(*x));

	for (size_t i = 0; i < n; at += bytes_of(linear_at(net, i++)))
		x[i] = (struct bd_code_change){.before = c->p + at,
		                               .codes = linear_at(net, i)->codes,
		                               .N = linear_at(net, i)->out,
		                               .K = linear_at(net, i)->in};
	return x;
}

void bd_code_stats_look(struct bd_code_stats *c, const struct bd_net *net, json_t *obj)
{
	struct bd_code_change *x = changes(c, net);
	uint64_t flips = 0, count[3] = {0};
	json_t *shares = json_array();
	double total;

	bd_code_look(c->dev, &(struct bd_code_changes){x, linears(net)});
	bd_dev_wait(c->dev);
	for (size_t i = 0; i < linears(net); i++) {
		flips += x[i].flips;
		for (int j = 0; j < 3; j++)
			count[j] += x[i].count[j];
	}
	total = (double)(count[0] + count[1] + count[2]);
	for (int j = 0; j < 3; j++)
		json_array_append_new(shares, json_real((double)count[j] / total));
	json_object_set_new(obj, "codes", shares);
	json_object_set_new(obj, "flips", json_real((double)flips / total));
	bd_free(x);
}
