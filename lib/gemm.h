/* Dense float GEMM through one library (BLAS), split over par's slices. Row major. Deterministic for a given thread count;
 * not invariant to shapes: the ternary inference path does not use it. */
#ifndef BD_GEMM_H
#define BD_GEMM_H

#include "par.h"

/* C[M,N] = alpha op(A)[M,K] op(B)[K,N] + beta C; ta/tb: the stored matrix is the transpose. ld*: floats between stored rows. */
enum bd_trans { BD_N = 0, BD_T = 1 };
void bd_gemm(struct bd_par *par, enum bd_trans ta, enum bd_trans tb, size_t M, size_t N, size_t K, float alpha,
             const float *A, size_t lda, const float *B, size_t ldb, float beta, float *C, size_t ldc);

#endif
