/* What a model is: the facts of a Hugging Face config.json that affect the arithmetic. Others are kept and
 * written back. */
#ifndef BD_CONFIG_H
#define BD_CONFIG_H

#include "base/json.h"
#include "base/word.h"
#include "text/special.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BD_QUANTIZER "absmean-absmax-int8" /* of a ternary model: bitdistill.quantizer */

/* BD_BITNET: BitNetForCausalLM, always subln */
enum bd_family { BD_LLAMA, BD_QWEN2, BD_QWEN3, BD_GEMMA3, BD_BITNET, BD_FAMILIES };
/* which linears have an RMSNorm on their input */
#define BD_NORMS_LIST(W) W(BD_NORMS_NONE, "none") W(BD_NORMS_SUBLN, "subln") W(BD_NORMS_ALL, "all")
enum bd_norms { BD_NORMS_LIST(BD_WORD_ID) };
enum bd_act { BD_SILU, BD_GELU_TANH, BD_RELU2 }; /* of the gate */
enum bd_rope_kind { BD_ROPE_DEFAULT, BD_ROPE_LINEAR, BD_ROPE_LLAMA3, BD_ROPE_YARN };

/* One set of rotary frequencies (transformers' modeling_rope_utils.py). */
struct bd_rope {
	enum bd_rope_kind kind;
	double theta, factor; /* factor: of all but the default */
	double low, high;     /* llama3: low/high_freq_factor; yarn: beta_slow, beta_fast */
	double original;      /* llama3, yarn: context before scaling */
	double attention;     /* yarn: factor on cos and sin; else 1 */
	bool truncate;        /* yarn: whole dimensions as bounds of the ramp */
};

struct bd_config {
	enum bd_family family;
	int hidden, layers, heads, kv_heads, head_dim, ffn, vocab, context;
	float eps; /* of every RMSNorm, SubLN included */
	struct bd_rope rope;
	struct bd_rope rope_local; /* of sliding layers; same as rope where the family has one */
	/* keys that a position of a sliding layer sees, itself included; 0: no layer slides */
	int window;
	bool *sliding;     /* [layers] (owned), NULL when window is 0 */
	float attn_scale;  /* of q.k: head_dim^-1/2, or query_pre_attn_scalar^-1/2 */
	float embed_scale; /* of embeddings: 1, or hidden^1/2 (gemma) */
	enum bd_act act;
	bool tied;    /* head = embedding */
	bool qk_norm; /* RMSNorm over head_dim of q and k, before rope */
	/* RMSNorm on what attention and ffn add to the residual stream (gemma's sandwich) */
	bool post_norms;
	/* files store gain - 1 of every norm but SubLN's; in memory (bd_model, bd_net)
	 * gains are the factors */
	bool gain_offset;
	bool attn_bias, mlp_bias;
	bool o_bias;  /* o_proj has a bias too (llama's attention_bias; not qwen2's) */
	bool ternary; /* linears run as ternary x int8 (the student) */
	enum bd_norms norms;
	struct bd_special special;
	/* the config.json as read, unknown keys kept; includes the "bitdistill" object */
	json_t *json;
	char name[64]; /* for messages: the directory's last component */
};

/* config.json: both dialects (rope_theta / rope_parameters, torch_dtype / dtype); unsupported features die by
 * name. In a directory, special is completed by its other files (special.h). */
struct bd_config bd_config_load(const char *dir_or_file);
struct bd_config bd_config_parse(const json_t *obj, const char *name);
struct bd_config bd_config_copy(const struct bd_config *c); /* deep copy: owns its json */
void bd_config_free(struct bd_config *c);
/* The bitdistill object of the config's json (made if absent; borrowed). Fields: see bd-model(5). */
json_t *bd_config_bitdistill(struct bd_config *c);
/* bitdistill.history; NULL if absent; borrowed. */
const json_t *bd_config_history(const struct bd_config *c);
/* config.json as text, with the bd_config's own facts (norms, ternary) written into the bitdistill object. */
json_t *bd_config_json(const struct bd_config *c);
/* model_type: "llama", "qwen2", "qwen3", "gemma3_text", "bitnet" */
const char *bd_family_name(enum bd_family f);
const char *bd_act_name(enum bd_act a);        /* "silu", "gelu_pytorch_tanh", "relu2" */
const char *bd_rope_name(enum bd_rope_kind k); /* "default", "linear", "llama3", "yarn" */
const char *bd_norms_name(enum bd_norms n);    /* "none", "subln", "all" */

#endif
