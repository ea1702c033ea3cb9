/* The devices that there are: one list. A device other than the CPU is a struct bd_dev_calls (machine/dev.h)
 * and a version of its own of every operation in math/ops.h. */
#ifndef BD_DEVICES_H
#define BD_DEVICES_H

#include "machine/dev.h"

/* The device named by $BD_DEVICE, by default the first of the list, with so many threads of the host. An
 * unknown name dies BD_USAGE. */
struct bd_dev *bd_dev_open(int threads);

#endif
