/* A model: its config and its tensors, from and to Hugging Face directories. THE table of tensor slots is
 * here: loader, saver, optimiser, packer and bd-info all walk it.
 *
 * Letters used everywhere: T tokens of a batch, C hidden size, H query heads, G key/value heads, D head size,
 * F ffn size, V vocabulary, L layers. */
#ifndef BD_MODEL_H
#define BD_MODEL_H

#include "format/safetensors.h"
#include "machine/par.h"
#include "model/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bd_lin { BD_LIN_Q, BD_LIN_K, BD_LIN_V, BD_LIN_O, BD_LIN_GATE, BD_LIN_UP, BD_LIN_DOWN, BD_LINS };

/* Slots: what a tensor is. Per-layer slots repeat for each layer. */
enum bd_slot {
	BD_EMBED,                          /* [V, C] */
	BD_ATTN_NORM,                      /* [C] */
	BD_Q_NORM,                         /* [D] */
	BD_K_NORM,                         /* [D] */
	BD_FFN_NORM,                       /* [C] */
	BD_ATTN_POST,                      /* [C] norm of what attention adds (post_norms) */
	BD_FFN_POST,                       /* [C] norm of what the ffn adds (post_norms) */
	BD_W,                              /* + enum bd_lin: [out, in] */
	BD_SUBLN = BD_W + BD_LINS,         /* + enum bd_lin: [in], gain of the norm on the linear's input */
	BD_BIAS = BD_SUBLN + BD_LINS,      /* + enum bd_lin: [out] */
	BD_FINAL_NORM = BD_BIAS + BD_LINS, /* [C] */
	BD_HEAD,                           /* [V, C], absent when tied */
	BD_SLOTS
};
enum bd_kind { BD_KIND_TABLE, BD_KIND_LINEAR, BD_KIND_GAIN, BD_KIND_BIAS };

struct bd_slot_info {
	/* "model.layers.%d.self_attn.q_proj.weight"; no %d: not per layer. Some families have
	 * another: bd_slot_name */
	const char *hf;
	const char *gguf; /* "blk.%d.attn_q.weight" */
	enum bd_kind kind;
	bool per_layer;
};
const struct bd_slot_info *bd_slot_info(enum bd_slot s);
/* Whether a model of this config has the slot, and its shape; a vector has rows 1. */
bool bd_slot_exists(const struct bd_config *c, enum bd_slot s);
void bd_slot_shape(const struct bd_config *c, enum bd_slot s, size_t *rows, size_t *cols);
void bd_slot_name(const struct bd_config *c, enum bd_slot s, int layer, char *out, size_t n); /* HF name */
void bd_slot_gguf_name(enum bd_slot s, int layer, char *out, size_t n);
size_t bd_lin_in(const struct bd_config *c, enum bd_lin l);
size_t bd_lin_out(const struct bd_config *c, enum bd_lin l);

/* Whether files hold the gain - 1. */
bool bd_slot_offset(const struct bd_config *c, enum bd_slot s);

/* Spellings of a slot's tensor that are read beside its name: i = 0, 1, ...; false when there is no i-th. */
bool bd_slot_alias(enum bd_slot s, int i, int layer, char *out, size_t n);

/* A checkpoint on disk, tensor by tensor, nothing copied: for tools that must not hold a model in memory.
 * Every slot of the config must be there with its shape, else BD_DATA; unknown tensors are warned about.
 * Without a bitdistill object in the config, norms are what the tensors tell; with one that disagrees
 * with them, BD_DATA. */
struct bd_ckpt;
struct bd_ckpt *bd_ckpt_open(const char *dir);
void bd_ckpt_close(struct bd_ckpt *k);
/* Besides our own, the forms of transformers' BitNet are read (hf_quant.h): packed weights, and a norm in
 * front of every linear. Where bitdistill.norms is "subln" there, five of those seven hold the gains of the
 * block's two norms (hf.h), which then count as these. */
/* linears are codes: bd_ckpt_tensor gives no weights of theirs */
bool bd_ckpt_packed(const struct bd_ckpt *k);
/* The scale D of a linear, and its codes [out, bd_ternary_stride(in)] if not NULL: those that are stored, or
 * of its masters (quant.h). */
float bd_ckpt_ternary(const struct bd_ckpt *k, enum bd_slot s, int layer, uint8_t *codes);
/* A vector of the checkpoint as floats out[cols], a gain as the factor it means (gain_offset undone). */
void bd_ckpt_vector(const struct bd_ckpt *k, enum bd_slot s, int layer, float *out);
const struct bd_config *bd_ckpt_config(const struct bd_ckpt *k);
/* aliases resolved; NULL if the config has no such slot */
const struct bd_st_tensor *bd_ckpt_tensor(const struct bd_ckpt *k, enum bd_slot s, int layer);
/* XXH3-128 hex over config and all tensor bytes, computed once */
const char *bd_ckpt_digest(struct bd_ckpt *k);

/* A model in memory: all parameters in one block of f32. */
struct bd_param {
	enum bd_slot slot;
	int layer;         /* -1: not per layer */
	size_t rows, cols; /* a vector has rows 1 */
	size_t off;        /* floats from data, a multiple of 16; the gaps between parameters are zero */
};
struct bd_model {
	struct bd_config cfg;
	float *data;
	size_t n;               /* floats, gaps included */
	struct bd_param *param; /* in slot-table order, layer by layer */
	size_t n_param;
	/* where it came from: tokenizer files are copied from here; NULL for a new one */
	char *dir;
	char digest[33]; /* of the checkpoint it was loaded from, "" for a new one */
};
struct bd_model *bd_model_new(const struct bd_config *c); /* zeros, gains one */
struct bd_model *bd_model_load(const char *dir);
/* normal(0, initializer_range or 0.02), gains one, biases zero */
void bd_model_init(struct bd_model *m, uint64_t seed);
/* Saves what bd_model_new and _init give, in the memory of a block; companions: a directory whose tokenizer
 * files are copied, or NULL. The bytes do not depend on the threads. */
void bd_model_save_random(const struct bd_config *c, uint64_t seed, const char *companions, const char *dir,
                          enum bd_dtype t, const json_t *history, struct bd_par *par);
/* NULL if absent */
const struct bd_param *bd_model_param(const struct bd_model *m, enum bd_slot s, int layer);
/* NULL if absent */
float *bd_model_data(const struct bd_model *m, enum bd_slot s, int layer);
/* Writes config.json, model.safetensors (F32, or BF16/F16) and copies the tokenizer files of m->dir into the
 * existing directory `dir` (a bd_outdir). `history` (history.h, or NULL) becomes bitdistill.history. */
void bd_model_save(const struct bd_model *m, const char *dir, enum bd_dtype t, const json_t *history);
void bd_model_free(struct bd_model *m); /* NULL is fine */

#endif
