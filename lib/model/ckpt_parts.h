/* What an open checkpoint is, for ckpt_open.c, which opens it, and ckpt_read.c, which reads from it. */
#ifndef BD_CKPT_PARTS_H
#define BD_CKPT_PARTS_H

#include "base/hash.h"
#include "model/ckpt.h"
#include "model/hf_quant.h"

#define NAME 128 /* longest tensor name and NUL */

struct bd_ckpt {
	char *dir;
	struct bd_config cfg;
	struct bd_hf_quant quant;
	/* the gain before q, k, v is the attention norm's, that before gate, up the ffn norm's */
	bool folded;
	struct bd_st *st;
	const char *prefix;               /* of the names, in place of "model." */
	const struct bd_st_tensor **slot; /* [layers][BD_SLOTS]; slots not per layer in layer 0 */
	char digest[BD_HEX];
};

const struct bd_st_tensor **bd_ckpt_slot(const struct bd_ckpt *k, enum bd_slot s, int layer);
/* The tensor of a name as transformers has it, "model....", whatever the file's prefix. */
const struct bd_st_tensor *bd_ckpt_find(const struct bd_ckpt *k, const char *name);
/* The slot under whose name the slot's tensor is stored. */
enum bd_slot bd_ckpt_stored_as(const struct bd_ckpt *k, enum bd_slot s);
/* The weight_scale of a packed linear; dies if it is missing or not a number. */
const struct bd_st_tensor *bd_ckpt_scale(const struct bd_ckpt *k, enum bd_slot s, int layer);
/* Calls fn for every slot of the config, in slot-table order, layer by layer. */
void bd_ckpt_each(struct bd_ckpt *k, void (*fn)(struct bd_ckpt *, enum bd_slot, int, void *), void *arg);

#endif
