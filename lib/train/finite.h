/* Numbers that are not finite: a run that has them ends, and says where they are. */
#ifndef BD_FINITE_H
#define BD_FINITE_H

#include "machine/dev.h"
#include "model/model.h"

enum { BD_TENSOR_NAME = 128 };

/* Whether all of x[m->n] is finite, in the layout of m->data, the device's: parameters or their gradients. If
 * not, the name of the first tensor that is not. */
bool bd_finite(const struct bd_model *m, struct bd_dev *dev, const float *x, char name[BD_TENSOR_NAME]);

#endif
