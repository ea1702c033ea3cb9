#include "run/labels.h"

#include "base/mem.h"
#include "net/net.h"

#include <string.h>

struct bd_labels {
	struct bd_infer *m;
	struct bd_acts *acts;
	struct bd_ids begin; /* the tokens in `shared` */
	struct bd_kv *shared;
	float *z, *copy; /* [z_n] the device's logits, and what bd_dev_view needs */
	size_t z_n;
};

struct bd_labels *bd_labels_new(struct bd_infer *m)
{
	struct bd_labels *l = bd_zalloc(1, sizeof(*l));

	l->m = m;
	l->acts = bd_acts_new(m->net, false);
	return l;
}

static void forget(struct bd_labels *l)
{
	bd_kv_free(l->shared);
	l->shared = NULL;
	l->begin.n = 0;
}

void bd_labels_free(struct bd_labels *l)
{
	if (l == NULL)
		return;
	forget(l);
	bd_ids_free(&l->begin);
	bd_acts_free(l->acts);
	bd_dev_free(l->m->net->dev, l->z);
	bd_free(l->copy);
	bd_free(l);
}

/* ---- what prompts begin with ---- */

/* Tokens that a and b both begin with. */
static size_t common(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
	size_t i = 0;

	while (i < n && i < m && a[i] == b[i])
		i++;
	return i;
}

/* The tokens that all begin with; each keeps one of its own. */
static size_t beginning(const struct bd_ids *prompt, size_t n)
{
	size_t all = prompt[0].n - 1;

	for (size_t i = 1; i < n; i++)
		all = common(prompt[0].id, all, prompt[i].id, prompt[i].n - 1);
	return all;
}

/* Computes id[n] for all prompts to come. */
static void share(struct bd_labels *l, const uint32_t *id, size_t n)
{
	size_t start[2] = {0, n};
	struct bd_batch b = {.n_seq = 1, .T = n, .start = start, .ids = (uint32_t *)(uintptr_t)id};

	forget(l);
	if (n == 0)
		return;
	l->shared = bd_kv_new(l->m->net, n);
	bd_net_forward(l->m->net, l->acts, &b, &l->shared);
	for (size_t i = 0; i < n; i++)
		bd_ids_push(&l->begin, id[i]);
}

/* Shares what the prompts begin with. What was shared before is kept as far as it goes: it is what a task's
 * prompts have in common, and more is so by chance. A single prompt shares nothing new. */
static void prepare(struct bd_labels *l, const struct bd_ids *prompt, size_t n)
{
	size_t all = beginning(prompt, n), known = common(prompt[0].id, all, l->begin.id, l->begin.n);

	if (l->begin.n > 0 && known > 0)
		l->begin.n = l->shared->n = known;
	else if (n > 1)
		share(l, prompt[0].id, all);
	else
		forget(l);
}

/* ---- the rest ---- */

static float *room(struct bd_labels *l, size_t n)
{
	struct bd_dev *dev = l->m->net->dev;

	if (n > l->z_n) {
		bd_dev_free(dev, l->z);
		bd_free(l->copy);
		l->z = bd_dev_alloc(dev, n, sizeof(*l->z));
		l->copy = bd_dev_view_room(dev, n, sizeof(*l->z));
		l->z_n = n;
	}
	return l->z;
}

void bd_labels_run(struct bd_labels *l, const struct bd_ids *prompt, size_t n, double *p, size_t *best)
{
	struct bd_net *net = l->m->net;
	size_t K = l->m->n_choice, *start = bd_alloc(n + 1, sizeof(*start)),
	       *last = bd_alloc(n, sizeof(*last)), skip;
	struct bd_batch b = {.n_seq = n, .start = start};
	const float *h;
	float *z;

	prepare(l, prompt, n);
	b.shared = l->shared;
	skip = l->begin.n;
	start[0] = 0;
	for (size_t i = 0; i < n; i++) {
		b.T = start[i + 1] = start[i] + prompt[i].n - skip;
		last[i] = b.T - 1;
	}
	b.ids = bd_alloc(b.T, sizeof(*b.ids));
	for (size_t i = 0; i < n; i++)
		memcpy(b.ids + start[i], prompt[i].id + skip, (prompt[i].n - skip) * sizeof(*b.ids));
	h = bd_net_forward(net, l->acts, &b, NULL); /* [T,C] */
	z = room(l, bd_mul(n, K));
	bd_net_logits_of(net, z, h, last, n, l->m->choice, K);
	z = bd_net_view(net, z, l->copy, n, K);
	for (size_t i = 0; i < n; i++)
		best[i] = bd_infer_choose(z + i * K, NULL, K, p + i * K);
	bd_free(b.ids);
	bd_free(start);
	bd_free(last);
}
