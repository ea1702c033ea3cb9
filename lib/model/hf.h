/* A checkpoint as stock transformers (4.52 and later) loads it: `AutoModelForCausalLM.from_pretrained(dir)`
 * gives a ternary model.
 *
 * Two classes have what a student needs:
 *	BitNetForCausalLM        SubLN before o_proj and down_proj (attn_sub_norm, ffn_sub_norm), no q/k
 *	                         norm, H D = C, no sliding layers
 *	the family's own class   with quantization_config.use_rms_norm: a norm before all seven
 *	                         linears, or of none
 * The first is used where it fits. For the second, a student with SubLN on two linears is folded: with w the
 * gain of a block's norm, the norm becomes 1 and w moves to the linears after it,
 *	norm_w(norm_1(h)) = norm_w(h) up to eps. */
#ifndef BD_HF_H
#define BD_HF_H

#include "model/ckpt.h"

#include <stdbool.h>

/* ONLINE: masters, trainable in transformers, quantised there in every forward pass. OFFLINE: packed, 2 bits
 * per weight, no masters. */
#define BD_HF_FORM_LIST(W) W(BD_HF_ONLINE, "online") W(BD_HF_OFFLINE, "offline")
enum bd_hf_form { BD_HF_FORM_LIST(BD_WORD_ID) };
struct bd_hf_opt {
	enum bd_hf_form form;
	/* F32, F16 or BF16: what is not packed; masters rounded to it may get other codes */
	enum bd_dtype dtype;
	/* write a model that was not trained as ternary; replace an existing directory */
	bool force;
};
/* Why the checkpoint cannot be written this way: one sentence, which the caller frees; NULL: it can. */
char *bd_hf_why_not(const struct bd_ckpt *k, const struct bd_hf_opt *o);
/* Writes dir's checkpoint as directory `out`, which appears when it is complete; memory beyond the mapped
 * files: a few copies of the largest linear. What bd_hf_why_not reports dies BD_DATA. */
void bd_hf_write(const char *dir, const char *out, const struct bd_hf_opt *o);

#endif
