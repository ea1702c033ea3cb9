/* The library's kernel of dense products. */
#include "base/msg.h"
#include "machine/gemm_job.h"

#include <dnnl.h>

/* From libgomp, which oneDNN uses: the number of threads of parallel regions that the calling thread starts.
 * The thread may belong to a program that uses OpenMP itself. */
extern void omp_set_num_threads(int n);
extern int omp_get_max_threads(void);

void bd_gemm_lib(const struct bd_product *j)
{
	int before = omp_get_max_threads();
	dnnl_status_t done;

	omp_set_num_threads(1);
	done = dnnl_sgemm(j->ta == BD_T ? 'T' : 'N', j->tb == BD_T ? 'T' : 'N', (dnnl_dim_t)j->M,
	                  (dnnl_dim_t)j->N, (dnnl_dim_t)j->K, j->alpha, j->A, (dnnl_dim_t)j->lda, j->B,
	                  (dnnl_dim_t)j->ldb, j->beta, j->C, (dnnl_dim_t)j->ldc);
	omp_set_num_threads(before);
	if (done != dnnl_success)
		bd_die(BD_SYS, "matrix product of %zu x %zu by %zu: the library refused it", j->M, j->K,
		       j->N);
}
