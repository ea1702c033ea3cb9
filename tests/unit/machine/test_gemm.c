/* Dense products against double references, by the library, by the AMX tiles and by the automatic choice:
 * each a group of tests in a process of its own, as $BD_GEMM is read once. */
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "machine/gemm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *mode; /* $BD_GEMM: "lib", "amx", "" */

/* n floats that end where a page begins that nobody may touch; the bytes before them are 0xa5. */
struct guarded {
	unsigned char *map;
	size_t bytes, front;
	float *x;
};

static struct guarded guard(size_t n)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (n * 4 + 64 + page - 1) / page * page;
	struct guarded g = {.bytes = bytes + page, .front = bytes - n * 4};

	g.map = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(g.map != MAP_FAILED);
	assert_int_equal(mprotect(g.map + bytes, page, PROT_NONE), 0);
	memset(g.map, 0xa5, g.front);
	g.x = (float *)(void *)(g.map + g.front);
	return g;
}

static bool untouched(const struct guarded *g)
{
	for (size_t i = 0; i < g->front; i++)
		if (g->map[i] != 0xa5)
			return false;
	return true;
}

/* C[M,N] = alpha op(A) op(B) + beta C, C before it and after it; the rows of all have gaps. */
struct product {
	size_t M, N, K, lda, ldb, ldc;
	enum bd_trans ta, tb;
	float alpha, beta;
	struct guarded A, B, C;
	float *before;
};

static size_t c_size(const struct product *p)
{
	return (p->M - 1) * p->ldc + p->N;
}

static float *a_at(const struct product *p, size_t m, size_t k)
{
	return p->A.x + (p->ta == BD_T ? k * p->lda + m : m * p->lda + k);
}

static float *b_at(const struct product *p, size_t k, size_t n)
{
	return p->B.x + (p->tb == BD_T ? n * p->ldb + k : k * p->ldb + n);
}

static struct product product_new(size_t M, size_t N, size_t K, int trans, float alpha, float beta)
{
	struct product p = {M, N, K, .alpha = alpha, .beta = beta};

	p.ta = trans & 1 ? BD_T : BD_N;
	p.tb = trans & 2 ? BD_T : BD_N;
	p.lda = (p.ta == BD_T ? M : K) + 3;
	p.ldb = (p.tb == BD_T ? K : N) + 1;
	p.ldc = N + 2;
	p.A = guard(((p.ta == BD_T ? K : M) - 1) * p.lda + p.lda - 3);
	p.B = guard(((p.tb == BD_T ? N : K) - 1) * p.ldb + p.ldb - 1);
	p.C = guard(c_size(&p));
	p.before = malloc(c_size(&p) * 4);
	for (size_t i = 0; i < c_size(&p); i++)
		p.C.x[i] = (float)bd_rng_normal(1, 3, i);
	for (size_t i = 0; i < M * K; i++)
		*a_at(&p, i / K, i % K) = (float)bd_rng_normal(1, 1, i);
	for (size_t i = 0; i < K * N; i++)
		*b_at(&p, i / N, i % N) = (float)bd_rng_normal(1, 2, i);
	return p;
}

static void product_free(struct product *p)
{
	munmap(p->A.map, p->A.bytes);
	munmap(p->B.map, p->B.bytes);
	munmap(p->C.map, p->C.bytes);
	free(p->before);
}

static void multiply(struct product *p, struct bd_par *par)
{
	memcpy(p->before, p->C.x, c_size(p) * 4);
	bd_gemm(par, &(struct bd_product){p->ta, p->tb, p->M, p->N, p->K, p->alpha, p->A.x, p->lda, p->B.x,
	                                  p->ldb, p->beta, p->C.x, p->ldc});
}

/* alpha sum a b + beta c; size: the same of absolute values. */
static double reference(const struct product *p, size_t m, size_t n, double *size)
{
	const double c = p->beta != 0 ? (double)p->beta * (double)p->before[m * p->ldc + n] : 0;
	double sum = 0;

	*size = 0;
	for (size_t k = 0; k < p->K; k++) {
		const double ab = (double)*a_at(p, m, k) * (double)*b_at(p, k, n);

		sum += ab;
		*size += fabs(ab);
	}
	*size = fabs((double)p->alpha) * *size + fabs(c);
	return (double)p->alpha * sum + c;
}

/* Every element within `bound` of its size, or as infinite as it should be, and nothing else written? */
static bool right(const struct product *p, double bound)
{
	for (size_t i = 0; i < c_size(p); i++) {
		const size_t m = i / p->ldc, n = i % p->ldc;
		const double got = (double)p->C.x[i];
		double size, want;

		if (n >= p->N) {
			if (memcmp(p->C.x + i, p->before + i, 4))
				return false;
			continue;
		}
		want = reference(p, m, n, &size);
		if (isnan(want)   ? !isnan(got)
		    : isinf(want) ? got != want
		                  : !(fabs(got - want) <= bound * size))
			return false;
	}
	return untouched(&p->C);
}

