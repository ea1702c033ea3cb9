/* config.json. Two dialects are read: transformers v4 (rope_theta, rope_scaling, torch_dtype) and v5 (rope_parameters, dtype). What
 * would change the arithmetic and is not done here is refused by name. */
#include "config.h"

#include "io.h"
#include "mem.h"
#include "msg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_WIDTH 131072 /* of a linear: the integer sums of kern.h stay exact */
#define QUANTIZER "absmean-absmax-int8"

static const char *const families[BD_FAMILIES] = {[BD_LLAMA] = "llama", [BD_QWEN3] = "qwen3"};
static const char *const norms[] = {[BD_NORMS_NONE] = "none", [BD_NORMS_SUBLN] = "subln", [BD_NORMS_ALL] = "all"};
static const char *const weights[] = {"full", "ternary"};
static const char *const ropes[] = {[BD_ROPE_DEFAULT] = "default", [BD_ROPE_LINEAR] = "linear", [BD_ROPE_LLAMA3] = "llama3"};

const char *bd_family_name(enum bd_family f)
{
	return families[f];
}

const char *bd_norms_name(enum bd_norms n)
{
	return norms[n];
}

/* Index of the word obj[key] among words[n], or def when absent. */
static int word(const json_t *obj, const char *key, const char *const *words, int n, int def, const char *name)
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

/* Options of other models that these families' configs may carry. */
static void refuse_unsupported(const json_t *j, const char *name)
{
	const char *act = bd_json_str(j, "hidden_act", "silu", name);
	const json_t *quant = bd_json_get(j, "quantization_config"), *types = bd_json_get(j, "layer_types"), *type;
	size_t i;

	if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
		bd_die(BD_DATA, "%s: hidden_act \"%s\" is not supported, only silu", name, act);
	if (quant != NULL)
		bd_die(BD_DATA, "%s: weights quantised by \"%s\" are not read; start from the full-precision model", name,
		       bd_json_str(quant, "quant_method", "?", name));
	refuse_if(bd_json_bool(j, "use_sliding_window", false, name), name, "use_sliding_window");
	json_array_foreach(types, i, type)
		refuse_if(!json_is_string(type) || strcmp(json_string_value(type), "full_attention") != 0, name,
		          "a layer type other than full_attention");
	refuse_if(bd_json_int(j, "pretraining_tp", 1, 0, INT32_MAX, name) > 1, name, "pretraining_tp above 1");
	refuse_if(bd_json_real(j, "partial_rotary_factor", 1, name) != 1, name, "partial_rotary_factor other than 1");
	refuse_if(bd_json_bool(j, "rope_interleaved", false, name), name, "rope_interleaved");
	refuse_if(bd_json_get(j, "attn_logit_softcapping") || bd_json_get(j, "final_logit_softcapping"), name,
	          "logit softcapping");
}

static double positive(const json_t *obj, const char *key, double def, const char *name)
{
	double v = bd_json_real(obj, key, def, name);

	if (!(v > 0) || !isfinite(v))
		bd_die(BD_DATA, "%s: \"%s\" is missing or not positive", name, key);
	return v;
}

/* v5 keeps everything in rope_parameters, v4 rope_theta beside rope_scaling; old files say "type" for "rope_type". */
static void parse_rope(struct bd_config *c, const json_t *j, const char *name)
{
	const json_t *p = bd_json_get(j, "rope_parameters"), *scaling = p != NULL ? p : bd_json_get(j, "rope_scaling");
	const char *key = bd_json_get(scaling, "rope_type") != NULL ? "rope_type" : "type";

	c->rope_theta = positive(bd_json_get(p, "rope_theta") != NULL ? p : j, "rope_theta", 10000, name);
	c->rope_factor = c->rope_low = c->rope_high = c->rope_original = 1;
	c->rope = (enum bd_rope)word(scaling, key, ropes, 3, BD_ROPE_DEFAULT, name);
	refuse_if(bd_json_real(scaling, "partial_rotary_factor", 1, name) != 1, name, "partial_rotary_factor other than 1");
	if (c->rope == BD_ROPE_DEFAULT)
		return;
	c->rope_factor = positive(scaling, "factor", 0, name);
	if (c->rope == BD_ROPE_LINEAR)
		return;
	c->rope_low = positive(scaling, "low_freq_factor", 0, name);
	c->rope_high = positive(scaling, "high_freq_factor", 0, name);
	c->rope_original = positive(scaling, "original_max_position_embeddings", 0, name);
	if (c->rope_high <= c->rope_low)
		bd_die(BD_DATA, "%s: high_freq_factor must be above low_freq_factor", name);
}

