/* Dense GEMM: one single-threaded oneDNN call for each slice of the longer side of C. */
#include <dnnl.h>

#include "gemm.h"
#include "msg.h"

/* libgomp's, under oneDNN: the number of threads its next parallel region takes, a setting of the calling thread. */
extern void omp_set_num_threads(int n);

enum {
	GRAIN = 16,          /* rows or columns of C a slice is a multiple of: the library's register tiles */
	SMALL = 64 * 64 * 24 /* multiply-adds below which waking a thread costs more than it saves */
};

struct job {
	char ta, tb;
	size_t M, N, K;
	float alpha, beta;
	const float *A, *B;
	float *C;
	size_t lda, ldb, ldc;
};

/* C[m0:m1, n0:n1] */
static void block(const struct job *j, size_t m0, size_t m1, size_t n0, size_t n1)
{
	const float *A = j->A + (j->ta == 'N' ? m0 * j->lda : m0);
	const float *B = j->B + (j->tb == 'N' ? n0 : n0 * j->ldb);

	if (m0 == m1 || n0 == n1)
		return;
	omp_set_num_threads(1);
	if (dnnl_sgemm(j->ta, j->tb, (dnnl_dim_t)(m1 - m0), (dnnl_dim_t)(n1 - n0), (dnnl_dim_t)j->K, j->alpha, A,
	               (dnnl_dim_t)j->lda, B, (dnnl_dim_t)j->ldb, j->beta, j->C + m0 * j->ldc + n0,
	               (dnnl_dim_t)j->ldc) != dnnl_success)
		bd_die(BD_SYS, "matrix product of %zu x %zu by %zu: the library refused it", m1 - m0, j->K, n1 - n0);
}

static size_t grains(size_t n)
{
	return (n + GRAIN - 1) / GRAIN;
}

static size_t edge(size_t grain, size_t n)
{
	return grain * GRAIN < n ? grain * GRAIN : n;
}

static void slice_rows(void *ctx, size_t begin, size_t end, int slice)
{
	const struct job *j = ctx;

	(void)slice;
	block(j, edge(begin, j->M), edge(end, j->M), 0, j->N);
}

static void slice_cols(void *ctx, size_t begin, size_t end, int slice)
{
	const struct job *j = ctx;

	(void)slice;
	block(j, 0, j->M, edge(begin, j->N), edge(end, j->N));
}

void bd_gemm(struct bd_par *par, enum bd_trans ta, enum bd_trans tb, size_t M, size_t N, size_t K, float alpha,
             const float *A, size_t lda, const float *B, size_t ldb, float beta, float *C, size_t ldc)
{
	struct job j = {ta == BD_T ? 'T' : 'N', tb == BD_T ? 'T' : 'N',
	                M, N, K, alpha, beta, A, B, C, lda, ldb, ldc};

	if (M * N < SMALL && M * N * K < SMALL)
		par = NULL;
	if (M >= N)
		bd_par_for(par, grains(M), slice_rows, &j);
	else
		bd_par_for(par, grains(N), slice_cols, &j);
}
