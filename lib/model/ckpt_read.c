/* Reading from an open checkpoint: vectors as the factors they mean, linears as codes, and
 * the digest of it all. */
#include "base/mem.h"
#include "base/msg.h"
#include "format/finite.h"
#include "machine/quant.h"
#include "model/ckpt_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void bd_ckpt_close(struct bd_ckpt *k)
{
	if (k == NULL)
		return;
	bd_config_free(&k->cfg);
	bd_st_close(k->st);
	bd_free(k->slot);
	bd_free(k->dir);
	bd_free(k);
}

const struct bd_config *bd_ckpt_config(const struct bd_ckpt *k)
{
	return &k->cfg;
}

const struct bd_st_tensor **bd_ckpt_slot(const struct bd_ckpt *k, enum bd_slot s, int layer)
{
	size_t l = bd_slot_info(s)->per_layer ? (size_t)layer : 0;

	return &k->slot[l * BD_SLOTS + s];
}

const struct bd_st_tensor *bd_ckpt_tensor(const struct bd_ckpt *k, enum bd_slot s, int layer)
{
	return bd_slot_exists(&k->cfg, s) ? *bd_ckpt_slot(k, s, layer) : NULL;
}

enum bd_slot bd_ckpt_stored_as(const struct bd_ckpt *k, enum bd_slot s)
{
	if (k->folded && (s == BD_ATTN_NORM || s == BD_FFN_NORM))
		return BD_SUBLN + (s == BD_ATTN_NORM ? BD_LIN_Q : BD_LIN_GATE);
	return s;
}

const struct bd_st_tensor *bd_ckpt_find(const struct bd_ckpt *k, const char *name)
{
	static const char model[] = "model.";
	const size_t n = strlen(model);
	const struct bd_st_tensor *t;
	char full[2 * NAME];

	if (strncmp(name, model, n) == 0) {
		snprintf(full, sizeof(full), "%s%s", k->prefix, name + n);
		return bd_st_find(k->st, full);
	}
	t = bd_st_find(k->st, name);
	if (t != NULL)
		return t;
	snprintf(full, sizeof(full), "language_model.%s", name); /* the head's, if any */
	return bd_st_find(k->st, full);
}

const struct bd_st_tensor *bd_ckpt_scale(const struct bd_ckpt *k, enum bd_slot s, int layer)
{
	const struct bd_st_tensor *t;
	char name[NAME];

	bd_slot_name(&k->cfg, s, layer, name, sizeof(name));
	strcpy(strrchr(name, '.'), ".weight_scale");
	t = bd_ckpt_find(k, name);
	if (t == NULL)
		bd_die(BD_DATA, "%s: tensor %s is missing", k->dir, name);
	if (t->count != 1 || (t->dtype != BD_F32 && t->dtype != BD_F16 && t->dtype != BD_BF16))
		bd_die(BD_DATA, "%s: tensor %s is not a single number", t->file, t->name);
	return t;
}

void bd_ckpt_each(struct bd_ckpt *k, void (*fn)(struct bd_ckpt *, enum bd_slot, int, void *), void *arg)
{
	enum bd_slot s;

	if (bd_slot_exists(&k->cfg, BD_EMBED))
		fn(k, BD_EMBED, -1, arg);
	for (int l = 0; l < k->cfg.layers; l++)
		for (s = 0; s < BD_SLOTS; s++)
			if (bd_slot_info(s)->per_layer && bd_slot_exists(&k->cfg, s))
				fn(k, s, l, arg);
	for (s = BD_FINAL_NORM; s < BD_SLOTS; s++)
		if (bd_slot_exists(&k->cfg, s))
			fn(k, s, -1, arg);
}

void bd_ckpt_vector(const struct bd_ckpt *k, enum bd_slot s, int layer, float *out)
{
	const struct bd_st_tensor *t = bd_ckpt_tensor(k, s, layer);

	bd_st_check_finite(t, NULL);
	bd_st_f32(t, 0, t->count, out);
	for (size_t i = 0; bd_slot_offset(&k->cfg, bd_ckpt_stored_as(k, s)) && i < t->count; i++)
		out[i] += 1;
	/* AutoBitLinear, offline: (C x + bias) weight_scale */
	if (k->quant.packed && !k->quant.inverse && bd_slot_info(s)->kind == BD_KIND_BIAS) {
		float scale = bd_ckpt_ternary(k, s - BD_BIAS + BD_W, layer, NULL);

		for (size_t i = 0; i < t->count; i++)
			out[i] *= scale;
	}
}

