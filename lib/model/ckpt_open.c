/* Opening a checkpoint directory: finds each slot's tensor among its names, and checks config and tensors
 * against each other. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "model/ckpt_parts.h"

#include <stdio.h>
#include <string.h>

/* What stands for "model." in the names: nothing in a model saved without its head (AutoModel), a longer
 * prefix for the text part of a model that sees or hears. */
static const char *const prefixes[] = {"model.", "", "language_model.model.", "model.language_model.",
                                       "language_model."};

static void settle_prefix(struct bd_ckpt *k)
{
	char name[NAME];

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		snprintf(name, sizeof(name), "%slayers.0.input_layernorm.weight", prefixes[i]);
		k->prefix = prefixes[i];
		if (bd_st_find(k->st, name) != NULL)
			return;
	}
	k->prefix = prefixes[0];
}

/* Signs of weights that are stored as something else. */
static const char *storage_of(const char *name)
{
	static const char *const signs[][2] = {
	    {".qweight", "GPTQ or AWQ"},          {".weight_packed", "compressed-tensors"},
	    {".absmax", "bitsandbytes"},          {".SCB", "bitsandbytes"},
	    {".lora_A.weight", "a LoRA adapter"}, {".base_layer.weight", "a model with unmerged adapters"}};

	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (strstr(name, signs[i][0]) != NULL)
			return signs[i][1];
	return NULL;
}

/* Says what the files have instead. */
static _Noreturn void die_missing(const struct bd_ckpt *k, const char *name)
{
	char *lost = bd_st_lost(k->st, name);
	const struct bd_st_tensor *first = bd_st_count(k->st) > 0 ? bd_st_at(k->st, 0) : NULL;

	if (lost != NULL)
		bd_die(BD_DATA, "%s: tensor %s is missing: %s", k->dir, name, lost);
	for (size_t i = 0; i < bd_st_count(k->st); i++) {
		const struct bd_st_tensor *t = bd_st_at(k->st, i);

		if (storage_of(t->name) != NULL)
			bd_die(BD_DATA,
			       "%s: tensor %s is missing; it has %s instead (%s), which is not supported; "
			       "start from the full-precision model",
			       k->dir, name, t->name, storage_of(t->name));
	}
	bd_die(BD_DATA, "%s: tensor %s is missing; there are %zu others%s%s", k->dir, name,
	       bd_st_count(k->st), first != NULL ? ", such as " : "", first != NULL ? first->name : "");
}

/* The slot's tensor under its name, under an alias, or under the name that the metadata says it shares. */
static const struct bd_st_tensor *resolve(const struct bd_ckpt *k, enum bd_slot s, int layer)
{
	const struct bd_st_tensor *t;
	const char *shared;
	char name[NAME];

	s = bd_ckpt_stored_as(k, s);
	bd_slot_name(&k->cfg, s, layer, name, sizeof(name));
	t = bd_ckpt_find(k, name);
	shared = json_string_value(json_object_get(bd_st_metadata(k->st), name));
	if (t == NULL && shared != NULL)
		t = bd_ckpt_find(k, shared);
	for (int i = 0; t == NULL && bd_slot_alias(s, i, layer, name, sizeof(name)); i++)
		t = bd_ckpt_find(k, name);
	return t;
}

/* How many layers have a gain on this linear's input. */
static int gains(const struct bd_ckpt *k, enum bd_lin l)
{
	int n = 0;

	for (int i = 0; i < k->cfg.layers; i++)
		n += resolve(k, BD_SUBLN + l, i) != NULL;
	return n;
}

/* norms: as the config says, otherwise as the tensors show. Gains that the config does not declare are
 * refused: without them it would be a different model. */
