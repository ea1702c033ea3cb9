/* The tensors of a packed file. */
#include "pack/pack_items.h"

#include "base/mem.h"
#include "format/gguf_ternary.h"
#include "machine/quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 512 }; /* rows that are converted together */

/* ---- the list ---- */

static struct bd_item *add(struct bd_items *t, const struct bd_part *p, enum bd_ggml_type type)
{
	struct bd_item *i = &t->v[t->n++];

	*i = (struct bd_item){.type = type, .part = p, .cols = p->cols};
	if (p->kind == BD_KIND_LINEAR && t->layout->padded)
		i->cols = bd_ggml_cols(type, p->cols);
	i->rows = p->kind == BD_KIND_LINEAR || p->kind == BD_KIND_TABLE ? p->rows : 0;
	bd_layout_name(t->layout, p->slot, p->layer, i->name, sizeof(i->name));
	return i;
}

bool bd_items_exact(const struct bd_layout *l, enum bd_ggml_type ternary)
{
	return l->scales || !bd_ggml_half(ternary);
}

static void add_linear(struct bd_items *t, const struct bd_part *p, enum bd_ggml_type ternary)
{
	struct bd_item *w = add(t, p, ternary);

	if (!t->layout->scales || !bd_ggml_half(ternary))
		return;
	t->v[t->n] = (struct bd_item){.type = BD_GGML_F32, .cols = 1, .part = p, .what = BD_ITEM_SCALE};
	snprintf(t->v[t->n++].name, sizeof(w->name), "%.*s.scale", (int)(strlen(w->name) - strlen(".weight")),
	         w->name);
}

/* The gain of the ffn's norm, moved to the inputs of gate and up, and ones in its place. */
static void add_folded(struct bd_items *t, const struct bd_part *p)
{
	struct bd_item *ones = add(t, p, BD_GGML_F32), *up;

	ones->what = BD_ITEM_ONES;
	bd_slot_gguf_name(BD_FFN_NORM, p->layer, ones->name, sizeof(ones->name));
	add(t, p, BD_GGML_F32);
	up = add(t, p, BD_GGML_F32);
	bd_slot_gguf_name(BD_SUBLN + BD_LIN_UP, p->layer, up->name, sizeof(up->name));
}

struct bd_items bd_items_new(struct bd_net *net, const struct bd_layout *l, enum bd_ggml_type ternary)
{
	struct bd_items t = {.net = net, .layout = l};
	size_t n;

	t.part = bd_net_parts(net, &n);
	t.v = bd_alloc(bd_add(bd_mul(3, n), 1), sizeof(*t.v));
	for (size_t i = 0; i < n; i++) {
		const struct bd_part *p = &t.part[i];

		if (p->kind == BD_KIND_LINEAR)
			add_linear(&t, p, ternary);
		else if (l->folded && p->slot == BD_FFN_NORM)
			add_folded(&t, p);
		else
			add(&t, p, p->kind == BD_KIND_TABLE ? p->table->type : BD_GGML_F32);
	}
	if (l->freqs)
		t.v[t.n++] = (struct bd_item){.name = "rope_freqs.weight",
		                              .type = BD_GGML_F32,
		                              .cols = (size_t)net->cfg.head_dim / 2,
		                              .what = BD_ITEM_FREQS};
	return t;
}

void bd_items_free(struct bd_items *t)
{
	bd_free(t->v);
	bd_free(t->part);
}

/* ---- their bytes ---- */

struct piece {
	const struct bd_items *t;
	const struct bd_item *i;
	const uint8_t *codes; /* [out, bd_ternary_stride(in)] of the linear, host memory */
	size_t row, stride;   /* first row of the piece; bytes of one */
	float d;
	uint8_t *out;
};

static void convert_rows(void *ctx, size_t begin, size_t end, int slice)
{
	const struct piece *p = ctx;
	const struct bd_linear *lin = p->i->part->linear;
	size_t D = (size_t)p->t->net->cfg.head_dim;

	(void)slice;
	for (size_t k = begin; k < end; k++) {
		size_t r = bd_layout_row(p->t->layout, p->i->part->slot, p->row + k, D);

		bd_ternary_store(p->i->type, p->out + k * p->stride,
		                 p->codes + r * bd_ternary_stride(lin->in), lin->in, p->d);
	}
}

