/* The facts of a packed file. Those of a foreign one are assembled into a config.json and parsed as one, with
 * all its checks. */
#include "pack/packed_config.h"

#include "base/mem.h"
#include "base/msg.h"

#include <stdio.h>
#include <string.h>

/* ---- written by bd-pack ---- */

json_t *bd_packed_history(const struct bd_gguf *g)
{
	json_t *list = json_array();
	const void *data;
	uint32_t type;
	size_t n;

	if (!bd_gguf_has(g, "bd.history"))
		return list;
	n = bd_gguf_array(g, "bd.history", &type, &data);
	for (size_t i = 0; type == BD_GGUF_STR && i < n; i++)
		json_array_append_new(list, bd_json_string(((const char *const *)data)[i]));
	return list;
}

static void own(const struct bd_gguf *g, struct bd_config *c, struct bd_layout *l)
{
	const char *path = bd_gguf_path(g), *target = bd_gguf_str_or(g, "bd.target", "bd"), *text;
	char *name = bd_sprintf("%s: bd.config", path), *why;
	enum bd_target t;
	uint64_t version;
	json_t *json;
	size_t n;

	version = bd_gguf_uint(g, "bd.version");
	if (version < 1 || version > BD_PACKED_VERSION)
		bd_die(BD_DATA, "%s: bd.version %llu; this program reads versions 1 to %d", path,
		       (unsigned long long)version, BD_PACKED_VERSION);
	text = bd_gguf_str(g, "bd.config", &n);
	json = bd_json_parse(text, n, name);
	*c = bd_config_parse(json, name);
	json_decref(json);
	bd_free(name);
	json_object_set_new(bd_config_bitdistill(c), "history", bd_packed_history(g));
	if (!bd_target_find(target, &t) || t == BD_TARGET_HF)
		bd_die(BD_DATA, "%s: unknown bd.target \"%s\"", path, target);
	why = bd_target_layout(l, c, t);
	if (why != NULL)
		bd_die(BD_DATA, "%s: bd.target is %s, which its config rules out: %s", path, target, why);
	text = bd_gguf_str(g, "general.architecture", NULL);
	if (strcmp(text, l->arch) != 0)
		bd_die(
		    BD_DATA,
		    "%s: general.architecture is %s, but target and config require %s; pack the model again",
		    path, text, l->arch);
}

/* ---- written by others ---- */

static const struct {
	const char *arch, *family, *act; /* act NULL: the family's */
} foreign[] = {
    {"bitnet", "bitnet", "silu"},     {"bitnet-b1.58", "bitnet", "relu2"},
    {"bitnet-25", "bitnet", "relu2"}, {"llama", "llama", NULL},
    {"qwen2", "qwen2", NULL},         {"qwen3", "qwen3", NULL},
    {"gemma3", "gemma3_text", NULL},
};
enum { FOREIGN = sizeof(foreign) / sizeof(*foreign) };

/* The file and its architecture, whose name is the prefix of its keys. */
struct source {
	const struct bd_gguf *g;
	const char *arch;
	json_t *json; /* the config that is made */
};

static char *key_of(const struct source *s, const char *key)
{
	return bd_sprintf("%s.%s", s->arch, key);
}

static void copy_int(const struct source *s, const char *to, const char *key, bool needed)
{
	char *full = key_of(s, key);

	if (needed || bd_gguf_has(s->g, full))
		json_object_set_new(s->json, to, json_integer((json_int_t)bd_gguf_uint(s->g, full)));
	bd_free(full);
}

static void copy_real(const struct source *s, const char *to, const char *key, bool needed)
{
	char *full = key_of(s, key);

	if (needed || bd_gguf_has(s->g, full))
		json_object_set_new(s->json, to, json_real(bd_gguf_real(s->g, full)));
	bd_free(full);
}

static void copy_scaling(const struct source *s)
{
	char *type = key_of(s, "rope.scaling.type"), *factor = key_of(s, "rope.scaling.factor");
	char *original = key_of(s, "rope.scaling.original_context_length");
	const char *kind = bd_gguf_str_or(s->g, type, "none");
	json_t *scaling = json_pack("{s:s}", "rope_type", kind);

	if (strcmp(kind, "none") != 0) {
		json_object_set_new(scaling, "factor", json_real(bd_gguf_real(s->g, factor)));
		if (bd_gguf_has(s->g, original))
			json_object_set_new(scaling, "original_max_position_embeddings",
			                    json_integer((json_int_t)bd_gguf_uint(s->g, original)));
		json_object_set(s->json, "rope_scaling", scaling);
	}
	json_decref(scaling);
	bd_free(type);
	bd_free(factor);
	bd_free(original);
}