static void settle_norms(struct bd_ckpt *k)
{
	bool said = bd_json_get(bd_json_get(k->cfg.json, "bitdistill"), "norms") != NULL;
	int all = 0, sub = 0, other = 0;

	for (enum bd_lin l = 0; l < BD_LINS; l++) {
		int n = gains(k, l);

		if (n != 0 && n != k->cfg.layers)
			bd_die(BD_DATA, "%s: only %d of %d layers have a norm before %s", k->dir, n,
			       k->cfg.layers, bd_slot_info(BD_W + l)->hf);
		all += n != 0;
		*(l == BD_LIN_O || l == BD_LIN_DOWN ? &sub : &other) += n != 0;
	}
	enum bd_norms found = all == 0 ? BD_NORMS_NONE : other == 0 ? BD_NORMS_SUBLN : BD_NORMS_ALL;
	if ((found == BD_NORMS_SUBLN && sub != 2) || (found == BD_NORMS_ALL && all != BD_LINS))
		bd_die(BD_DATA,
		       "%s: norms before %d of the 7 linear layers; 0, 2 (o_proj, down_proj) and 7 are "
		       "supported",
		       k->dir, all);
	k->folded = k->quant.rms_norm && said && k->cfg.norms == BD_NORMS_SUBLN && found == BD_NORMS_ALL;
	if (k->folded)
		return;
	if (said && found != k->cfg.norms)
		bd_die(BD_DATA,
		       "%s: bitdistill.norms in config.json is \"%s\", but the tensors have \"%s\"; they are "
		       "not from the same checkpoint",
		       k->dir, bd_norms_name(k->cfg.norms), bd_norms_name(found));
	k->cfg.norms = found;
}

/* config.json need not say whether the head is the embedding: then the tensors decide. */
static void settle_tied(struct bd_ckpt *k)
{
	const struct bd_st_tensor **embed = bd_ckpt_slot(k, BD_EMBED, 0);
	const struct bd_st_tensor *head = bd_ckpt_find(k, bd_slot_info(BD_HEAD)->hf);

	if (bd_json_get(k->cfg.json, "tie_word_embeddings") == NULL)
		k->cfg.tied = resolve(k, BD_HEAD, -1) == NULL;
	*embed = resolve(k, BD_EMBED, -1);
	if (!k->cfg.tied || head == NULL)
		return;
	if (*embed == NULL)
		*embed = head;
	else if (*embed != head &&
	         ((*embed)->bytes != head->bytes || memcmp((*embed)->data, head->data, head->bytes) != 0))
		bd_warn("%s: lm_head.weight differs from the embedding that config.json ties it to; the "
		        "embedding is used",
		        k->dir);
}

/* Dies unless the tensor has this shape; rows 0: a vector. */
static void check_shape(const struct bd_st_tensor *t, size_t rows, size_t cols)
{
	bool matrix = rows > 0;
	bool fits = matrix ? t->ndim == 2 && t->shape[0] == rows && t->shape[1] == cols
	                   : t->ndim == 1 && t->shape[0] == cols;

	if (!fits && matrix)
		bd_die(BD_DATA, "%s: tensor %s: its shape is not [%zu, %zu] as config.json requires", t->file,
		       t->name, rows, cols);
	if (!fits)
		bd_die(BD_DATA, "%s: tensor %s: its shape is not [%zu] as config.json requires", t->file,
		       t->name, cols);
}

static void check_tensor(const struct bd_ckpt *k, enum bd_slot s, int layer)
{
	const struct bd_st_tensor *t = *bd_ckpt_slot(k, s, layer);
	enum bd_kind kind = bd_slot_info(s)->kind;
	size_t rows, cols;
	char name[NAME];

	bd_slot_shape(&k->cfg, s, &rows, &cols);
	bd_slot_name(&k->cfg, s, layer, name, sizeof(name));
	if (t == NULL)
		die_missing(k, name);
	if (k->quant.packed && kind == BD_KIND_LINEAR && t->dtype == BD_U8) {
		if (rows % 4 != 0)
			bd_die(BD_DATA, "%s: tensor %s: %zu rows cannot be packed in groups of four", t->file,
			       t->name, rows);
		check_shape(t, rows / 4, cols);
		return;
	}
	check_shape(t, kind == BD_KIND_LINEAR || kind == BD_KIND_TABLE ? rows : 0, cols);
	if (t->dtype != BD_F32 && t->dtype != BD_F16 && t->dtype != BD_BF16)
		bd_die(BD_DATA, "%s: tensor %s: weights of type %s are not supported, only F32, F16 and BF16",
		       t->file, t->name, bd_dtype_name(t->dtype));
}

static void mark(const struct bd_ckpt *k, bool *used, const struct bd_st_tensor *t)
{
	if (t != NULL)
		used[t - bd_st_at(k->st, 0)] = true;
}