/* What gemm.h promises; the library's is that of any float sum. */
static double bound(size_t K)
{
	return strcmp(mode, "lib") == 0 ? (double)(K + 4) * 0x1p-23 : 0x1p-15 + (double)(K + 4) * 0x1p-24;
}

static void check(size_t M, size_t N, size_t K, int trans, float alpha, float beta, struct bd_par *par)
{
	struct product p = product_new(M, N, K, trans, alpha, beta);

	if (beta == 0)
		for (size_t i = 0; i < c_size(&p); i++)
			p.C.x[i] = NAN;
	multiply(&p, par);
	if (!right(&p, bound(K)))
		fail_msg("%zu x %zu x %zu, transposes %d, alpha %g, beta %g: wrong", M, N, K, trans,
		         (double)alpha, (double)beta);
	product_free(&p);
}

static void test_shapes(void **state)
{
	static const size_t shape[][3] = {{1, 1, 1},     {3, 5, 7},      {16, 16, 16}, {17, 33, 31},
	                                  {32, 32, 32},  {31, 70, 33},   {64, 64, 17}, {64, 96, 64},
	                                  {130, 47, 65}, {129, 161, 90}, {48, 96, 48}, {1, 300, 40},
	                                  {300, 1, 40}};
	static const float scale[][2] = {{1, 0}, {1, 1}, {0.5f, 0}, {-2, 1}, {1, -0.25f}, {0, 3}};

	(void)state;
	for (int threads = 1; threads <= 3; threads++) {
		struct bd_par *par = bd_par_new(threads);

		for (size_t s = 0; s < sizeof(shape) / sizeof(*shape); s++)
			for (int t = 0; t < 4; t++)
				for (size_t i = 0; i < sizeof(scale) / sizeof(*scale); i++)
					check(shape[s][0], shape[s][1], shape[s][2], t, scale[i][0],
					      scale[i][1], par);
		bd_par_free(par);
	}
}

/* Several blocks of k, of columns and of rows. */
static void test_blocks(void **state)
{
	(void)state;
	for (int t = 0; t < 4; t++) {
		check(67, 65, 1100, t, 1, 1, NULL);
		check(64, 64, 1024, t, 0.5f, 0, NULL);
		check(40, 900, 513, t, 1, 0, NULL);
		check(290, 40, 600, t, 1, 1, NULL);
	}
}

/* All errors of one sign and as large as they can be. */
static void test_worst(void **state)
{
	struct product p = product_new(64, 64, 256, 2, 1, 0);

	(void)state;
	for (size_t i = 0; i < p.M * p.K; i++) {
		*a_at(&p, i / p.K, i % p.K) = 1 + 0x1p-8f - 0x1p-17f;
		*b_at(&p, i % p.K, i / p.K) = 1 + 0x1p-8f - 0x1p-17f;
	}
	multiply(&p, NULL);
	assert_true(right(&p, bound(p.K)));
	product_free(&p);
}

/* Operands whose numbers are bf16, both, one of them or none; sums of small integers are exact. */
static void test_exact(void **state)
{
	(void)state;
	for (int exact = 0; exact < 4; exact++)
		for (int t = 0; t < 4; t++) {
			struct product p = product_new(70, 96, 100, t, 1, 1);

			for (size_t i = 0; i < c_size(&p); i++)
				p.C.x[i] = (float)(i % 5);
			for (size_t i = 0; (exact & 1) && i < p.M * p.K; i++)
				*a_at(&p, i / p.K, i % p.K) = (float)(i * 7 % 3) - 1;
			for (size_t i = 0; (exact & 2) && i < p.K * p.N; i++)
				*b_at(&p, i / p.N, i % p.N) = (float)(i * 5 % 17) - 8;
			multiply(&p, NULL);
			assert_true(right(&p, exact == 3 ? 0 : bound(p.K)));
			product_free(&p);
		}
}

static struct product with(float a, float b, int trans)
{
	struct product p = product_new(150, 50, 540, trans, 1, 1);

	*a_at(&p, 5, 530) = a; /* in the second block of k */
	*b_at(&p, 3, 49) = b;
	return p;
}

/* Infinities and NaN appear where the definition has them, and nowhere else. */
static void test_not_finite(void **state)
{
	static const float odd[][2] = {
	    {INFINITY, 1},      {1, -INFINITY},      {NAN, 1}, {1, NAN}, {INFINITY, NAN},
	    {FLT_MAX, 0x1p-9f}, {-FLT_MAX, -FLT_MAX}};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		for (int t = 0; t < 4; t++) {
			struct product p = with(odd[i][0], odd[i][1], t);

			for (size_t n = 0; n < p.N; n++) /* keeps FLT_MAX times it below FLT_MAX */
				*b_at(&p, 530, n) *= 0x1p-9f;
			for (size_t m = 0; m < p.M; m++)
				*a_at(&p, m, 3) *= 0x1p-9f;
			p.C.x[7] = INFINITY;
			p.C.x[p.ldc * 149 + 1] = NAN;
			multiply(&p, NULL);
			assert_true(right(&p, bound(p.K)));
			product_free(&p);
		}
}

