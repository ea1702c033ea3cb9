/* One product, as gemm.c hands it to a kernel: part of what bd_gemm was asked for, with shifted pointers. */
#ifndef BD_GEMM_JOB_H
#define BD_GEMM_JOB_H

#include <stdbool.h>
#include <stddef.h>

/* C[M,N] = alpha op(A)[M,K] op(B)[K,N] + beta C */
struct gemm_job {
	bool ta, tb; /* A, B are stored as their transposes */
	size_t M, N, K;
	float alpha, beta;
	const float *A, *B;
	float *C;
	size_t lda, ldb, ldc;
};

/* C[m:m+M, n:n+N] (+)= op(A)[m:m+M, k:k+K] op(B)[k:k+K, n:n+N] */
static inline struct gemm_job gemm_part(const struct gemm_job *j, size_t m, size_t M, size_t n, size_t N,
                                        size_t k, size_t K)
{
	struct gemm_job p = *j;

	p.M = M, p.N = N, p.K = K;
	p.A += j->ta ? k * j->lda + m : m * j->lda + k;
	p.B += j->tb ? n * j->ldb + k : k * j->ldb + n;
	p.C += m * j->ldc + n;
	return p;
}

void bd_gemm_lib(const struct gemm_job *j); /* the library */
/* kern/gemm_amx.c; K > 0, only with BD_CPU_AMX and the OS's leave */
void bd_gemm_amx(const struct gemm_job *j);

#endif
