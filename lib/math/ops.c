#include "math/ops.h"

#define DECLARE(name) extern const struct bd_op bd_op_##name;
#define ADDRESS(name) &bd_op_##name,

BD_OPS(DECLARE)
const struct bd_op *const bd_ops[] = {BD_OPS(ADDRESS) NULL};
