/* config.json, reading. Two dialects are read: transformers v4 (rope_theta, rope_scaling, torch_dtype) and v5
 * (rope_parameters, dtype). What would change the arithmetic and is not supported is refused by name. */
#include "base/io.h"
#include "base/kind.h"
#include "base/mem.h"
#include "base/msg.h"
#include "model/config.h"
#include "model/config_rope.h"
#include "model/family.h"
#include "model/hf_quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_WIDTH 131072 /* of a linear: the integer sums of kern.h stay exact */

static const char *const acts[] = {
    [BD_SILU] = "silu", [BD_GELU_TANH] = "gelu_pytorch_tanh", [BD_RELU2] = "relu2"};
static const char *const norms[] = {BD_NORMS_LIST(BD_WORD_TEXT)};
static const char *const weights[] = {"full", "ternary"};

const char *bd_act_name(enum bd_act a)
{
	return acts[a];
}

const char *bd_norms_name(enum bd_norms n)
{
	return norms[n];
}

/* Index of the word obj[key] among words[n], or def when absent. */
static int word(const json_t *obj, const char *key, const char *const *words, int n, int def,
                const char *name)
{
	const char *s = bd_json_str(obj, key, NULL, name);
	struct bd_buf list = {0};

	if (s == NULL)
		return def;
	for (int i = 0; i < n; i++)
		if (strcmp(s, words[i]) == 0)
			return i;
	for (int i = 0; i < n; i++)
		bd_buf_fmt(&list, "%s%s", i == 0 ? "" : ", ", words[i]);
	bd_die(BD_DATA, "%s: %s \"%s\" is not supported; supported are: %s", name, key, s, list.p);
}

static int dimension(const json_t *obj, const char *key, int def, int max, const char *name)
{
	int v = (int)bd_json_int(obj, key, def, 1, max, name);

	if (v == 0)
		bd_die(BD_DATA, "%s: \"%s\" is missing", name, key);
	return v;
}

static void refuse_if(bool wrong, const char *name, const char *what)
{
	if (wrong)
		bd_die(BD_DATA, "%s: %s is not supported", name, what);
}

/* What the families' configs may request and this program does not support. */
static void refuse_unsupported(const json_t *j, const char *name)
{
	refuse_if(bd_json_int(j, "pretraining_tp", 1, 0, INT32_MAX, name) > 1, name,
	          "pretraining_tp above 1");
	refuse_if(bd_json_real(j, "partial_rotary_factor", 1, name) != 1, name,
	          "partial_rotary_factor other than 1");
	refuse_if(bd_json_bool(j, "rope_interleaved", false, name), name, "rope_interleaved");
	refuse_if(bd_json_get(j, "attn_logit_softcapping") != NULL ||
	              bd_json_get(j, "final_logit_softcapping") != NULL,
	          name, "logit softcapping");
	refuse_if(bd_json_bool(j, "use_bidirectional_attention", false, name), name,
	          "use_bidirectional_attention");
	refuse_if(bd_json_get(j, "num_experts") != NULL || bd_json_get(j, "num_local_experts") != NULL, name,
	          "a mixture of experts");
}

static enum bd_family parse_family(const json_t *j, const char *name)
{
	const char *names[BD_FAMILIES], *type = bd_json_str(j, "model_type", "", name);

	for (int i = 0; i < BD_FAMILIES; i++)
		names[i] = bd_family_name((enum bd_family)i);
	if (strcmp(type, "gemma3") == 0)
		bd_die(BD_DATA,
		       "%s: model_type \"gemma3\" includes images, which are not supported; load the model "
		       "as Gemma3ForCausalLM in transformers and save it as gemma3_text",
		       name);
	int family = word(j, "model_type", names, BD_FAMILIES, -1, name);
	if (family < 0)
		bd_die(BD_DATA, "%s: \"model_type\" is missing", name);
	return (enum bd_family)family;
}

static enum bd_act parse_act(const struct bd_config *c, const json_t *j, const char *name)
{
	const struct bd_family_row *f = bd_family_row(c->family);

	if (strcmp(bd_json_str(j, f->act_key, "", name), "swish") == 0)
		return BD_SILU;
	return (enum bd_act)word(j, f->act_key, acts, 3, (int)f->act, name);
}

static double positive(const json_t *obj, const char *key, double def, const char *name)
{
	double v = bd_json_real(obj, key, def, name);

	if (!(v > 0) || !isfinite(v))
		bd_die(BD_DATA, "%s: \"%s\" is missing or not positive", name, key);
	return v;
}

