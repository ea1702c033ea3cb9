/* Packed files, reading: every size and name is checked against the config before a byte is used. */
#include "pack/packed.h"

#include "base/mem.h"
#include "base/msg.h"
#include "format/finite.h"
#include "format/gguf_digest.h"
#include "format/gguf_table.h"
#include "format/gguf_ternary.h"
#include "machine/quant.h"
#include "net/net_parts.h"
#include "pack/packed_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 96 };

struct reader {
	struct bd_gguf *g;
	struct bd_net *net;
	struct bd_layout layout;
	size_t used; /* tensors */
};

static _Noreturn void die_shape(const struct reader *r, const struct bd_gguf_tensor *t, size_t rows,
                                size_t cols)
{
	bd_die(BD_DATA, "%s: %s: %s of %zu x %zu, but the config requires %zu x %zu; pack the model again",
	       bd_gguf_path(r->g), t->name, bd_ggml_name(t->type), t->rows, t->cols, rows, cols);
}

static void want_type(const struct reader *r, const struct bd_gguf_tensor *t, bool fits, const char *wanted)
{
	if (!fits)
		bd_die(BD_DATA, "%s: %s: type %s where %s is expected; pack the model again",
		       bd_gguf_path(r->g), t->name, bd_ggml_name(t->type), wanted);
}

static const struct bd_gguf_tensor *tensor(struct reader *r, const char *name)
{
	const struct bd_gguf_tensor *t = bd_gguf_find(r->g, name);

	if (t == NULL)
		bd_die(BD_DATA, "%s: tensor %s is missing; pack the model again", bd_gguf_path(r->g), name);
	r->used++;
	return t;
}

static void check_finite(const struct reader *r, const struct bd_gguf_tensor *t)
{
	size_t bad = bd_bad_row(r->net->dev->par, (enum bd_ggml_type)t->type, t->data, t->rows, t->cols);

	if (bad < t->rows)
		bd_die(BD_DATA,
		       "%s: tensor %s has NaN or infinite weights, first in row %zu; pack the model again",
		       bd_gguf_path(r->g), t->name, bad);
}

static const float *vector(struct reader *r, const char *name, size_t n)
{
	const struct bd_gguf_tensor *t = tensor(r, name);

	want_type(r, t, t->type == BD_GGML_F32, "F32");
	if (t->rows != 1 || t->cols != n)
		die_shape(r, t, 1, n);
	check_finite(r, t);
	return t->data;
}

static struct bd_table table(struct reader *r, const char *name, size_t rows, size_t cols)
{
	const struct bd_gguf_tensor *t = tensor(r, name);

	want_type(r, t, bd_ggml_table(t->type), "F32, F16, BF16, Q8_0, Q6_K or Q4_0");
	if (t->rows != rows || t->cols != cols)
		die_shape(r, t, rows, cols);
	check_finite(r, t);
	return (struct bd_table){.type = (enum bd_ggml_type)t->type,
	                         .rows = rows,
	                         .cols = cols,
	                         .p = bd_net_map(r->net, t->data, t->bytes)};
}

/* ---- linears ---- */

struct decode {
	const struct reader *r;
	const struct bd_gguf_tensor *t;
	const struct bd_part *part;
	uint8_t *codes; /* [rows, bd_ternary_stride(cols)] */
	float *d;       /* [rows] in the file's order; NAN: not ternary */
};

static void decode_rows(void *ctx, size_t begin, size_t end, int slice)
{
	const struct decode *x = ctx;
	size_t in = bd_ggml_stride(x->t->type, x->t->cols), out = bd_ternary_stride(x->part->cols);
	size_t D = (size_t)x->r->net->cfg.head_dim;

	(void)slice;
	for (size_t i = begin; i < end; i++) {
		size_t to = bd_layout_row(&x->r->layout, x->part->slot, i, D);

		if (!bd_ternary_load(x->t->type, x->codes + to * out, (const uint8_t *)x->t->data + i * in,
		                     x->part->cols, &x->d[i]))
			x->d[i] = NAN;
	}
}

