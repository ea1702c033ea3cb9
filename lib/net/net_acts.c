/* The layout of activations: everything that backward reads is kept layer by layer, everything else is
 * shared. */
#include "net/net_acts.h"
#include "machine/quant.h"

static size_t widest(const struct bd_config *c)
{
	size_t w = (size_t)c->hidden;
	for (enum bd_lin i = 0; i < BD_LINS; i++) {
		w = bd_lin_in(c, i) > w ? bd_lin_in(c, i) : w;
		w = bd_lin_out(c, i) > w ? bd_lin_out(c, i) : w;
	}
	return w;
}

enum bd_lin bd_acts_input(const struct bd_config *c, enum bd_lin i)
{
	if (bd_slot_exists(c, BD_SUBLN + i))
		return i;
	return i == BD_LIN_K || i == BD_LIN_V ? BD_LIN_Q : i == BD_LIN_UP ? BD_LIN_GATE : i;
}

static float *floats(struct bd_arena *a, size_t n, size_t width)
{
	return bd_arena_take(a, bd_mul(n, width), sizeof(float));
}

static void lay_layer(struct bd_arena *a, const struct bd_config *c, struct layer *y, size_t T, bool train)
{
	size_t C = (size_t)c->hidden, F = (size_t)c->ffn, H = (size_t)c->heads, G = (size_t)c->kv_heads,
	       D = (size_t)c->head_dim;
	bool keep = c->qk_norm && train;

	y->x = floats(a, T, C);
	y->xm = train ? floats(a, T, C) : y->x;
	y->rx = floats(a, T, 1);
	y->rm = floats(a, T, 1);
	y->q = floats(a, T, H * D);
	y->k = floats(a, T, G * D);
	y->v = floats(a, T, G * D);
	y->qp = keep ? floats(a, T, H * D) : y->q;
	y->kp = keep ? floats(a, T, G * D) : y->k;
	y->rq = floats(a, T, H);
	y->rk = floats(a, T, G);
	y->att = floats(a, T, H * D);
	y->lse = floats(a, T, H);
	y->gate = floats(a, T, F);
	y->up = floats(a, T, F);
	y->act = train ? floats(a, T, F) : y->gate;
	if (c->post_norms) {
		y->ao = floats(a, T, C);
		y->fo = train ? floats(a, T, C) : y->ao;
		y->rao = floats(a, T, 1);
		y->rfo = floats(a, T, 1);
	}
	for (enum bd_lin i = 0; i < BD_LINS; i++) {
		y->r[i] = floats(a, T, 1);
		if (c->ternary && bd_acts_input(c, i) == i) {
			y->in[i].q = bd_arena_take(a, T, bd_ternary_cols(bd_lin_in(c, i)));
			y->in[i].step = floats(a, T, 1);
			y->in[i].sum = bd_arena_take(a, T, sizeof(int32_t));
		} else {
			y->in[i] = y->in[bd_acts_input(c, i)];
		}
	}
}

/* One pass over every array in device memory: counts bytes before the arena is placed, hands out pointers
 * after it. */
static void lay(struct bd_acts *a, const struct bd_config *c, size_t T)
{
	struct bd_arena *m = &a->arena;
	size_t C = (size_t)c->hidden, W = widest(c), Q = (size_t)c->heads * (size_t)c->head_dim,
	       K = (size_t)c->kv_heads * (size_t)c->head_dim, F = (size_t)c->ffn;
	bool norms = c->norms != BD_NORMS_NONE;

	for (int l = 0; l < c->layers; l++)
		if (l == 0 || a->train)
			lay_layer(m, c, &a->layer[l], T, a->train);
		else
			a->layer[l] = a->layer[0];
	a->xf = a->train ? floats(m, T, C) : a->layer[0].x;
	a->rf = floats(m, T, 1);
	a->h = floats(m, T, C);
	a->a = floats(m, T, a->train ? W : C);
	a->b = norms || (c->ternary && a->train) ? floats(m, T, W) : NULL;
	if (a->train) {
		a->c = floats(m, T, C);
		a->d = norms ? floats(m, T, W) : NULL;
		a->dq = floats(m, T, Q);
		a->dk = floats(m, T, K);
		a->dv = floats(m, T, K);
		a->dgate = floats(m, T, F);
		a->dup = floats(m, T, F);
	} else if (a->watch >= 0) {
		a->state[0] = floats(m, T, Q);
		a->state[1] = floats(m, T, K);
		a->state[2] = floats(m, T, K);
	}
}

struct bd_acts *bd_acts_new(const struct bd_net *net, bool train)
{
	struct bd_acts *a = bd_zalloc(1, sizeof(*a));

	a->dev = net->dev;
	a->train = train;
	a->watch = -1;
	a->layers = net->cfg.layers;
	a->layer = bd_zalloc((size_t)net->cfg.layers, sizeof(*a->layer));
	return a;
}

static void free_where(struct bd_acts *a)
{
	bd_free(a->pos);
	bd_free(a->key);
	bd_free(a->val);
	bd_free(a->past);
}

void bd_acts_free(struct bd_acts *a)
{
	if (a == NULL)
		return;
	bd_dev_arena_free(a->dev, &a->arena);
	free_where(a);
	bd_free(a->layer);
	bd_free(a);
}

size_t bd_acts_bytes(const struct bd_config *c, bool train, size_t T)
{
	struct bd_acts a = {
	    .train = train, .watch = -1, .layer = bd_zalloc((size_t)c->layers, sizeof(*a.layer))};

	lay(&a, c, T);
	bd_free(a.layer);
	return a.arena.n;
}

void bd_acts_watch(struct bd_acts *a, int layer)
{
	if ((layer < 0) != (a->watch < 0))
		a->cap = 0; /* laid out anew by the next forward */
	a->watch = layer;
}

const float *bd_acts_state(const struct bd_acts *a, int layer, int which)
{
	const struct layer *y = &a->layer[layer];
	float *const kept[3] = {y->q, y->k, y->v};

	return a->train ? kept[which] : a->state[which];
}

void bd_acts_reserve(struct bd_acts *a, const struct bd_net *net, size_t T, size_t seqs)
{
	if (T <= a->cap && seqs <= a->seqs)
		return;
	a->cap = T > a->cap ? T + T / 8 : a->cap;
	a->seqs = seqs > a->seqs ? seqs + seqs / 8 : a->seqs;
	bd_dev_arena_free(a->dev, &a->arena);
	lay(a, &net->cfg, a->cap);
	bd_dev_arena_open(a->dev, &a->arena);
	lay(a, &net->cfg, a->cap);
	free_where(a);
	a->pos = bd_alloc(a->cap, sizeof(*a->pos));
	a->key = bd_alloc(a->seqs, sizeof(*a->key));
	a->val = bd_alloc(a->seqs, sizeof(*a->val));
	a->past = bd_alloc(a->seqs, sizeof(*a->past));
}
