/* The runtimes that packed files are made for: which student can run where, and how its tensors are named
 * and laid out there. */
#ifndef BD_TARGET_H
#define BD_TARGET_H

#include "format/gguf.h"
#include "model/ckpt.h"

const char *bd_target_name(enum bd_target t); /* "bd", "stock", "ik", "bitnet.cpp", "hf" */
bool bd_target_find(const char *name, enum bd_target *t);

/* Ternary types that the runtime computes with, the preferred one first; returns how many. Those of a student
 * are the ones whose blocks divide its rows; none for hf, whose files are not GGUF. */
size_t bd_target_types(enum bd_target t, enum bd_ggml_type type[BD_TERNARIES]);

struct bd_layout {
	enum bd_target target;
	char arch[24]; /* general.architecture */
	bool padded;   /* rows are padded to whole blocks */
	bool scales;   /* types whose d is f16 have d = 1, and D in an f32 tensor NAME.scale */
	/* SubLN of o and down: attn_output_norm_in, ffn_down_norm_in; else attn_sub_norm, ffn_sub_norm */
	bool norm_in;
	/* ffn_norm is all ones, its gain is in ffn_gate_norm_in and ffn_up_norm_in: the same function */
	bool folded;
	/* rows of q and k in the order of rope over neighbours (2j, 2j + 1) instead of (j, D/2 + j) */
	bool pairs;
	bool freqs; /* llama3's rope scaling as rope_freqs.weight [D/2] */
};
/* How c's student is laid out for t: NULL and *l, or in words why it cannot run there (caller frees). */
char *bd_target_layout(struct bd_layout *l, const struct bd_config *c, enum bd_target t);
/* Why the rows of c's linears cannot be stored in type for t (caller frees), or NULL. */
char *bd_target_misfit(const struct bd_config *c, enum bd_target t, enum bd_ggml_type type);
/* The first of t's types that fits c; if none does, why the preferred one does not (caller frees). */
char *bd_target_type(const struct bd_config *c, enum bd_target t, enum bd_ggml_type *type);

/* Name of a slot's tensor; with folded, for BD_FFN_NORM, that of the one that carries the gain into the
 * gate. */
void bd_layout_name(const struct bd_layout *l, enum bd_slot s, int layer, char *out, size_t n);
/* Row r of q or k as HF has it, for row r of the file (H heads of D rows); r itself for other
 * tensors and layouts. */
size_t bd_layout_row(const struct bd_layout *l, enum bd_slot s, size_t r, size_t D);

/* For each target {"target", "possible", "arch", "types"} or {"target", "possible": false, "reason"},
 * of this checkpoint. */
json_t *bd_target_list(const struct bd_ckpt *k);

#endif