/* The codes of a tensor in I2_S order, which the net owns; returns the scale that all its rows have. */
static float decode(struct reader *r, const struct bd_part *p, const struct bd_gguf_tensor *t,
                    const uint8_t **codes)
{
	struct decode x = {.r = r, .t = t, .part = p, .d = bd_alloc(p->rows, sizeof(float))};
	size_t size = bd_mul(p->rows, bd_ternary_stride(p->cols));
	float d;

	x.codes = bd_alloc(size, 1);
	bd_par_for(r->net->dev->par, p->rows, decode_rows, &x);
	bd_pages_unused(t->data, t->bytes);
	for (size_t i = 0; i < p->rows; i++)
		if (!(x.d[i] == x.d[0]))
			bd_die(BD_DATA,
			       "%s: %s: row %zu: a code other than -1, 0 and 1, or a scale different from "
			       "that of earlier rows; only one scale per matrix is supported",
			       bd_gguf_path(r->g), t->name, i);
	d = x.d[0];
	bd_free(x.d);
	*codes = bd_net_keep(r->net, x.codes, size);
	bd_free(x.codes);
	return d;
}

/* NAME.scale of NAME.weight, if the file has it. */
static const struct bd_gguf_tensor *scale_tensor(struct reader *r, const char *name)
{
	char scale[NAME];

	snprintf(scale, sizeof(scale), "%.*s.scale", (int)(strlen(name) - strlen(".weight")), name);
	return bd_gguf_find(r->g, scale) != NULL ? tensor(r, scale) : NULL;
}

/* D of the linear from bd.scales, which rounds to d. */
static float exact_scale(const struct reader *r, const struct bd_part *p, float d)
{
	size_t i = (size_t)p->layer * BD_LINS + (size_t)(p->slot - BD_W), n;
	const void *data;
	uint32_t type;
	float D;

	if (!bd_gguf_has(r->g, "bd.scales"))
		return d;
	n = bd_gguf_array(r->g, "bd.scales", &type, &data);
	if (type != BD_GGUF_F32 || n != (size_t)r->net->cfg.layers * BD_LINS)
		bd_die(BD_DATA, "%s: bd.scales: %zu entries for %d layers of %d linears", bd_gguf_path(r->g),
		       n, r->net->cfg.layers, BD_LINS);
	D = ((const float *)data)[i];
	if (bd_f16_to_f32(bd_f32_to_f16(D)) != d)
		bd_die(BD_DATA, "%s: bd.scales: entry %zu is %g, its rows have %g", bd_gguf_path(r->g), i,
		       (double)D, (double)d);
	return D;
}

static float scale_of(struct reader *r, const struct bd_part *p, const struct bd_gguf_tensor *t, float d)
{
	const struct bd_gguf_tensor *s = scale_tensor(r, t->name);

	if (s == NULL)
		return exact_scale(r, p, d);
	want_type(r, s, s->type == BD_GGML_F32, "F32");
	if (s->rows != 1 || s->cols != 1)
		die_shape(r, s, 1, 1);
	return d * *(const float *)s->data;
}

static void fill_linear(struct reader *r, const char *name, const struct bd_part *p)
{
	const struct bd_gguf_tensor *t = tensor(r, name);
	struct bd_linear *lin = p->linear;
	size_t cols;
	float d = 1;

	want_type(r, t, bd_ggml_ternary(t->type), "a ternary type");
	cols = r->layout.padded ? bd_ggml_cols(t->type, p->cols) : p->cols;
	if (t->rows != p->rows || t->cols != cols)
		die_shape(r, t, p->rows, cols);
	if (t->type != BD_GGML_I2_S ||
	    bd_layout_row(&r->layout, p->slot, 1, (size_t)r->net->cfg.head_dim) != 1)
		d = decode(r, p, t, &lin->codes);
	else
		lin->codes = bd_net_map(r->net, t->data, p->rows * bd_ternary_stride(p->cols));
	if (bd_ggml(t->type)->d == BD_TAIL)
		d = bd_ternary_tail(t->data, t->bytes);
	lin->scale = scale_of(r, p, t, d);
	if (!isfinite(lin->scale) || lin->scale <= 0)
		bd_die(BD_DATA, "%s: %s: scale %g; it must be a positive number", bd_gguf_path(r->g), t->name,
		       (double)lin->scale);
}