static void send_linear(const struct bd_items *t, const struct bd_item *i, bd_items_sink *sink, void *to)
{
	const struct bd_linear *lin = i->part->linear;
	struct piece p = {.t = t, .i = i, .stride = bd_ggml_stride(i->type, i->cols)};
	size_t size = lin->out * bd_ternary_stride(lin->in);
	uint8_t *codes = bd_alloc(size, 1);
	uint8_t tail[BD_TAIL_BYTES];

	bd_dev_from(t->net->dev, codes, lin->codes, size);
	p.codes = codes;

	p.d = t->layout->scales && bd_ggml_half(i->type) ? 1.0f : lin->scale;
	p.out = bd_alloc(PIECE, p.stride);
	for (p.row = 0; p.row < lin->out; p.row += PIECE) {
		size_t n = lin->out - p.row < PIECE ? lin->out - p.row : PIECE;

		bd_par_for(t->net->dev->par, n, convert_rows, &p);
		sink(to, p.out, n * p.stride);
	}
	bd_free(p.out);
	bd_free(codes);
	bd_ternary_put_tail(tail, lin->scale);
	if (bd_ggml(i->type)->d == BD_TAIL)
		sink(to, tail, sizeof(tail));
}

void bd_rope_factors(float *factor, const struct bd_rope *r, size_t D)
{
	for (size_t i = 0; i < D / 2; i++) {
		double wave = 2 * M_PI * pow(r->theta, 2 * (double)i / (double)D);
		double s = (r->original / wave - r->low) / (r->high - r->low);

		s = s < 0 ? 0 : s > 1 ? 1 : s;
		factor[i] = (float)(1 / ((1 - s) / r->factor + s));
	}
}

/* A vector of n floats: a gain, a bias, ones, or rope's factors. */
static void send_vector(const struct bd_items *t, const struct bd_item *i, bd_items_sink *sink, void *to)
{
	size_t n = i->cols, D = (size_t)t->net->cfg.head_dim;
	float *v = bd_alloc(n, sizeof(*v)), *x = bd_alloc(n, sizeof(*x));

	if (i->what == BD_ITEM_PART)
		bd_dev_from(t->net->dev, x, *i->part->vector, n * sizeof(*x));
	if (i->what == BD_ITEM_FREQS)
		bd_rope_factors(v, &t->net->cfg.rope, 2 * n);
	for (size_t k = 0; i->what != BD_ITEM_FREQS && k < n; k++)
		v[k] = i->what == BD_ITEM_ONES ? 1.0f : x[bd_layout_row(t->layout, i->part->slot, k, D)];
	sink(to, v, n * sizeof(*v));
	bd_free(v);
	bd_free(x);
}

static void send_table(const struct bd_items *t, const struct bd_item *i, bd_items_sink *sink, void *to)
{
	const struct bd_table *e = i->part->table;
	size_t stride = bd_ggml_stride(i->type, i->cols), n;
	uint8_t *piece = bd_alloc(PIECE, stride);

	for (size_t row = 0; row < e->rows; row += n) {
		n = e->rows - row < PIECE ? e->rows - row : PIECE;
		bd_dev_from(t->net->dev, piece, (const uint8_t *)e->p + row * stride, n * stride);
		sink(to, piece, n * stride);
	}
	bd_free(piece);
}

void bd_items_send(const struct bd_items *t, size_t n, bd_items_sink *sink, void *to)
{
	const struct bd_item *i = &t->v[n];
	const struct bd_part *p = i->part;

	if (i->what == BD_ITEM_SCALE)
		sink(to, &p->linear->scale, sizeof(float));
	else if (p != NULL && p->kind == BD_KIND_LINEAR)
		send_linear(t, i, sink, to);
	else if (p != NULL && p->kind == BD_KIND_TABLE)
		send_table(t, i, sink, to);
	else
		send_vector(t, i, sink, to);
}
