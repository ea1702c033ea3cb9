/* What a model is: the facts of a Hugging Face config.json that change the arithmetic. Others are kept and written back. */
#ifndef BD_CONFIG_H
#define BD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"

enum bd_family { BD_LLAMA, BD_QWEN3, BD_FAMILIES };
enum bd_norms { BD_NORMS_NONE, BD_NORMS_SUBLN, BD_NORMS_ALL }; /* which linears have an RMSNorm on their input */
enum bd_rope { BD_ROPE_DEFAULT, BD_ROPE_LINEAR, BD_ROPE_LLAMA3 };

struct bd_config {
	enum bd_family family;
	int hidden, layers, heads, kv_heads, head_dim, ffn, vocab, context;
	float eps;               /* of every RMSNorm, SubLN included */
	enum bd_rope rope;
	double rope_theta, rope_factor, rope_low, rope_high, rope_original; /* llama3: factor, low/high_freq_factor, original context */
	bool tied;               /* head = embedding */
	bool qk_norm;            /* RMSNorm over head_dim of q and k, before rope */
	bool attn_bias, mlp_bias;
	bool ternary;            /* linears run as ternary x int8 (the student) */
	enum bd_norms norms;
	int64_t bos;             /* -1: none */
	uint32_t eos[8];
	int n_eos;
	json_t *json;            /* the config.json as read, unknown keys kept; includes the "bitdistill" object */
	char name[64];           /* for messages: the directory's last component */
};

/* config.json: both dialects (rope_theta / rope_parameters, torch_dtype / dtype); what is asked for and not done here dies by name. */
struct bd_config bd_config_load(const char *dir_or_file); /* a directory's generation_config.json overrides eos and bos */
struct bd_config bd_config_parse(const json_t *obj, const char *name);
struct bd_config bd_config_copy(const struct bd_config *c); /* deep: owns its json */
void bd_config_free(struct bd_config *c);
/* The bitdistill object of the config's json (made if absent; borrowed). Fields: see bd-model(5). */
json_t *bd_config_bitdistill(struct bd_config *c);
/* bitdistill.history; NULL if absent; borrowed. */
const json_t *bd_config_history(const struct bd_config *c);
/* config.json as text, with the bd_config's own facts (norms, ternary) written into the bitdistill object. */
json_t *bd_config_json(const struct bd_config *c);
const char *bd_family_name(enum bd_family f); /* model_type: "llama", "qwen3" */
const char *bd_norms_name(enum bd_norms n);   /* "none", "subln", "all" */

#endif
