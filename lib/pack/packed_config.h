/* What a packed file holds: its model's facts and how its tensors are laid out, from the keys that bd-pack
 * writes, or from those of the architectures that ternary models are published in. */
#ifndef BD_PACKED_CONFIG_H
#define BD_PACKED_CONFIG_H

#include "pack/target.h"

/* bd-pack's files carry their config.json and target. Of others the architectures bitnet (SiLU), bitnet-b1.58
 * and bitnet-25 (ReLU^2), llama, qwen2, qwen3 and gemma3 are known. */
void bd_packed_config(const struct bd_gguf *g, struct bd_config *c, struct bd_layout *l);

#endif
