/* A checkpoint on disk, tensor by tensor, nothing copied: for tools that must not hold a model in memory.
 * Every slot of the config must be present with its shape, else BD_DATA; unknown tensors are warned about.
 * Without a bitdistill object in the config, the tensors determine the norms; an object that disagrees with
 * them is BD_DATA. */
#ifndef BD_CKPT_H
#define BD_CKPT_H

#include "format/safetensors.h"
#include "model/slot.h"

#include <stdbool.h>
#include <stdint.h>

struct bd_ckpt;
struct bd_ckpt *bd_ckpt_open(const char *dir);
void bd_ckpt_close(struct bd_ckpt *k);
/* Linears are codes: bd_ckpt_tensor does not give their weights. Besides our own, the formats of
 * transformers' BitNet are read (hf_quant.h): packed weights, and a norm before every linear. Where
 * bitdistill.norms is "subln" there, five of those seven hold the gains of the block's two norms (hf.h), and
 * are read as those. */
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

#endif