static bool has_tensor(const struct source *s, const char *name)
{
	return bd_gguf_find(s->g, name) != NULL;
}

static const char *norms_of(const struct source *s)
{
	if (has_tensor(s, "blk.0.attn_q_norm_in.weight"))
		return "all";
	return has_tensor(s, "blk.0.attn_sub_norm.weight") ||
	               has_tensor(s, "blk.0.attn_output_norm_in.weight")
	           ? "subln"
	           : "none";
}

static void make_config(struct source *s, size_t row)
{
	const struct bd_gguf_tensor *embed = bd_gguf_find(s->g, "token_embd.weight");

	if (embed == NULL)
		bd_die(BD_DATA, "%s: tensor token_embd.weight is missing", bd_gguf_path(s->g));
	s->json = json_pack(
	    "{s:s, s:I, s:b, s:b, s:b, s:{s:s, s:s}}", "model_type", foreign[row].family, "vocab_size",
	    (json_int_t)embed->rows, "tie_word_embeddings", !has_tensor(s, "output.weight"), "attention_bias",
	    has_tensor(s, "blk.0.attn_q.bias"), "mlp_bias", has_tensor(s, "blk.0.ffn_up.bias"), "bitdistill",
	    "norms", norms_of(s), "weights", "ternary");
	if (foreign[row].act != NULL)
		json_object_set_new(s->json, "hidden_act", json_string(foreign[row].act));
	copy_int(s, "hidden_size", "embedding_length", true);
	copy_int(s, "num_hidden_layers", "block_count", true);
	copy_int(s, "intermediate_size", "feed_forward_length", true);
	copy_int(s, "num_attention_heads", "attention.head_count", true);
	copy_int(s, "num_key_value_heads", "attention.head_count_kv", false);
	copy_int(s, "head_dim", "rope.dimension_count", false);
	copy_int(s, "head_dim", "attention.key_length", false);
	copy_int(s, "query_pre_attn_scalar", "attention.key_length", false);
	copy_int(s, "max_position_embeddings", "context_length", true);
	copy_int(s, "sliding_window", "attention.sliding_window", false);
	copy_real(s, "rms_norm_eps", "attention.layer_norm_rms_epsilon", true);
	copy_real(s, "rope_theta", "rope.freq_base", false);
	copy_real(s, "rope_local_base_freq", "rope.freq_base_swa", false);
	copy_scaling(s);
}

static void other(const struct bd_gguf *g, struct bd_config *c, struct bd_layout *l)
{
	struct source s = {.g = g, .arch = bd_gguf_str_or(g, "general.architecture", "")};
	const char *path = bd_gguf_path(g);
	size_t i = 0;

	while (i < FOREIGN && strcmp(s.arch, foreign[i].arch) != 0)
		i++;
	if (i == FOREIGN)
		bd_die(
		    BD_DATA,
		    "%s: a GGUF file not written by bd-pack, with architecture \"%s\"; from other programs, "
		    "only bitnet, bitnet-b1.58, bitnet-25, llama, qwen2, qwen3 and gemma3 are supported",
		    path, s.arch);
	if (has_tensor(&s, "rope_freqs.weight"))
		bd_die(BD_DATA,
		       "%s: rope_freqs.weight scales rope by a table, which is not supported in files from "
		       "other programs",
		       path);
	make_config(&s, i);
	*c = bd_config_parse(s.json, path);
	json_decref(s.json);
	*l = (struct bd_layout){.target = BD_TARGET_STOCK, .pairs = strcmp(s.arch, "llama") == 0};
	snprintf(l->arch, sizeof(l->arch), "%s", s.arch);
	l->norm_in = has_tensor(&s, "blk.0.attn_output_norm_in.weight");
	l->folded = c->norms == BD_NORMS_SUBLN && has_tensor(&s, "blk.0.ffn_gate_norm_in.weight");
}

void bd_packed_config(const struct bd_gguf *g, struct bd_config *c, struct bd_layout *l)
{
	if (bd_gguf_has(g, "bd.version"))
		own(g, c, l);
	else
		other(g, c, l);
	c->ternary = true;
	if (c->special.n_eos == 0) /* of others; or of bd-pack, when only tokenizer_config.json named it */
		bd_special_gguf(&c->special, g, (size_t)c->vocab);
	if ((size_t)c->layers > bd_gguf_tensors(g) / BD_LINS) /* before anything of that size is allocated */
		bd_die(BD_DATA, "%s: %zu tensors are too few for the %d layers of its config",
		       bd_gguf_path(g), bd_gguf_tensors(g), c->layers);
}
