/* THE table of tensor slots: loader, saver, optimiser, packer and bd-info all walk it.
 *
 * Letters used everywhere: T tokens of a batch, C hidden size, H query heads, G key/value heads, D head size,
 * F ffn size, V vocabulary, L layers. */
#ifndef BD_SLOT_H
#define BD_SLOT_H

#include "model/config.h"

#include <stdbool.h>
#include <stddef.h>

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

/* Alternative spellings of a slot's tensor that are accepted: i = 0, 1, ...; false if there is no i-th. */
bool bd_slot_alias(enum bd_slot s, int i, int layer, char *out, size_t n);

#endif
