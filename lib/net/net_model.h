/* A net over a model in memory: what is trained, and evaluated in full precision. */
#ifndef BD_NET_MODEL_H
#define BD_NET_MODEL_H

#include "net/net.h"

/* A net over the parameters of m (which must outlive it): dense if the config is not ternary, else with
 * linears quantised here. train: also keeps What for backward. */
struct bd_net *bd_net_from_model(const struct bd_model *m, struct bd_dev *dev, bool train);

#endif