/* ---- vectors ---- */

/* The device's vector: v, a bias of q or k in HF's order. */
static const float *turned(struct reader *r, const struct bd_part *p, const float *v)
{
	size_t D = (size_t)r->net->cfg.head_dim;
	const float *kept;
	float *own;

	if (bd_layout_row(&r->layout, p->slot, 1, D) == 1)
		return bd_net_map(r->net, v, p->cols * sizeof(*v));
	own = bd_alloc(p->cols, sizeof(*own));
	for (size_t i = 0; i < p->cols; i++)
		own[bd_layout_row(&r->layout, p->slot, i, D)] = v[i];
	kept = bd_net_keep(r->net, own, p->cols * sizeof(*own));
	bd_free(own);
	return kept;
}

/* Undoes the fold of target.h: ones in the norm, and its gain, which gate and up share, on their inputs. */
static void check_fold(struct reader *r, const struct bd_part *p, const float *gain)
{
	char name[NAME];
	const float *ones, *up;

	bd_slot_gguf_name(BD_FFN_NORM, p->layer, name, sizeof(name));
	ones = vector(r, name, p->cols);
	bd_slot_gguf_name(BD_SUBLN + BD_LIN_UP, p->layer, name, sizeof(name));
	up = vector(r, name, p->cols);
	for (size_t i = 0; i < p->cols; i++)
		if (ones[i] != 1 || up[i] != gain[i])
			bd_die(BD_DATA,
			       "%s: %s: layer %d: ffn_norm is not all ones, or the norms of gate and up "
			       "differ; such a model is not supported",
			       bd_gguf_path(r->g), name, p->layer);
}

static void fill_vector(struct reader *r, const char *name, const struct bd_part *p)
{
	const float *v = vector(r, name, p->cols);

	if (r->layout.folded && p->slot == BD_FFN_NORM)
		check_fold(r, p, v);
	*p->vector = turned(r, p, v);
}

static void check_freqs(struct reader *r)
{
	size_t n = (size_t)r->net->cfg.head_dim / 2;

	if (r->layout.freqs)
		vector(r, "rope_freqs.weight", n);
}

/* ---- the whole file ---- */

static void close_gguf(void *g)
{
	bd_gguf_close(g);
}

struct bd_net *bd_packed_open(const char *path, struct bd_dev *dev)
{
	struct reader r = {.g = bd_gguf_open(path)};
	struct bd_config c;
	struct bd_part *part;
	char name[NAME];
	size_t n;

	bd_gguf_verify(r.g, dev->par);
	bd_packed_config(r.g, &c, &r.layout);
	r.net = bd_net_new(&c, dev);
	bd_config_free(&c);
	part = bd_net_parts(r.net, &n);
	for (size_t i = 0; i < n; i++) {
		const struct bd_part *p = &part[i];

		bd_layout_name(&r.layout, p->slot, p->layer, name, sizeof(name));
		if (p->kind == BD_KIND_TABLE)
			*p->table = table(&r, name, p->rows, p->cols);
		else if (p->kind == BD_KIND_LINEAR)
			fill_linear(&r, name, p);
		else
			fill_vector(&r, name, p);
	}
	bd_free(part);
	check_freqs(&r);
	if (r.used != bd_gguf_tensors(r.g))
		bd_die(BD_DATA,
		       "%s: %zu tensors, of which architecture %s uses only %zu; without the others it would "
		       "be a different model",
		       path, bd_gguf_tensors(r.g), r.layout.arch, r.used);
	if (r.net->cfg.tied)
		r.net->head = r.net->embed;
	r.net->release = close_gguf;
	r.net->release_arg = r.g;
	return r.net;
}

const char *bd_packed_digest(const struct bd_net *net)
{
	return bd_gguf_identity(net->release_arg);
}