/* Whether layer i slides: by layer_types, or by the family's rule. */
static bool slides(const struct bd_config *c, const json_t *j, int i, const char *name)
{
	static const char *const types[] = {"full_attention", "sliding_attention"};
	const json_t *list = bd_json_get(j, "layer_types");

	if (list != NULL) {
		json_t *one = json_pack("{s:O}", "layer_types", json_array_get(list, (size_t)i));
		int type = word(one, "layer_types", types, 2, 0, name);

		json_decref(one);
		return type == 1;
	}
	if (bd_family_row(c->family)->slides == BD_SLIDES_BUT)
		return (i + 1) % bd_json_int(j, "sliding_window_pattern", 6, 1, INT32_MAX, name) != 0;
	return bd_json_bool(j, "use_sliding_window", false, name) &&
	       i >= bd_json_int(j, "max_window_layers", 28, 0, INT32_MAX, name);
}

/* Sliding layers, of the families that have them. */
static void parse_sliding(struct bd_config *c, const json_t *j, const char *name)
{
	const json_t *list = bd_json_get(j, "layer_types");
	enum bd_slides rule = bd_family_row(c->family)->slides;
	bool any = false, asks = rule == BD_SLIDES_FROM;

	if (list != NULL && json_array_size(list) != (size_t)c->layers)
		bd_die(BD_DATA, "%s: layer_types has %zu entries for %d layers", name, json_array_size(list),
		       c->layers);
	c->sliding = bd_zalloc((size_t)c->layers, sizeof(*c->sliding));
	for (int i = 0; i < c->layers; i++)
		any |= c->sliding[i] = slides(c, j, i, name);
	if (any && (asks ? !bd_json_bool(j, "use_sliding_window", false, name) : rule == BD_SLIDES_NONE))
		bd_die(BD_DATA, "%s: layer_types has sliding_attention, but %s", name,
		       asks ? "use_sliding_window is false" : "this family has no sliding attention");
	if (any) {
		c->window = (int)bd_json_int(j, "sliding_window", 4096, 1, INT32_MAX, name);
		return;
	}
	bd_free(c->sliding);
	c->sliding = NULL;
}

static void parse_bitdistill(struct bd_config *c, const json_t *j, const char *name)
{
	const json_t *b = bd_json_get(j, "bitdistill");
	const struct bd_family_row *f = bd_family_row(c->family);

	if (b != NULL && !json_is_object(b))
		bd_die(BD_DATA, "%s: bitdistill is not an object", name);
	c->norms = (enum bd_norms)word(b, "norms", norms, 3, (int)f->norms, name);
	c->ternary = word(b, "weights", weights, 2, bd_hf_quant_parse(j, name).ternary, name) == 1;
	if (f->norms != BD_NORMS_NONE && c->norms != f->norms)
		bd_die(BD_DATA, "%s: bitdistill.norms is \"%s\", but a %s model has %s", name,
		       norms[c->norms], f->name, norms[f->norms]);
	if (strcmp(bd_json_str(b, "quantizer", BD_QUANTIZER, name), BD_QUANTIZER) != 0)
		bd_die(BD_DATA, "%s: bitdistill.quantizer \"%s\" is not supported, only " BD_QUANTIZER, name,
		       bd_json_str(b, "quantizer", "", name));
	if ((float)bd_json_real(b, "eps", c->eps, name) != c->eps)
		bd_die(
		    BD_DATA,
		    "%s: bitdistill.eps differs from rms_norm_eps; only one eps for all norms is supported",
		    name);
}

static void parse_shape(struct bd_config *c, const json_t *j, const char *name)
{
	c->hidden = dimension(j, "hidden_size", 0, MAX_WIDTH, name);
	c->layers = dimension(j, "num_hidden_layers", 0, 4096, name);
	c->heads = dimension(j, "num_attention_heads", 0, 4096, name);
	c->kv_heads = dimension(j, "num_key_value_heads", c->heads, 4096, name);
	c->ffn = dimension(j, "intermediate_size", 0, MAX_WIDTH, name);
	c->vocab = dimension(j, "vocab_size", 0, 1 << 24, name);
	c->context = dimension(j, "max_position_embeddings", 2048, 1 << 30, name);
	int head_dim = bd_family_row(c->family)->head_dim;
	if (bd_json_get(j, "head_dim") == NULL && head_dim == 0 && c->hidden % c->heads != 0)
		bd_die(BD_DATA, "%s: hidden_size %d cannot be divided into %d heads", name, c->hidden,
		       c->heads);
	c->head_dim = dimension(j, "head_dim", head_dim > 0 ? head_dim : c->hidden / c->heads, 4096, name);
	if (c->head_dim % 2 != 0)
		bd_die(BD_DATA, "%s: head_dim %d is odd; rope rotates pairs", name, c->head_dim);
	if (c->heads % c->kv_heads != 0)
		bd_die(BD_DATA, "%s: %d heads cannot be divided among %d key/value heads", name, c->heads,
		       c->kv_heads);
	if (c->heads * c->head_dim > MAX_WIDTH)
		bd_die(BD_DATA, "%s: %d heads of size %d exceed a width of %d", name, c->heads, c->head_dim,
		       MAX_WIDTH);
}

