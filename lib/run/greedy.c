/* Greedy continuations: the prompts run as one batch, then every step runs one token of each unfinished
 * one. */
#include "run/greedy.h"

#include "base/mem.h"
#include "base/msg.h"

#include <string.h>

/* The unfinished ones: who[n], with caches. */
struct going {
	struct bd_net *net;
	struct bd_acts *acts;
	struct bd_greedy **who; /* [n] */
	struct bd_kv **kv;      /* [n] */
	size_t n, *start, *row; /* [n + 1], [n] */
	uint32_t *next;         /* [n] */
	float *z, *copy;        /* [n,V] the device's, and what bd_dev_view needs */
};

static uint32_t likeliest(const float *z, size_t V)
{
	size_t best = 0;

	for (size_t i = 1; i < V; i++)
		best = z[i] > z[best] ? i : best;
	return (uint32_t)best;
}

/* Runs ids, of which start[i]..start[i+1] are those of who[i], and sets next[n]. */
static void run(struct going *a, uint32_t *ids)
{
	struct bd_batch b = {.n_seq = a->n, .T = a->start[a->n], .start = a->start, .ids = ids};
	size_t V = (size_t)a->net->cfg.vocab;
	const float *h = bd_net_forward(a->net, a->acts, &b, a->kv); /* [T,C] */
	float *z;

	for (size_t i = 0; i < a->n; i++)
		a->row[i] = a->start[i + 1] - 1;
	bd_net_logits(a->net, a->z, h, a->row, a->n, false);
	z = bd_net_view(a->net, a->z, a->copy, a->n, V);
	for (size_t i = 0; i < a->n; i++)
		a->next[i] = likeliest(z + i * V, V);
}

static void prefill(struct going *a)
{
	uint32_t *ids;

	a->start[0] = 0;
	for (size_t i = 0; i < a->n; i++)
		a->start[i + 1] = a->start[i] + a->who[i]->n;
	ids = bd_alloc(a->start[a->n], sizeof(*ids));
	for (size_t i = 0; i < a->n; i++)
		memcpy(ids + a->start[i], a->who[i]->prompt, a->who[i]->n * sizeof(*ids));
	run(a, ids);
	bd_free(ids);
}

/* Takes the tokens next[n]; those that are finished drop out. */
static void take(struct going *a)
{
	size_t left = 0;

	for (size_t i = 0; i < a->n; i++) {
		struct bd_greedy *g = a->who[i];

		g->end = bd_special_ends(&a->net->cfg.special, a->next[i]);
		if (!g->end)
			bd_ids_push(&g->ids, a->next[i]);
		if (g->end || --g->max == 0) {
			bd_kv_free(a->kv[i]);
			continue;
		}
		a->who[left] = g;
		a->kv[left] = a->kv[i];
		a->next[left++] = a->next[i];
	}
	a->n = left;
}

static void step(struct going *a)
{
	for (size_t i = 0; i <= a->n; i++)
		a->start[i] = i;
	uint32_t *ids = bd_alloc(a->n, sizeof(*ids));
	memcpy(ids, a->next, a->n * sizeof(*ids));
	run(a, ids);
	bd_free(ids);
}

void bd_greedy(struct bd_net *net, struct bd_acts *acts, struct bd_greedy *g, size_t n)
{
	size_t V = (size_t)net->cfg.vocab, context = (size_t)net->cfg.context;
	struct going a = {.net = net, .acts = acts};

	a.who = bd_alloc(n, sizeof(*a.who));
	a.kv = bd_alloc(n, sizeof(*a.kv));
	a.start = bd_alloc(n + 1, sizeof(*a.start));
	a.row = bd_alloc(n, sizeof(*a.row));
	a.next = bd_alloc(n, sizeof(*a.next));
	a.z = bd_dev_alloc(net->dev, bd_mul(n, V), sizeof(*a.z));
	a.copy = bd_dev_view_room(net->dev, bd_mul(n, V), sizeof(*a.z));
	for (size_t i = 0; i < n; i++) {
		if (g[i].max == 0)
			continue;
		if (g[i].n + g[i].max > context)
			bd_die(BD_DATA,
			       "a prompt of %zu tokens and %zu new ones exceed the model's context of %zu",
			       g[i].n, g[i].max, context);
		a.kv[a.n] = bd_kv_new(net, g[i].n + g[i].max);
		a.who[a.n++] = &g[i];
	}
	if (a.n > 0)
		prefill(&a);
	while (a.n > 0) {
		take(&a);
		if (a.n > 0)
			step(&a);
	}
	bd_free(a.who);
	bd_free(a.kv);
	bd_free(a.start);
	bd_free(a.row);
	bd_free(a.next);
	bd_dev_free(net->dev, a.z);
	bd_free(a.copy);
}
