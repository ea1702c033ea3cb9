/* Fork-join: every index once, the same slices whoever runs them, many short jobs, sleep in between; and
 * gemm, which stands on it, against sums in double. */
#include "base/rng.h"
#include "machine/gemm.h"
#include "machine/par.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { MAX = 1000, MAX_SLICES = 8 };

struct seen {
	int times[MAX];
	size_t begin[MAX_SLICES], end[MAX_SLICES];
	atomic_int calls;
};

static void visit(void *ctx, size_t begin, size_t end, int slice)
{
	struct seen *s = ctx;

	for (size_t i = begin; i < end; i++)
		s->times[i]++;
	s->begin[slice] = begin;
	s->end[slice] = end;
	atomic_fetch_add(&s->calls, 1);
}

static void test_slices(void **state)
{
	static const size_t ns[] = {0, 1, 2, 3, 7, 8, 9, 100, 1000};

	(void)state;
	for (int threads = 1; threads <= MAX_SLICES; threads++) {
		struct bd_par *p = bd_par_new(threads);

		assert_int_equal(bd_par_threads(p), threads);
		for (size_t k = 0; k < sizeof(ns) / sizeof(ns[0]); k++) {
			struct seen s = {.calls = 0};
			const size_t n = ns[k], S = n == 1 ? 1 : (size_t)threads;

			bd_par_for(p, n, visit, &s);
			assert_int_equal(s.calls, S);
			for (size_t i = 0; i < S; i++) {
				assert_int_equal(s.begin[i], n * i / S);
				assert_int_equal(s.end[i], n * (i + 1) / S);
			}
			for (size_t i = 0; i < MAX; i++)
				assert_int_equal(s.times[i], i < n);
		}
		bd_par_free(p);
	}
}

static void test_no_team(void **state)
{
	struct seen s = {.calls = 0};

	(void)state;
	assert_int_equal(bd_par_threads(NULL), 1);
	bd_par_for(NULL, 10, visit, &s);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.end[0], 10);
	bd_par_free(NULL);
}

static void ends(void *ctx, size_t begin, size_t end, int slice)
{
	((size_t *)ctx)[2 * slice] = begin;
	((size_t *)ctx)[2 * slice + 1] = end;
}

static void test_huge(void **state)
{
	struct bd_par *p = bd_par_new(3);
	size_t e[6];

	(void)state;
	bd_par_for(p, SIZE_MAX, ends, e); /* SIZE_MAX is a multiple of 3 */
	assert_true(e[0] == 0 && e[1] == SIZE_MAX / 3 && e[2] == e[1] && e[3] == SIZE_MAX / 3 * 2 &&
	            e[5] == SIZE_MAX);
	bd_par_free(p);
}

static void add(void *ctx, size_t begin, size_t end, int slice)
{
	uint64_t *sum = ctx;

	for (size_t i = begin; i < end; i++)
		sum[slice] += i;
}