static void add_eos(struct bd_config *c, const json_t *id, const char *name)
{
	size_t max = sizeof(c->eos) / sizeof(c->eos[0]);

	if (!json_is_integer(id))
		bd_die(BD_DATA, "%s: eos_token_id is neither an integer nor a list of integers", name);
	/* An id that the vocabulary lacks can never be generated. */
	if (json_integer_value(id) < 0 || json_integer_value(id) >= c->vocab)
		return;
	if ((size_t)c->n_eos == max)
		bd_die(BD_DATA, "%s: eos_token_id: more than %zu of them", name, max);
	c->eos[c->n_eos++] = (uint32_t)json_integer_value(id);
}

static void parse_special(struct bd_config *c, const json_t *j, const char *name)
{
	const json_t *eos = bd_json_get(j, "eos_token_id"), *id;
	size_t i;

	c->bos = bd_json_int(j, "bos_token_id", c->bos, -1, INT32_MAX, name);
	if (eos != NULL)
		c->n_eos = 0;
	if (json_is_array(eos))
		json_array_foreach(eos, i, id)
			add_eos(c, id, name);
	else if (eos != NULL)
		add_eos(c, eos, name);
}

static void parse_bitdistill(struct bd_config *c, const json_t *b, const char *name)
{
	if (b != NULL && !json_is_object(b))
		bd_die(BD_DATA, "%s: bitdistill is no object", name);
	c->norms = (enum bd_norms)word(b, "norms", norms, 3, BD_NORMS_NONE, name);
	c->ternary = word(b, "weights", weights, 2, 0, name) == 1;
	if (strcmp(bd_json_str(b, "quantizer", QUANTIZER, name), QUANTIZER) != 0)
		bd_die(BD_DATA, "%s: bitdistill.quantizer \"%s\" is not supported, only " QUANTIZER, name,
		       bd_json_str(b, "quantizer", "", name));
	if ((float)bd_json_real(b, "eps", c->eps, name) != c->eps)
		bd_die(BD_DATA, "%s: bitdistill.eps differs from rms_norm_eps; one eps for all norms is supported", name);
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
	/* Qwen3's default is a number, Llama's a quotient. */
	int head_dim = c->family == BD_QWEN3 ? 128 : c->hidden / c->heads;
	if (bd_json_get(j, "head_dim") == NULL && c->family != BD_QWEN3 && c->hidden % c->heads != 0)
		bd_die(BD_DATA, "%s: hidden_size %d does not divide into %d heads", name, c->hidden, c->heads);
	c->head_dim = dimension(j, "head_dim", head_dim, 4096, name);
	if (c->head_dim % 2 != 0)
		bd_die(BD_DATA, "%s: head_dim %d is odd; rope turns pairs", name, c->head_dim);
	if (c->heads % c->kv_heads != 0)
		bd_die(BD_DATA, "%s: %d heads do not divide into %d key/value heads", name, c->heads, c->kv_heads);
	if (c->heads * c->head_dim > MAX_WIDTH)
		bd_die(BD_DATA, "%s: %d heads of %d exceed %d", name, c->heads, c->head_dim, MAX_WIDTH);
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

struct bd_config bd_config_parse(const json_t *obj, const char *name)
{
	struct bd_config c = {.bos = -1};
	int family;

	if (!json_is_object(obj))
		bd_die(BD_DATA, "%s: is no JSON object", name);
	family = word(obj, "model_type", families, BD_FAMILIES, -1, name);
	if (family < 0)
		bd_die(BD_DATA, "%s: \"model_type\" is missing; llama and qwen3 are supported", name);
	c.family = (enum bd_family)family;
	refuse_unsupported(obj, name);
	parse_shape(&c, obj, name);
	parse_rope(&c, obj, name);
	c.eps = (float)positive(obj, "rms_norm_eps", 1e-6, name);
	c.tied = bd_json_bool(obj, "tie_word_embeddings", false, name);
	c.qk_norm = c.family == BD_QWEN3;
	c.attn_bias = bd_json_bool(obj, "attention_bias", false, name);
	c.mlp_bias = c.family == BD_LLAMA && bd_json_bool(obj, "mlp_bias", false, name);
	parse_special(&c, obj, name);
	parse_bitdistill(&c, bd_json_get(obj, "bitdistill"), name);
	c.json = json_deep_copy(obj);
	set_name(&c, name);
	return c;
}

static void parse_generation(struct bd_config *c, const char *dir)
{
	char *path = bd_path(dir, "generation_config.json");

	if (bd_exists(path)) {
		json_t *j = bd_json_load(path);
		parse_special(c, j, path);
		json_decref(j);
	}
	bd_free(path);
}

struct bd_config bd_config_load(const char *dir_or_file)
{
	bool dir = bd_is_dir(dir_or_file);
	char *path = dir ? bd_path(dir_or_file, "config.json") : bd_strdup(dir_or_file);
	json_t *j = bd_json_load(path);
	struct bd_config c = bd_config_parse(j, path);

	if (dir)
		parse_generation(&c, dir_or_file);
	set_name(&c, dir_or_file);
	json_decref(j);
	bd_free(path);
	return c;
}

struct bd_config bd_config_copy(const struct bd_config *c)
{
	struct bd_config copy = *c;

	copy.json = json_deep_copy(c->json);
	return copy;
}

void bd_config_free(struct bd_config *c)
{
	json_decref(c->json);
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

/* Both dialects say the same, so that either kind of reader finds what it looks for. */
static void write_rope(const struct bd_config *c, json_t *j)
{
	json_t *p = json_pack("{s:f, s:s}", "rope_theta", c->rope_theta, "rope_type", ropes[c->rope]);

	if (c->rope != BD_ROPE_DEFAULT)
		json_object_set_new(p, "factor", json_real(c->rope_factor));
	if (c->rope == BD_ROPE_LLAMA3) {
		json_object_set_new(p, "low_freq_factor", json_real(c->rope_low));
		json_object_set_new(p, "high_freq_factor", json_real(c->rope_high));
		json_object_set_new(p, "original_max_position_embeddings", json_integer((json_int_t)c->rope_original));
	}
	json_t *scaling = c->rope == BD_ROPE_DEFAULT ? json_null() : json_deep_copy(p);
	json_object_del(scaling, "rope_theta"); /* nothing for null */
	json_object_set_new(j, "rope_theta", json_real(c->rope_theta));
	json_object_set_new(j, "rope_scaling", scaling);
	json_object_set_new(j, "rope_parameters", p);
}

/* eps is a float: its shortest decimal form, not the double next to it. */
static json_t *short_real(float x)
{
	char s[32];
	double v = x;

	for (int digits = 1; digits <= 9; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, (double)x);
		sscanf(s, "%lf", &v);
		if ((float)v == x)
			break;
	}
	return json_real(v);
}

json_t *bd_config_json(const struct bd_config *c)
{
	struct bd_config copy = bd_config_copy(c);
	json_t *b = bd_config_bitdistill(&copy);

	write_rope(c, copy.json);
	json_object_set_new(copy.json, "tie_word_embeddings", json_boolean(c->tied));
	json_object_set_new(b, "norms", json_string(norms[c->norms]));
	json_object_set_new(b, "weights", json_string(weights[c->ternary]));
	json_object_set_new(b, "eps", short_real(c->eps));
	json_object_set_new(b, "quantizer", json_string(QUANTIZER));
	return copy.json;
}