bool bd_ckpt_packed(const struct bd_ckpt *k)
{
	return k->quant.packed;
}

static float stored_scale(const struct bd_ckpt *k, enum bd_slot s, int layer)
{
	const struct bd_st_tensor *t = bd_ckpt_scale(k, s, layer);
	float scale;

	bd_st_f32(t, 0, 1, &scale);
	scale = k->quant.inverse ? 1 / scale : scale;
	if (!(scale > 0) || !isfinite(scale))
		bd_die(BD_DATA, "%s: tensor %s is not a positive number", t->file, t->name);
	return scale;
}

float bd_ckpt_ternary(const struct bd_ckpt *k, enum bd_slot s, int layer, uint8_t *codes)
{
	const struct bd_st_tensor *t = bd_ckpt_tensor(k, s, layer);
	float *copy, scale = k->quant.packed ? stored_scale(k, s, layer) : 0;
	const float *w; /* [rows, cols] */
	size_t rows, cols;

	bd_slot_shape(&k->cfg, s, &rows, &cols);
	if (t->dtype == BD_U8) {
		if (codes != NULL && !bd_hf_unpack(codes, t->data, rows, cols))
			bd_die(BD_DATA, "%s: tensor %s: has codes that are not ternary", t->file, t->name);
		return scale;
	}
	w = bd_st_floats(t, &copy);
	/* codes that transformers unpacked and saved again */
	for (size_t i = 0; k->quant.packed && i < t->count; i++)
		if (w[i] != -1 && w[i] != 0 && w[i] != 1)
			bd_die(BD_DATA, "%s: tensor %s: has values other than -1, 0 and 1", t->file, t->name);
	if (!k->quant.packed)
		scale = bd_absmean(w, rows, cols);
	if (!isfinite(scale))
		bd_st_check_finite(t, NULL);
	if (codes != NULL)
		bd_ternary_pack(codes, w, rows, cols, k->quant.packed ? 1 : scale);
	bd_free(copy);
	return scale;
}

static void digest_slot(struct bd_ckpt *k, enum bd_slot s, int layer, void *text)
{
	const struct bd_st_tensor *t = *bd_ckpt_slot(k, s, layer);
	char hex[BD_HEX];

	bd_hash128_hex(t->data, t->bytes, hex);
	bd_buf_fmt(text, "%d %d %s %s\n", (int)s, layer, bd_dtype_name(t->dtype), hex);
	if (k->quant.packed && bd_slot_info(s)->kind == BD_KIND_LINEAR)
		bd_buf_fmt(text, "%a\n", (double)stored_scale(k, s, layer));
}

static void digest_rope(struct bd_buf *text, const struct bd_rope *r)
{
	bd_buf_fmt(text, "%s %a %a %a %a %a %a %d\n", bd_rope_name(r->kind), r->theta, r->factor, r->low,
	           r->high, r->original, r->attention, r->truncate);
}

/* The facts that affect the arithmetic, then a line for each tensor. */
const char *bd_ckpt_digest(struct bd_ckpt *k)
{
	const struct bd_config *c = &k->cfg;
	struct bd_buf text = {0};

	if (k->digest[0] != '\0')
		return k->digest;
	bd_buf_fmt(&text, "%s %d %d %d %d %d %d %d %a\n", bd_family_name(c->family), c->hidden, c->layers,
	           c->heads, c->kv_heads, c->head_dim, c->ffn, c->vocab, (double)c->eps);
	digest_rope(&text, &c->rope);
	digest_rope(&text, &c->rope_local);
	bd_buf_fmt(&text, "%d ", c->window);
	for (int i = 0; i < c->layers; i++)
		bd_buf_fmt(&text, "%d", c->window > 0 && c->sliding[i]);
	bd_buf_fmt(&text, " %a %a %s %d %d %d %d %d %d %d %d\n", (double)c->attn_scale,
	           (double)c->embed_scale, bd_act_name(c->act), c->tied, c->qk_norm, c->post_norms,
	           c->attn_bias, c->o_bias, c->mlp_bias, c->ternary, (int)c->norms);
	bd_ckpt_each(k, digest_slot, &text);
	bd_hash128_hex(text.p, text.n, k->digest);
	bd_buf_free(&text);
	return k->digest;
}
