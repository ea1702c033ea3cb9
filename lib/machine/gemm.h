/* Dense float GEMM, split over par's slices. Row major. Deterministic for given shapes and thread count; not
 * invariant to shapes: the ternary inference path does not use it.
 *
 * Two kernels: oneDNN's sgemm ("lib"), and the AMX tiles of processors that have them ("amx"), which split
 * every float into two bf16. By default, products that are large enough use the tiles where there are any;
 * BD_GEMM=lib or BD_GEMM=amx selects one kernel for all (an unknown or impossible name dies BD_USAGE).
 *
 * Error of an element of C, u = 2^-24 and S = |alpha| (|A| |B|) + |beta C|: lib (K + 4) 2u S; amx (2^-15 + (K
 * + 4) u) S, 2^-18 S typically, + K 2^-125 (it has no subnormal numbers). Operands that are bf16 numbers lose
 * nothing in amx. Infinities and NaN come out as in lib. */
#ifndef BD_GEMM_H
#define BD_GEMM_H

#include "machine/gemm_job.h"
#include "machine/par.h"

void bd_gemm(struct bd_par *par, const struct bd_product *p);

#endif
