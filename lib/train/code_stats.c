/* Statistics of the ternary codes of a net in training. */
#include "train/code_stats.h"

#include "base/mem.h"
#include "machine/quant.h"

#include <string.h>

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
	struct bd_code_stats c = {0};

	for (size_t i = 0; i < linears(net); i++)
		c.n += bytes_of(linear_at(net, i));
	c.p = bd_alloc(c.n, 1);
	for (size_t i = 0, at = 0; i < linears(net); at += bytes_of(linear_at(net, i++)))
		memcpy(c.p + at, linear_at(net, i)->codes, bytes_of(linear_at(net, i)));
	return c;
}

void bd_code_stats_free(struct bd_code_stats *c)
{
	bd_free(c->p);
	*c = (struct bd_code_stats){0};
}

/* 2-bit fields that differ. */
static uint64_t differ(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned x = a[i] ^ b[i];

		sum += (uint64_t)__builtin_popcount((x | x >> 1) & 0x55);
	}
	return sum;
}

struct look {
	struct bd_code_stats *c;
	const struct bd_net *net;
	struct part {
		size_t at;
		uint64_t flips, count[3];
	} * part; /* one for each linear */
};

static void look_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct look *k = ctx;

	(void)slice;
	for (size_t i = begin; i < end; i++) {
		const struct bd_linear *w = linear_at(k->net, i);
		struct part *p = &k->part[i];

		p->flips = differ(k->c->p + p->at, w->codes, bytes_of(w));
		bd_ternary_count(w->codes, w->out, w->in, p->count);
		memcpy(k->c->p + p->at, w->codes, bytes_of(w));
	}
}

void bd_code_stats_look(struct bd_code_stats *c, const struct bd_net *net, json_t *obj)
{
	size_t n = linears(net), at = 0;
	struct look k = {c, net, bd_zalloc(n + 1, sizeof(*k.part))};
	struct part all = {0};

	for (size_t i = 0; i < n; at += bytes_of(linear_at(net, i++)))
		k.part[i].at = at;
	bd_par_for(net->par, n, look_slice, &k);
	for (size_t i = 0; i < n; i++) {
		all.flips += k.part[i].flips;
		for (int j = 0; j < 3; j++)
			all.count[j] += k.part[i].count[j];
	}
	double total = (double)(all.count[0] + all.count[1] + all.count[2]);
	json_t *shares = json_array();
	for (int j = 0; j < 3; j++)
		json_array_append_new(shares, json_real((double)all.count[j] / total));
	json_object_set_new(obj, "codes", shares);
	json_object_set_new(obj, "flips", json_real((double)all.flips / total));
	bd_free(k.part);
}
