/* Where activations lie: everything that backward reads is kept layer by layer, everything else is shared. */
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

enum bd_lin bd_acts_input(const struct bd_block *b, enum bd_lin i)
{
	if (b->lin[i].gain != NULL)
		return i;
	return i == BD_LIN_K || i == BD_LIN_V ? BD_LIN_Q : i == BD_LIN_UP ? BD_LIN_GATE : i;
}

static float *floats(struct bd_acts *a, size_t n, size_t width)
{
	return bd_arena_take(&a->arena, bd_mul(n, width), sizeof(float));
}

static void lay_layer(struct bd_acts *a, const struct bd_net *net, struct layer *y, const struct bd_block *b,
                      size_t T)
{
	const struct bd_config *c = &net->cfg;
	size_t C = (size_t)c->hidden, F = (size_t)c->ffn, H = (size_t)c->heads, G = (size_t)c->kv_heads,
	       D = (size_t)c->head_dim;

	y->x = floats(a, T, C);
	y->xm = a->train ? floats(a, T, C) : y->x;
	y->rx = floats(a, T, 1);
	y->rm = floats(a, T, 1);
	y->q = floats(a, T, H * D);
	y->k = floats(a, T, G * D);
	y->v = floats(a, T, G * D);
	bool keep = c->qk_norm && a->train;
	y->qp = keep ? floats(a, T, H * D) : y->q;
	y->kp = keep ? floats(a, T, G * D) : y->k;
	y->rq = floats(a, T, H);
	y->rk = floats(a, T, G);
	y->att = floats(a, T, H * D);
	y->lse = floats(a, T, H);
	y->gate = floats(a, T, F);
	y->up = floats(a, T, F);
	y->act = a->train ? floats(a, T, F) : y->gate;
	if (c->post_norms) {
		y->ao = floats(a, T, C);
		y->fo = a->train ? floats(a, T, C) : y->ao;
		y->rao = floats(a, T, 1);
		y->rfo = floats(a, T, 1);
	}
	for (enum bd_lin i = 0; i < BD_LINS; i++) {
		y->r[i] = floats(a, T, 1);
		if (c->ternary && bd_acts_input(b, i) == i) {
			y->in[i].q = bd_arena_take(&a->arena, T, bd_ternary_cols(b->lin[i].in));
			y->in[i].step = floats(a, T, 1);
			y->in[i].sum = bd_arena_take(&a->arena, T, sizeof(int32_t));
		} else {
			y->in[i] = y->in[bd_acts_input(b, i)];
		}
	}
}

/* One pass over every array: counts when the arena is closed, hands out pointers when it is open. */
static void lay(struct bd_acts *a, const struct bd_net *net, size_t T, size_t seqs)
{
	const struct bd_config *c = &net->cfg;
	size_t C = (size_t)c->hidden, W = widest(c), G = (size_t)c->kv_heads, D = (size_t)c->head_dim,
	       F = (size_t)c->ffn;

	for (int l = 0; l < c->layers; l++)
		if (l == 0 || a->train)
			lay_layer(a, net, &a->layer[l], &net->block[l], T);
		else
			a->layer[l] = a->layer[0];
	a->xf = a->train ? floats(a, T, C) : a->layer[0].x;
	a->rf = floats(a, T, 1);
	a->h = floats(a, T, C);
	a->a = floats(a, T, W);
	a->b = floats(a, T, W);
	if (a->train) {
		a->c = floats(a, T, C);
		a->d = floats(a, T, W);
		a->dq = floats(a, T, (size_t)c->heads * D);
		a->dk = floats(a, T, G * D);
		a->dv = floats(a, T, G * D);
		a->dgate = floats(a, T, F);
		a->dup = floats(a, T, F);
		a->part = floats(a, (size_t)a->threads, W);
	} else {
		a->state[0] = floats(a, T, (size_t)c->heads * D);
		a->state[1] = floats(a, T, G * D);
		a->state[2] = floats(a, T, G * D);
	}
	a->pos = bd_arena_take(&a->arena, T, sizeof(uint32_t));
	a->key = bd_arena_take(&a->arena, seqs, sizeof(*a->key));
	a->val = bd_arena_take(&a->arena, seqs, sizeof(*a->val));
	a->past = bd_arena_take(&a->arena, seqs, sizeof(*a->past));
}

struct bd_acts *bd_acts_new(const struct bd_net *net, bool train)
{
	struct bd_acts *a = bd_zalloc(1, sizeof(*a));

	a->train = train;
	a->watch = -1;
	a->layers = net->cfg.layers;
	a->threads = bd_par_threads(net->par);
	a->layer = bd_zalloc((size_t)net->cfg.layers, sizeof(*a->layer));
	a->scratch = bd_zalloc((size_t)a->threads, sizeof(*a->scratch));
	a->scratch_n = bd_zalloc((size_t)a->threads, sizeof(*a->scratch_n));
	return a;
}

void bd_acts_free(struct bd_acts *a)
{
	if (a == NULL)
		return;
	for (int i = 0; i < a->threads; i++)
		bd_free(a->scratch[i]);
	bd_free(a->scratch);
	bd_free(a->scratch_n);
	bd_arena_free(&a->arena);
	bd_free(a->layer);
	bd_free(a);
}

size_t bd_acts_bytes(const struct bd_acts *a)
{
	return a->arena.cap;
}

void bd_acts_watch(struct bd_acts *a, int layer)
{
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
	bd_arena_free(&a->arena);
	a->arena = (struct bd_arena){0};
	lay(a, net, a->cap, a->seqs);
	bd_arena_open(&a->arena);
	lay(a, net, a->cap, a->seqs);
}

float *bd_acts_scratch(struct bd_acts *a, int slice, size_t n)
{
	if (n > a->scratch_n[slice]) {
		bd_free(a->scratch[slice]);
		a->scratch[slice] = bd_alloc(n, sizeof(float));
		a->scratch_n[slice] = n;
	}
	return a->scratch[slice];
}