/* Plain, not atomic, sums: what one job wrote, the next reads. Now and then the team is let fall asleep. */
static void test_many_jobs(void **state)
{
	struct bd_par *p = bd_par_new(4);
	uint64_t sum[4] = {0};

	(void)state;
	for (int job = 0; job < 3000; job++) {
		bd_par_for(p, 100, add, sum);
		if (job % 300 == 0)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_true(sum[0] == 3000 * 300 && sum[0] + sum[1] + sum[2] + sum[3] == 3000 * 4950);
	bd_par_free(p);
}

static void uneven(void *ctx, size_t begin, size_t end, int slice)
{
	(void)begin, (void)end;
	if (slice == 1) /* long enough for the others and the caller to sleep */
		nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
	atomic_fetch_add((atomic_int *)ctx, 1);
}

static void test_uneven(void **state)
{
	struct bd_par *p = bd_par_new(3);
	atomic_int done = 0;

	(void)state;
	for (int i = 1; i <= 10; i++) {
		bd_par_for(p, 3, uneven, &done);
		assert_int_equal(done, 3 * i);
	}
	bd_par_free(p);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_idle(void **state)
{
	struct bd_par *p = bd_par_new(4);
	struct seen s = {.calls = 0};

	(void)state;
	bd_par_for(p, 4, visit, &s);
	const double before = cpu_seconds();
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	assert_true(cpu_seconds() - before < 0.02);
	bd_par_free(p);
}

static void mask_of(void *ctx, size_t begin, size_t end, int slice)
{
	(void)begin, (void)end;
	pthread_sigmask(SIG_BLOCK, NULL, (sigset_t *)ctx + slice);
}

/* Signals are for the caller's thread, whose mask is left as it was. */
static void test_signals(void **state)
{
	struct bd_par *p = bd_par_new(4);
	sigset_t mask[4];

	(void)state;
	bd_par_for(p, 4, mask_of, mask);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sigismember(&mask[i], SIGINT), i > 0);
	bd_par_free(p);
}

/* Every |C - want| within K 2^-23 sum |a b|, which a float sum in any order keeps, and what lies between the
 * rows untouched? `spoil` is added to the last element first. */
static bool gemm_right(struct bd_par *p, size_t M, size_t N, size_t K, int ta, int tb, float beta,
                       float spoil)
{
	const size_t lda = (ta ? M : K) + 3, ldb = (tb ? K : N) + 1, ldc = N + 2;
	float *A = calloc(lda * (ta ? K : M), 4), *B = calloc(ldb * (tb ? N : K), 4), *C = calloc(ldc * M, 4);
	const float alpha = 0.5f;
	bool right = true;

	for (size_t i = 0; i < lda * (ta ? K : M); i++)
		A[i] = (float)bd_rng_normal(1, 1, i);
	for (size_t i = 0; i < ldb * (tb ? N : K); i++)
		B[i] = (float)bd_rng_normal(1, 2, i);
	for (size_t i = 0; i < ldc * M; i++)
		C[i] = (float)(i % 7);
	bd_gemm(p, &(struct bd_product){ta ? BD_T : BD_N, tb ? BD_T : BD_N, M, N, K, alpha, A, lda, B, ldb,
	                                beta, C, ldc});
	C[ldc * (M - 1) + N - 1] += spoil;
	for (size_t i = 0; i < ldc * M; i++) {
		const size_t m = i / ldc, n = i % ldc;
		double want = (double)(i % 7), size = want;

		if (n < N) {
			want = size = (double)beta * want;
			for (size_t k = 0; k < K; k++) {
				const double ab = (double)alpha *
				                  (double)(ta ? A[k * lda + m] : A[m * lda + k]) *
				                  (double)(tb ? B[n * ldb + k] : B[k * ldb + n]);

				want += ab;
				size += fabs(ab);
			}
		}
		right = right && fabs((double)C[i] - want) <= (double)(n < N ? K + 2 : 0) * 0x1p-23 * size;
	}
	free(A), free(B), free(C);
	return right;
}

static void test_gemm(void **state)
{
	static const size_t shape[][3] = {{1, 1, 1},      {3, 5, 7},     {33, 17, 64},
	                                  {17, 130, 100}, {200, 40, 33}, {64, 257, 128}};

	(void)state;
	for (int threads = 1; threads <= 3; threads++) {
		struct bd_par *p = bd_par_new(threads);

		for (size_t s = 0; s < 6; s++)
			for (int t = 0; t < 4; t++)
				for (int beta = 0; beta < 2; beta++)
					assert_true(gemm_right(p, shape[s][0], shape[s][1], shape[s][2],
					                       t & 1, t >> 1, (float)beta, 0.0f));
		assert_false(gemm_right(p, 64, 257, 128, 0, 1, 0.0f, 0.01f));
		bd_par_free(p);
	}
}

static void fill(float *x, size_t n, uint64_t stream)
{
	for (size_t i = 0; i < n; i++)
		x[i] = (float)bd_rng_normal(2, stream, i);
}

/* beta = 0 overwrites what is there, NaN too; the same call gives the same bits. */
static void test_gemm_again(void **state)
{
	enum { M = 96, N = 80, K = 200 };
	static float A[M * K], B[K * N], C[M * N], again[M * N];
	struct bd_par *p = bd_par_new(2);

	(void)state;
	fill(A, M * K, 1);
	fill(B, K * N, 2);
	for (size_t i = 0; i < M * N; i++)
		C[i] = again[i] = NAN;
	bd_gemm(p, &(struct bd_product){BD_N, BD_N, M, N, K, 1.0f, A, K, B, N, 0.0f, C, N});
	assert_true(isfinite(C[0]) && isfinite(C[M * N - 1]));
	for (int i = 0; i < 50; i++) {
		bd_gemm(p, &(struct bd_product){BD_N, BD_N, M, N, K, 1.0f, A, K, B, N, 0.0f, again, N});
		assert_memory_equal(C, again, sizeof(C));
	}
	bd_par_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_slices),     cmocka_unit_test(test_no_team),
	    cmocka_unit_test(test_huge),       cmocka_unit_test(test_many_jobs),
	    cmocka_unit_test(test_uneven),     cmocka_unit_test(test_idle),
	    cmocka_unit_test(test_signals),    cmocka_unit_test(test_gemm),
	    cmocka_unit_test(test_gemm_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
