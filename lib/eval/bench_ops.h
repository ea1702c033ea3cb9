/* Timing single operations on random numbers in the shapes of a model, whose weights are not read. */
#ifndef BD_BENCH_OPS_H
#define BD_BENCH_OPS_H

#include "eval/bench_out.h"

/* With each number of threads of the plan: the linears with each number of tokens that the plan decodes
 * together or gives to a prefill, the head, attention behind each context of the plan, norm and quantiser. */
void bd_bench_ops(const struct bd_bench_plan *p, enum bd_bench_format f);

#endif
