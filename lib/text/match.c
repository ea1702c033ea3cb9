/* The automaton of Aho and Corasick (CACM 18(6), 1975) over the reversed strings, which reads the text from
 * its end: what it knows at a place is the longest string that begins there. */
#include "text/match.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

enum { ROOT = 0 };
#define NONE UINT32_MAX

struct node {
	uint32_t parent, depth;
	uint32_t fail; /* the longest proper beginning of what was read that is in the tree, too */
	uint32_t best; /* the longest string that what was read ends with; NONE */
	unsigned char byte;
};

struct edge {
	uint64_t key; /* node << 8 | byte */
	uint32_t to;  /* ROOT: free */
};

struct bd_match {
	struct node *node;
	uint32_t nodes;
	struct edge *edge; /* a hash table */
	size_t edges;      /* a power of two */
	uint64_t key;      /* of the hash */
	uint32_t first[256];
};

static struct edge *edge(const struct bd_match *m, uint32_t from, unsigned char byte)
{
	uint64_t key = (uint64_t)from << 8 | byte;

	for (size_t i = (size_t)bd_hash_pair(key, m->key);; i++) {
		struct edge *e = &m->edge[i & (m->edges - 1)];

		if (e->to == ROOT || e->key == key)
			return e;
	}
}

static uint32_t next(const struct bd_match *m, uint32_t state, unsigned char byte)
{
	while (state != ROOT) {
		uint32_t to = edge(m, state, byte)->to;

		if (to != ROOT)
			return to;
		state = m->node[state].fail;
	}
	return m->first[byte];
}

static void add(struct bd_match *m, const char *s, size_t n, uint32_t which)
{
	uint32_t at = ROOT;

	while (n-- > 0) {
		struct edge *e = edge(m, at, (unsigned char)s[n]);

		if (e->to == ROOT) {
			*e = (struct edge){(uint64_t)at << 8 | (unsigned char)s[n], m->nodes};
			m->node[m->nodes++] =
			    (struct node){at, m->node[at].depth + 1, ROOT, NONE, (unsigned char)s[n]};
		}
		if (at == ROOT)
			m->first[(unsigned char)s[n]] = e->to;
		at = e->to;
	}
	if (m->node[at].best == NONE)
		m->node[at].best = which;
}

/* The nodes but the root, by depth: caller frees. */
static uint32_t *by_depth(const struct bd_match *m, size_t deepest)
{
	uint32_t *order = bd_alloc(m->nodes, sizeof(*order)), *at = bd_zalloc(deepest + 2, sizeof(*at));

	for (uint32_t i = 1; i < m->nodes; i++)
		at[m->node[i].depth + 1]++;
	for (size_t d = 1; d <= deepest + 1; d++)
		at[d] += at[d - 1];
	for (uint32_t i = 1; i < m->nodes; i++)
		order[at[m->node[i].depth]++] = i;
	bd_free(at);
	return order;
}

static void link_nodes(struct bd_match *m, size_t deepest)
{
	uint32_t *order = by_depth(m, deepest);

	for (uint32_t i = 0; i + 1 < m->nodes; i++) {
		struct node *v = &m->node[order[i]];

		if (v->parent != ROOT)
			v->fail = next(m, m->node[v->parent].fail, v->byte);
		if (v->best == NONE)
			v->best = m->node[v->fail].best;
	}
	bd_free(order);
}

struct bd_match *bd_match_new(const char *const *string, const size_t *len, size_t n)
{
	struct bd_match *m = bd_zalloc(1, sizeof(*m));
	size_t bytes = 0, deepest = 0;

	m->key = bd_hash_key();
	for (size_t i = 0; i < n; i++) {
		bytes = bd_add(bytes, len[i]);
		deepest = len[i] > deepest ? len[i] : deepest;
	}
	m->node = bd_alloc(bytes + 1, sizeof(*m->node));
	m->node[m->nodes++] = (struct node){.best = NONE};
	for (m->edges = 16; m->edges < bytes + bytes / 2;)
		m->edges *= 2;
	m->edge = bd_zalloc(m->edges, sizeof(*m->edge));
	for (size_t i = 0; i < n; i++)
		add(m, string[i], len[i], (uint32_t)i);
	link_nodes(m, deepest);
	return m;
}

void bd_match_free(struct bd_match *m)
{
	if (m == NULL)
		return;
	bd_free(m->node);
	bd_free(m->edge);
	bd_free(m);
}

static void push(struct bd_hits *h, size_t at, uint32_t which)
{
	if (h->n == h->cap) {
		h->cap = h->cap > 0 ? 2 * h->cap : 16;
		h->hit = bd_resize(h->hit, h->n, h->cap, sizeof(*h->hit));
	}
	h->hit[h->n++] = (struct bd_hit){at, which};
}

void bd_match_find(const struct bd_match *m, const char *s, size_t n, struct bd_hits *hits)
{
	uint32_t state = ROOT;

	while (n-- > 0) {
		state = state == ROOT ? m->first[(unsigned char)s[n]] : next(m, state, (unsigned char)s[n]);
		if (state != ROOT && m->node[state].best != NONE)
			push(hits, n, m->node[state].best);
	}
}
