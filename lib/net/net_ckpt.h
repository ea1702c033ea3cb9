/* The ternary net of a checkpoint directory, made tensor by tensor: the unquantised weights are never in
 * memory all at once. */
#ifndef BD_NET_CKPT_H
#define BD_NET_CKPT_H

#include "model/ckpt.h"
#include "net/net.h"

/* Quantises every linear of the checkpoint as the trainer does: D = bd_absmean, C = bd_ternary_pack. Tables
 * in F32, F16 and BF16 are used where they are mapped. The net takes over k and closes it. */
struct bd_net *bd_net_from_ckpt(struct bd_ckpt *k, struct bd_dev *dev);

#endif