static void find_slot(struct bd_ckpt *k, enum bd_slot s, int layer, void *used)
{
	if (s != BD_EMBED) /* decided before */
		*bd_ckpt_slot(k, s, layer) = resolve(k, s, layer);
	check_tensor(k, s, layer);
	mark(k, used, *bd_ckpt_slot(k, s, layer));
	if (k->quant.packed && bd_slot_info(s)->kind == BD_KIND_LINEAR)
		mark(k, used, bd_ckpt_scale(k, s, layer));
}

/* A folded norm must be the identity. */
static void check_identity(const struct bd_ckpt *k, enum bd_slot s, int layer, bool *used)
{
	const struct bd_st_tensor *t;
	char name[NAME];
	float *x;

	bd_slot_name(&k->cfg, s, layer, name, sizeof(name));
	t = bd_ckpt_find(k, name);
	if (t == NULL)
		die_missing(k, name);
	x = bd_alloc(t->count, sizeof(*x));
	bd_st_f32(t, 0, t->count, x);
	for (size_t i = 0; i < t->count; i++)
		if (x[i] != (bd_slot_offset(&k->cfg, s) ? 0 : 1))
			bd_die(BD_DATA,
			       "%s: tensor %s: is not the identity, although bitdistill.norms is \"subln\" "
			       "and every linear layer has a norm; remove bitdistill.norms from config.json "
			       "if all of them apply",
			       t->file, t->name);
	bd_free(x);
	mark(k, used, t);
}

/* The gains before linears with the same input must be the same. */
static void check_same(const struct bd_ckpt *k, enum bd_lin a, enum bd_lin b, int layer, bool *used)
{
	const struct bd_st_tensor *x = resolve(k, BD_SUBLN + a, layer), *y = resolve(k, BD_SUBLN + b, layer);

	if (x->dtype != y->dtype || x->bytes != y->bytes || memcmp(x->data, y->data, x->bytes) != 0)
		bd_die(BD_DATA,
		       "%s: tensors %s and %s differ, although bitdistill.norms is \"subln\"; remove it from "
		       "config.json if all norms apply",
		       k->dir, x->name, y->name);
	mark(k, used, y);
}

static void check_fold(const struct bd_ckpt *k, bool *used)
{
	for (int l = 0; k->folded && l < k->cfg.layers; l++) {
		check_identity(k, BD_ATTN_NORM, l, used);
		check_identity(k, BD_FFN_NORM, l, used);
		check_same(k, BD_LIN_Q, BD_LIN_K, l, used);
		check_same(k, BD_LIN_Q, BD_LIN_V, l, used);
		check_same(k, BD_LIN_GATE, BD_LIN_UP, l, used);
	}
}

/* Old checkpoints carry the rope's frequencies; a tied one may repeat the embedding. */
static bool harmless(const char *name)
{
	return strstr(name, "rotary_emb") != NULL || strstr(name, bd_slot_info(BD_HEAD)->hf) != NULL;
}

static void warn_unknown(const struct bd_ckpt *k, const bool *used)
{
	const char *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < bd_st_count(k->st); i++) {
		const char *name = bd_st_at(k->st, i)->name;

		if (used[i] || harmless(name))
			continue;
		if (n++ == 0)
			first = name;
	}
	if (n > 0)
		bd_warn("%s: %zu tensors do not belong to a %s model and are ignored; the first is %s",
		        k->dir, n, bd_family_name(k->cfg.family), first);
}

struct bd_ckpt *bd_ckpt_open(const char *dir)
{
	struct bd_ckpt *k = bd_zalloc(1, sizeof(*k));

	if (!bd_is_dir(dir))
		bd_die(BD_DATA, "%s: not a model directory (config.json, model.safetensors, tokenizer.json)",
		       dir);
	k->dir = bd_strdup(dir);
	k->cfg = bd_config_load(dir);
	k->quant = bd_hf_quant_parse(k->cfg.json, dir);
	k->st = bd_st_open(dir);
	k->slot = bd_zalloc(bd_mul((size_t)k->cfg.layers, BD_SLOTS), sizeof(struct bd_st_tensor *));
	settle_prefix(k);
	settle_norms(k);
	settle_tied(k);
	bool *used = bd_zalloc(bd_st_count(k->st) + 1, sizeof(*used));
	bd_ckpt_each(k, find_slot, used);
	check_fold(k, used);
	warn_unknown(k, used);
	bd_free(used);
	return k;
}
