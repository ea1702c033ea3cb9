/* What a packed file holds: its model's facts and how its tensors are laid out, from the keys that bd-pack
 * writes, or from those of the architectures that ternary models are published in. */
#ifndef BD_PACKED_CONFIG_H
#define BD_PACKED_CONFIG_H

#include "pack/target.h"

/* The golden prompts of a file of version 1 are those of bd_net.first. */
#define BD_PACKED_VERSION 2

/* bd-pack's files carry their config.json and target. Of other files, the architectures bitnet (SiLU),
 * bitnet-b1.58 and bitnet-25 (ReLU^2), llama, qwen2, qwen3 and gemma3 are supported. */
void bd_packed_config(const struct bd_gguf *g, struct bd_config *c, struct bd_layout *l);
/* the lines of bd.history, none without it; the caller's */
json_t *bd_packed_history(const struct bd_gguf *g);

#endif