static void set_name(struct bd_config *c, const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	const char *slash = memrchr(path, '/', n - (n > 0));
	const char *base = slash != NULL ? slash + 1 : path;
	snprintf(c->name, sizeof(c->name), "%.*s", (int)(n - (size_t)(base - path)), base);
}

/* The facts of attention, norms and activation. */
static void parse_block(struct bd_config *c, const json_t *j, const char *name)
{
	const struct bd_family_row *f = bd_family_row(c->family);
	double scalar = f->gemma ? positive(j, "query_pre_attn_scalar", 256, name) : c->head_dim;

	c->eps = (float)positive(j, "rms_norm_eps", f->eps, name);
	c->act = parse_act(c, j, name);
	c->tied = bd_json_bool(j, "tie_word_embeddings", f->tied, name);
	c->qk_norm = f->qk_norm;
	c->post_norms = c->gain_offset = f->gemma;
	c->attn_scale = (float)(1.0 / sqrt(scalar));
	c->embed_scale = f->gemma ? (float)sqrt(c->hidden) : 1;
	c->attn_bias = f->qkv_bias || bd_json_bool(j, "attention_bias", false, name);
	c->o_bias = c->attn_bias && !f->qkv_bias;
	c->mlp_bias = f->mlp_bias && bd_json_bool(j, "mlp_bias", false, name);
}

struct bd_config bd_config_parse(const json_t *obj, const char *name)
{
	struct bd_config c = {.special = BD_SPECIAL_NONE};

	if (!json_is_object(obj))
		bd_die(BD_DATA, "%s: not a JSON object", name);
	c.family = parse_family(obj, name);
	refuse_unsupported(obj, name);
	parse_shape(&c, obj, name);
	bd_config_read_rope(&c, obj, name);
	parse_block(&c, obj, name);
	parse_sliding(&c, obj, name);
	bd_special_config(&c.special, obj, (size_t)c.vocab, name);
	parse_bitdistill(&c, obj, name);
	c.json = json_deep_copy(obj);
	set_name(&c, name);
	return c;
}

struct bd_config bd_config_load(const char *dir_or_file)
{
	bool dir = bd_is_dir(dir_or_file);
	char *path = dir ? bd_path(dir_or_file, "config.json") : bd_strdup(dir_or_file);
	char *kind = dir && !bd_exists(path) ? bd_dir_kind(dir_or_file) : NULL;

	if (kind != NULL)
		bd_die(BD_DATA, "%s: has no config.json; its %s", dir_or_file, kind);
	json_t *j = bd_json_load(path);
	struct bd_config c = bd_config_parse(j, path);

	if (dir)
		bd_special_dir(&c.special, dir_or_file, (size_t)c.vocab);
	set_name(&c, dir_or_file);
	json_decref(j);
	bd_free(path);
	return c;
}

struct bd_config bd_config_copy(const struct bd_config *c)
{
	struct bd_config copy = *c;

	copy.json = json_deep_copy(c->json);
	if (c->sliding != NULL) {
		copy.sliding = bd_alloc((size_t)c->layers, sizeof(*copy.sliding));
		memcpy(copy.sliding, c->sliding, (size_t)c->layers * sizeof(*copy.sliding));
	}
	return copy;
}

void bd_config_free(struct bd_config *c)
{
	json_decref(c->json);
	bd_free(c->sliding);
	*c = (struct bd_config){0};
}

json_t *bd_config_bitdistill(struct bd_config *c)
{
	json_t *b = bd_json_get(c->json, "bitdistill");

	if (b == NULL) {
		b = json_object();
		json_object_set_new(c->json, "bitdistill", b);
	}
	return b;
}

const json_t *bd_config_history(const struct bd_config *c)
{
	return bd_json_get(bd_json_get(c->json, "bitdistill"), "history");
}
