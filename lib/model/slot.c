/* Each tensor's names, kind and shape. */
#include "model/slot.h"

#include <stdio.h>
#include <string.h>

#define LAYER "model.layers.%d."
#define BLK   "blk.%d."
/* A linear: its weight, the gain of the norm on its input, its bias. */
#define LIN(l, hf_, gguf_, gguf_norm)                                                                        \
	[BD_W + l] = {LAYER hf_ ".weight", BLK gguf_ ".weight", BD_KIND_LINEAR, true},                       \
	        [BD_SUBLN + l] = {LAYER hf_ ".norm.weight", BLK gguf_norm ".weight", BD_KIND_GAIN, true},    \
	        [BD_BIAS + l] = {LAYER hf_ ".bias", BLK gguf_ ".bias", BD_KIND_BIAS, true}

static const struct bd_slot_info table[BD_SLOTS] = {
    [BD_EMBED] = {"model.embed_tokens.weight", "token_embd.weight", BD_KIND_TABLE, false},
    [BD_ATTN_NORM] = {LAYER "input_layernorm.weight", BLK "attn_norm.weight", BD_KIND_GAIN, true},
    [BD_Q_NORM] = {LAYER "self_attn.q_norm.weight", BLK "attn_q_norm.weight", BD_KIND_GAIN, true},
    [BD_K_NORM] = {LAYER "self_attn.k_norm.weight", BLK "attn_k_norm.weight", BD_KIND_GAIN, true},
    [BD_FFN_NORM] = {LAYER "post_attention_layernorm.weight", BLK "ffn_norm.weight", BD_KIND_GAIN, true},
    [BD_ATTN_POST] = {LAYER "post_attention_layernorm.weight", BLK "post_attention_norm.weight", BD_KIND_GAIN,
                      true},
    [BD_FFN_POST] = {LAYER "post_feedforward_layernorm.weight", BLK "post_ffw_norm.weight", BD_KIND_GAIN,
                     true},
    LIN(BD_LIN_Q, "self_attn.q_proj", "attn_q", "attn_q_norm_in"),
    LIN(BD_LIN_K, "self_attn.k_proj", "attn_k", "attn_k_norm_in"),
    LIN(BD_LIN_V, "self_attn.v_proj", "attn_v", "attn_v_norm_in"),
    LIN(BD_LIN_O, "self_attn.o_proj", "attn_output", "attn_sub_norm"),
    LIN(BD_LIN_GATE, "mlp.gate_proj", "ffn_gate", "ffn_gate_norm_in"),
    LIN(BD_LIN_UP, "mlp.up_proj", "ffn_up", "ffn_up_norm_in"),
    LIN(BD_LIN_DOWN, "mlp.down_proj", "ffn_down", "ffn_sub_norm"),
    [BD_FINAL_NORM] = {"model.norm.weight", "output_norm.weight", BD_KIND_GAIN, false},
    [BD_HEAD] = {"lm_head.weight", "output.weight", BD_KIND_TABLE, false},
};

/* SubLN's names: ours, transformers' use_rms_norm, BitNetForCausalLM, 1bitLLM's files. */
#define ALIASES 4
static const char *const aliases[BD_SLOTS][ALIASES] = {
    [BD_SUBLN + BD_LIN_Q] = {LAYER "self_attn.q_proj.rms_norm.weight"},
    [BD_SUBLN + BD_LIN_K] = {LAYER "self_attn.k_proj.rms_norm.weight"},
    [BD_SUBLN + BD_LIN_V] = {LAYER "self_attn.v_proj.rms_norm.weight"},
    [BD_SUBLN + BD_LIN_O] = {LAYER "self_attn.o_proj.norm.weight", LAYER "self_attn.o_proj.rms_norm.weight",
                             LAYER "self_attn.attn_sub_norm.weight", LAYER "self_attn.inner_attn_ln.weight"},
    [BD_SUBLN + BD_LIN_GATE] = {LAYER "mlp.gate_proj.rms_norm.weight"},
    [BD_SUBLN + BD_LIN_UP] = {LAYER "mlp.up_proj.rms_norm.weight"},
    [BD_SUBLN + BD_LIN_DOWN] = {LAYER "mlp.down_proj.norm.weight", LAYER "mlp.down_proj.rms_norm.weight",
                                LAYER "mlp.ffn_sub_norm.weight", LAYER "mlp.ffn_layernorm.weight"},
};

const struct bd_slot_info *bd_slot_info(enum bd_slot s)
{
	return &table[s];
}

