/* The net of a checkpoint directory for inference, made tensor by tensor: what is stored is used where it is
 * mapped, and the unquantised weights of a ternary model are never in memory all at once. */
#ifndef BD_NET_CKPT_H
#define BD_NET_CKPT_H

#include "model/ckpt.h"
#include "net/net.h"

/* A ternary model, or any if `ternary`: quantises every linear of the checkpoint as the trainer does: D =
 * bd_absmean, C = bd_ternary_pack. Other linears and tables stay in F32, F16 or BF16. The net takes over k
 * and closes it. */
struct bd_net *bd_net_from_ckpt(struct bd_ckpt *k, struct bd_dev *dev, bool ternary);

#endif
