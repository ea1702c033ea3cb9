/* Exporting to transformers: choosing the class, its config.json, and which tensor becomes which. */
#include "model/hf.h"

#include "base/history.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "model/ckpt.h"
#include "model/hf_quant.h"
#include "model/model_out.h"

#include <stdio.h>
#include <string.h>

/* What is written: the config that transformers will see, and the quantisation that it declares. */
struct target {
	const struct bd_ckpt *k;
	const struct bd_hf_opt *o;
	json_t *json;
	struct bd_config cfg; /* of the written tensors */
	struct bd_hf_quant quant;
	bool fold; /* the gains of two norms per block move to the linears after them */
	struct bd_make_tensor *v;
	size_t n;
};

static bool fits_bitnet(const struct bd_config *c)
{
	return !c->qk_norm && !c->post_norms && c->norms == BD_NORMS_SUBLN &&
	       c->heads * c->head_dim == c->hidden && !c->mlp_bias && c->window == 0;
}

char *bd_hf_why_not(const struct bd_ckpt *k, const struct bd_hf_opt *o)
{
	const struct bd_config *c = bd_ckpt_config(k);

	if (!c->ternary && !o->force)
		return bd_strdup("it was not trained as a ternary model, and rounding its weights now would "
		                 "ruin it; train it with bd-cpt or bd-distill, or give --force");
	if (o->form == BD_HF_ONLINE && bd_ckpt_packed(k))
		return bd_strdup("it has packed weights, but the online format needs their masters");
	for (enum bd_lin l = 0; o->form == BD_HF_OFFLINE && l < BD_LINS; l++)
		if (bd_lin_out(c, l) % 4 != 0)
			return bd_sprintf("four rows of a matrix are packed into one, but %s has %zu; the "
			                  "online format has no such limit",
			                  bd_slot_info(BD_W + l)->hf, bd_lin_out(c, l));
	return NULL;
}

/* ---- config.json ---- */

static void set_default(json_t *j, const char *key, json_t *value)
{
	if (bd_json_get(j, key) == NULL)
		json_object_set(j, key, value);
	json_decref(value);
}

/* The class's defaults differ from the family's: what affects the arithmetic is written out. */
static void become_bitnet(json_t *j, const struct bd_config *c)
{
	static const char *const foreign[] = {"head_dim",       "mlp_bias",    "use_sliding_window",
	                                      "sliding_window", "layer_types", "max_window_layers",
	                                      "pretraining_tp"};

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		json_object_del(j, foreign[i]);
	json_object_set_new(j, "model_type", json_string(bd_family_name(BD_BITNET)));
	json_object_set_new(j, "architectures", json_pack("[s]", "BitNetForCausalLM"));
	json_object_set_new(j, "hidden_act", json_string(bd_act_name(c->act)));
	json_object_set_new(j, "attention_bias", json_boolean(c->attn_bias));
	set_default(j, "num_key_value_heads", json_integer(c->kv_heads));
	set_default(j, "max_position_embeddings", json_integer(c->context));
	set_default(j, "bos_token_id", json_null());
	set_default(j, "eos_token_id", json_null());
}

static void choose(struct target *t)
{
	const struct bd_config *c = bd_ckpt_config(t->k);
	const bool bitnet = fits_bitnet(c), bias = c->attn_bias || c->mlp_bias;

	t->json = bd_config_json(c);
	json_object_del(t->json, "auto_map"); /* code that is not in the directory */
	json_t *eps = bd_json_get(bd_json_get(t->json, "bitdistill"), "eps");
	json_object_set(t->json, "rms_norm_eps", eps);
	json_object_set_new(bd_json_get(t->json, "bitdistill"), "weights", json_string("ternary"));
	if (bitnet)
		become_bitnet(t->json, c);
	t->cfg = bitnet ? bd_config_parse(t->json, c->name) : bd_config_copy(c);
	t->fold = !bitnet && c->norms == BD_NORMS_SUBLN;
	if (t->fold)
		t->cfg.norms = BD_NORMS_ALL;
	t->quant = (struct bd_hf_quant){.ternary = true, .packed = t->o->form == BD_HF_OFFLINE};
	t->quant.rms_norm = t->cfg.norms == BD_NORMS_ALL;
	/* AutoBitLinear, offline, multiplies the bias by weight_scale as well; BitLinear adds it as it is. */
	t->quant.inverse = t->quant.packed && bias;
	json_object_set_new(t->json, "quantization_config",
	                    bd_hf_quant_json(&t->quant, json_real_value(eps)));
}