size_t bd_lin_in(const struct bd_config *c, enum bd_lin l)
{
	return (size_t)(l == BD_LIN_O ? c->heads * c->head_dim : l == BD_LIN_DOWN ? c->ffn : c->hidden);
}

size_t bd_lin_out(const struct bd_config *c, enum bd_lin l)
{
	switch (l) {
	case BD_LIN_Q:
		return (size_t)(c->heads * c->head_dim);
	case BD_LIN_K:
	case BD_LIN_V:
		return (size_t)(c->kv_heads * c->head_dim);
	case BD_LIN_GATE:
	case BD_LIN_UP:
		return (size_t)c->ffn;
	default:
		return (size_t)c->hidden;
	}
}

/* The linear of a slot of group `first` (BD_W, BD_SUBLN or BD_BIAS), or -1. */
static int lin_of(enum bd_slot s, enum bd_slot first)
{
	return s >= first && s < first + BD_LINS ? (int)s - (int)first : -1;
}

bool bd_slot_exists(const struct bd_config *c, enum bd_slot s)
{
	int norm = lin_of(s, BD_SUBLN), bias = lin_of(s, BD_BIAS);

	if (norm >= 0)
		return c->norms == BD_NORMS_ALL ||
		       (c->norms == BD_NORMS_SUBLN && (norm == BD_LIN_O || norm == BD_LIN_DOWN));
	if (bias >= 0)
		return bias < BD_LIN_O ? c->attn_bias : bias == BD_LIN_O ? c->o_bias : c->mlp_bias;
	if (s == BD_ATTN_POST || s == BD_FFN_POST)
		return c->post_norms;
	if (s == BD_Q_NORM || s == BD_K_NORM)
		return c->qk_norm;
	return s != BD_HEAD || !c->tied;
}

void bd_slot_shape(const struct bd_config *c, enum bd_slot s, size_t *rows, size_t *cols)
{
	int w = lin_of(s, BD_W), norm = lin_of(s, BD_SUBLN), bias = lin_of(s, BD_BIAS);

	*rows = 1;
	*cols = (size_t)c->hidden;
	if (w >= 0) {
		*rows = bd_lin_out(c, (enum bd_lin)w);
		*cols = bd_lin_in(c, (enum bd_lin)w);
	} else if (norm >= 0) {
		*cols = bd_lin_in(c, (enum bd_lin)norm);
	} else if (bias >= 0) {
		*cols = bd_lin_out(c, (enum bd_lin)bias);
	} else if (s == BD_Q_NORM || s == BD_K_NORM) {
		*cols = (size_t)c->head_dim;
	} else if (s == BD_EMBED || s == BD_HEAD) {
		*rows = (size_t)c->vocab;
	}
}

/* A table entry with its %d replaced. */
static void print_name(const char *pattern, int layer, char *out, size_t n)
{
	const char *d = strstr(pattern, "%d");

	if (d == NULL)
		snprintf(out, n, "%s", pattern);
	else
		snprintf(out, n, "%.*s%d%s", (int)(d - pattern), pattern, layer, d + 2);
}

/* With sandwich norms, the norm before the ffn has its own name; in BitNetForCausalLM, the two of SubLN
 * do. */
static const char *hf_name(const struct bd_config *c, enum bd_slot s)
{
	if (s == BD_FFN_NORM && c->post_norms)
		return LAYER "pre_feedforward_layernorm.weight";
	if (c->family == BD_BITNET && s == BD_SUBLN + BD_LIN_O)
		return LAYER "self_attn.attn_sub_norm.weight";
	if (c->family == BD_BITNET && s == BD_SUBLN + BD_LIN_DOWN)
		return LAYER "mlp.ffn_sub_norm.weight";
	return table[s].hf;
}

void bd_slot_name(const struct bd_config *c, enum bd_slot s, int layer, char *out, size_t n)
{
	print_name(hf_name(c, s), layer, out, n);
}

void bd_slot_gguf_name(enum bd_slot s, int layer, char *out, size_t n)
{
	print_name(table[s].gguf, layer, out, n);
}

bool bd_slot_alias(enum bd_slot s, int i, int layer, char *out, size_t n)
{
	if (i >= ALIASES || aliases[s][i] == NULL)
		return false;
	print_name(aliases[s][i], layer, out, n);
	return true;
}

bool bd_slot_offset(const struct bd_config *c, enum bd_slot s)
{
	return c->gain_offset && table[s].kind == BD_KIND_GAIN && lin_of(s, BD_SUBLN) < 0;
}
