/* One product, as bd_gemm is asked for it, and as gemm.c passes parts of it, with shifted pointers, to a
 * kernel. */
#ifndef BD_GEMM_JOB_H
#define BD_GEMM_JOB_H

#include <stddef.h>

enum bd_trans { BD_N = 0, BD_T = 1 };

/* C[M,N] = alpha op(A)[M,K] op(B)[K,N] + beta C; ta, tb: what is stored is the transpose. ld*: floats between
 * stored rows. */
struct bd_product {
	enum bd_trans ta, tb;
	size_t M, N, K;
	float alpha;
	const float *A;
	size_t lda;
	const float *B;
	size_t ldb;
	float beta;
	float *C;
	size_t ldc;
};

/* C[m:m+M, n:n+N] (+)= op(A)[m:m+M, k:k+K] op(B)[k:k+K, n:n+N] */
static inline struct bd_product gemm_part(const struct bd_product *j, size_t m, size_t M, size_t n, size_t N,
                                          size_t k, size_t K)
{
	struct bd_product p = *j;

	p.M = M, p.N = N, p.K = K;
	p.A += j->ta == BD_T ? k * j->lda + m : m * j->lda + k;
	p.B += j->tb == BD_T ? n * j->ldb + k : k * j->ldb + n;
	p.C += m * j->ldc + n;
	return p;
}

void bd_gemm_lib(const struct bd_product *j); /* the library */
/* kern/gemm_amx.c; K > 0, only with BD_CPU_AMX and the OS's permission */
void bd_gemm_amx(const struct bd_product *j);

#endif