/* bf16 has the range of float, but the tiles take what is below 2^-126, which a low half soon is, as 0. */
static void test_small(void **state)
{
	struct product p = product_new(64, 64, 64, 0, 1, 0);

	(void)state;
	for (size_t i = 0; i < p.M * p.K; i++)
		*a_at(&p, i / p.K, i % p.K) *= 0x1p-90f;
	multiply(&p, NULL);
	assert_true(right(&p, bound(p.K)));
	product_free(&p);
}

static void test_again(void **state)
{
	struct product p = product_new(190, 130, 600, 1, 1, 0);
	struct bd_par *par = bd_par_new(2);

	(void)state;
	multiply(&p, par);
	for (int i = 0; i < 20; i++) {
		multiply(&p, par);
		assert_memory_equal(p.C.x, p.before, c_size(&p) * 4);
	}
	product_free(&p);
	bd_par_free(par);
}

/* The comparison is shown errors of every kind it looks for. */
static void test_wrong(void **state)
{
	struct product p = product_new(64, 96, 600, 0, 1, 0);
	const size_t last = c_size(&p) - 1;
	double size;

	(void)state;
	multiply(&p, NULL);
	assert_true(right(&p, bound(p.K)));
	const float keep = p.C.x[last];
	(void)reference(&p, p.M - 1, p.N - 1, &size);
	p.C.x[last] = keep + (float)(4 * bound(p.K) * size);
	assert_false(right(&p, bound(p.K)));
	p.C.x[last] = NAN;
	assert_false(right(&p, bound(p.K)));
	p.C.x[last] = INFINITY;
	assert_false(right(&p, bound(p.K)));
	p.C.x[last] = keep;
	p.C.x[p.N] += 1; /* between rows */
	assert_false(right(&p, bound(p.K)));
	p.C.x[p.N] = p.before[p.N];
	p.C.map[p.C.front - 1] = 0;
	assert_false(right(&p, bound(p.K)));
	product_free(&p);
}

/* bf16 alone, without the low halves, would not pass. */
static void test_half(void **state)
{
	struct product p = product_new(64, 64, 256, 2, 1, 0);

	(void)state;
	for (size_t i = 0; i < p.M * p.K; i++)
		*a_at(&p, i / p.K, i % p.K) = 1;
	multiply(&p, NULL);
	assert_true(right(&p, bound(p.K)));
	for (size_t i = 0; i < p.M * p.K; i++)
		*a_at(&p, i / p.K, i % p.K) = 1 + 0x1p-9f;
	assert_false(right(&p, bound(p.K)));
	product_free(&p);
}

static void one_product(void *name)
{
	float a = 2, b = 3, c = 0;

	if (name != NULL)
		setenv("BD_GEMM", name, 1);
	bd_gemm(NULL, &(struct bd_product){BD_N, BD_N, 1, 1, 1, 1, &a, 1, &b, 1, 0, &c, 1});
	if (c != 6.0f)
		_exit(99);
}

static void test_environment(void **state)
{
	char unknown[] = "fast", lib[] = "lib", empty[] = "";

	(void)state;
	child_dies(one_product, unknown, BD_USAGE, "BD_GEMM=fast: no such");
	assert_int_equal(child_run(one_product, lib).status, 0);
	assert_int_equal(child_run(one_product, empty).status, 0);
}

static char amx[] = "amx";

/* BD_GEMM=amx computes, or dies with the reason. */
static bool has_amx(void)
{
	const struct child c = child_run(one_product, amx);

	return c.status == 0 && c.signal == 0;
}

static void test_amx(void **state)
{
	(void)state;
	if (has_amx())
		return;
	child_dies(one_product, amx, BD_USAGE, "BD_GEMM=amx: ");
	print_message("no AMX here: its products are not tested\n");
	skip();
}

static void run_group(void *name)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shapes),     cmocka_unit_test(test_blocks), cmocka_unit_test(test_worst),
	    cmocka_unit_test(test_exact),      cmocka_unit_test(test_small),  cmocka_unit_test(test_again),
	    cmocka_unit_test(test_not_finite), cmocka_unit_test(test_wrong),  cmocka_unit_test(test_half),
	};

	mode = name;
	setenv("BD_GEMM", mode, 1);
	exit(cmocka_run_group_tests_name(*mode ? mode : "auto", tests, NULL, NULL));
}

static int in_a_process(const char *name)
{
	int status = 1;

	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0)
		run_group((void *)(uintptr_t)name);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_environment), cmocka_unit_test(test_amx)};
	int failed = cmocka_run_group_tests_name("environment", tests, NULL, NULL);

	failed += in_a_process("lib");
	failed += in_a_process("");
	if (has_amx())
		failed += in_a_process(amx);
	return failed != 0;
}