/* ---- tensors ---- */

/* "...q_proj.weight" with a different last part. */
static void rename_last(char *name, size_t size, const char *last)
{
	size_t stem = (size_t)(strrchr(name, '.') - name);

	snprintf(name + stem, size - stem, ".%s", last);
}

static void make_linear(struct target *t, struct bd_make_tensor *m)
{
	struct bd_make_tensor *scale = &t->v[t->n];

	if (!t->quant.packed)
		return;
	m->make = BD_MAKE_CODES;
	m->rows /= 4;
	*scale = *m;
	scale->make = t->quant.inverse ? BD_MAKE_INVERSE : BD_MAKE_SCALE;
	scale->rows = 0;
	scale->cols = 1;
	rename_last(scale->name, sizeof(scale->name), "weight_scale");
	t->n++;
}

/* The gain on the input of a linear, under its name with use_rms_norm. */
static void make_input_norm(const struct target *t, struct bd_make_tensor *m)
{
	const enum bd_lin l = (enum bd_lin)(m->slot - BD_SUBLN);

	m->make = BD_MAKE_GAIN;
	bd_slot_name(&t->cfg, BD_W + l, m->layer, m->name, sizeof(m->name));
	rename_last(m->name, sizeof(m->name), "rms_norm.weight");
	if (t->fold && l != BD_LIN_O && l != BD_LIN_DOWN)
		m->slot = l < BD_LIN_O ? BD_ATTN_NORM : BD_FFN_NORM;
}

static void make(struct target *t, struct bd_make_tensor *m)
{
	const enum bd_slot s = m->slot;

	if (bd_slot_info(s)->kind == BD_KIND_LINEAR) {
		make_linear(t, m);
	} else if (t->quant.rms_norm && s >= BD_SUBLN && s < BD_BIAS) {
		make_input_norm(t, m);
	} else if (t->fold && (s == BD_ATTN_NORM || s == BD_FFN_NORM)) {
		m->make = BD_MAKE_FILL;
		m->value = bd_slot_offset(&t->cfg, s) ? 0 : 1;
	} else if (!bd_slot_exists(bd_ckpt_config(t->k), s)) {
		m->make = BD_MAKE_FILL; /* the class expects a bias on o_proj if there is one on q, k and v */
	}
}

static void list_tensors(struct target *t)
{
	size_t n;

	t->v = bd_make_list(&t->cfg, &n);
	t->n = n;
	for (size_t i = 0; i < n; i++)
		make(t, &t->v[i]);
}

void bd_hf_write(const char *dir, const char *out, const struct bd_hf_opt *o)
{
	struct bd_ckpt *k = bd_ckpt_open(dir);
	struct target t = {.k = k, .o = o};
	char *why = bd_hf_why_not(k, o);

	if (why != NULL)
		bd_die(BD_DATA, "%s: cannot be written for transformers: %s", dir, why);
	struct bd_outdir *d = bd_outdir_open(out, o->force);
	json_t *history = bd_history(
	    &(struct bd_input){"model", bd_ckpt_digest(k), bd_config_history(bd_ckpt_config(k))}, 1);
	choose(&t);
	list_tensors(&t);
	bd_model_out_tensors(k, bd_outdir_path(d), t.v, t.n, o->dtype);
	bd_model_out_config(t.json, bd_outdir_path(d), o->dtype, bd_ckpt_digest(k), history);
	bd_model_out_companions(dir, bd_outdir_path(d));
	bd_outdir_commit(d);
	json_decref(history);
	bd_free(t.v);
	json_decref(t.json);
	bd_config_free(&t.cfg);
	bd_ckpt_close(k);
}
