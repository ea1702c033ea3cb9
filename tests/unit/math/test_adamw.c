/* AdamW against torch.optim.AdamW's numbers and against the formula in double; learning-rate schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "math/optim.h"
#include "device.h"
#include "near.h"
#include "math/op_vec.h"
#include "math/sched.h"

static const struct bd_optim options = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = 0.1};

/* Step t of w[n]; g is not changed. */
static void step(float *w, const float *g, float *m, float *v, size_t n, double lr, bool decayed, long t,
                 float scale)
{
	struct bd_optim_range all = {0, n, decayed};
	float *copy = copy_of(g, n);
	bd_optim_step(cpu(), &(struct bd_optim_step){options, w, copy, m, v, n, &all, 1, lr, t, scale});
	for (size_t i = 0; i < n; i++)
		assert_true(copy[i] == 0);
	bd_free(copy);
}

/* torch 2.15: AdamW([w], lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, foreach=False), three steps
 * on the CPU. */
static void test_torch(void **state)
{
	enum { N = 5 };
	static const float g[3][N] = {{0.1f, -0.2f, 0.3f, -1e-4f, 0},
	                              {0.3f, 0.1f, -2.0f, 2e-4f, 1e-3f},
	                              {-0.05f, 0, 0.7f, 5e-4f, -1e-3f}};
	static const double want[3][N] = {
	    {0x1.f53f7ep-2, -0x1.3d1eb8p+0, 0x1.7e5604p+1, 0x1.6861e8p-7, 0},
	    {0x1.eb7118p-2, -0x1.3c1daap+0, 0x1.7ec244p+1, 0x1.e1eb16p-8, -0x1.e1a818p-8},
	    {0x1.e4c88ep-2, -0x1.3b4308p+0, 0x1.7eb3fep+1, 0x1.045e4p-11, -0x1.c3ed38p-8},
	};
	float w[N] = {0.5f, -1.25f, 3.0f, 1e-3f, 0}, m[N] = {0}, v[N] = {0};
	(void)state;
	for (long t = 1; t <= 3; t++) {
		step(w, g[t - 1], m, v, N, 1e-2, true, t, 1);
		for (size_t i = 0; i < N; i++)
			assert_near1("torch", (double)w[i], want[t - 1][i], 2e-7);
	}
}

static void formula(double *w, double *m, double *v, double g, double lr, double decay, long t)
{
	const struct bd_optim *o = &options;
	*w -= lr * decay * *w;
	*m = o->beta1 * *m + (1 - o->beta1) * g;
	*v = o->beta2 * *v + (1 - o->beta2) * g * g;
	*w -=
	    lr * (*m / (1 - pow(o->beta1, (double)t))) / (sqrt(*v / (1 - pow(o->beta2, (double)t))) + o->eps);
}

static void test_formula(void **state)
{
	enum { N = 100 };
	(void)state;
	for (int decayed = 0; decayed < 2; decayed++) {
		float *w = normal(N, 1), *m = normal(N, 0), *v = normal(N, 0), *sw = copy_of(w, N),
		      *sm = copy_of(m, N), *sv = copy_of(v, N);
		double *ww = doubles(w, N), *wm = doubles(NULL, N), *wv = doubles(NULL, N);
		for (long t = 1; t <= 10; t++) {
			float *g = normal(N, 1);
			for (size_t i = 0; i < N; i++)
				formula(ww + i, wm + i, wv + i, 0.25 * (double)g[i], 0.01,
				        decayed ? options.decay : 0, t);
			step(w, g, m, v, N, 0.01, decayed, t, 0.25f);
			for (size_t i = 0; i < N; i += 33) { /* in slices of 33 */
				size_t n = N - i < 33 ? N - i : 33;
				step(sw + i, g + i, sm + i, sv + i, n, 0.01, decayed, t, 0.25f);
			}
			bd_free(g);
		}
		assert_near("w", w, ww, N, 1e-6);
		assert_near("m", m, wm, N, 1e-6);
		assert_near("v", v, wv, N, 1e-6);
		assert_same("slices", sw, w, N);
		void *all[] = {w, m, v, sw, sm, sv, ww, wm, wv};
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
			bd_free(all[i]);
	}
}

static void test_sum_squares(void **state)
{
	(void)state;
	for (size_t n = 0; n < 40; n++) {
		float *g = normal(n, 1);
		double sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += (double)g[i] * (double)g[i];
		assert_true(fabs(bd_sum_squares(g, n) - sum) <= 1e-14 * sum);
		bd_free(g);
	}
}

static void assert_factor(enum bd_sched s, long step, double want)
{
	assert_true(fabs(bd_sched_factor(s, step, 100, 10) - want) < 1e-12);
}

static void test_sched(void **state)
{
	(void)state;
	for (enum bd_sched s = BD_SCHED_COSINE; s <= BD_SCHED_WSD; s++) {
		assert_factor(s, 0, 0.1);
		assert_factor(s, 4, 0.5);
		assert_factor(s, 9, 1);
		assert_factor(s, 10, 1);
		assert_true(bd_sched_factor(s, 0, 100, 0) == 1.0);
		assert_true(bd_sched_factor(s, 0, 1, 0) == 1.0);
		for (long t = 10; t < 99; t++) /* never up again, never zero within the run */
			assert_true(bd_sched_factor(s, t + 1, 100, 10) <= bd_sched_factor(s, t, 100, 10));
		assert_true(bd_sched_factor(s, 99, 100, 10) > 0);
	}
	assert_factor(BD_SCHED_COSINE, 55, 0.5);
	assert_factor(BD_SCHED_COSINE, 40, 0.75);
	assert_factor(BD_SCHED_COSINE, 100, 0);
	assert_factor(BD_SCHED_LINEAR, 55, 0.5);
	assert_factor(BD_SCHED_LINEAR, 100, 0);
	assert_factor(BD_SCHED_CONSTANT, 99, 1);
	assert_factor(BD_SCHED_WSD, 80, 1);
	assert_factor(BD_SCHED_WSD, 90, 0.5);
	assert_factor(BD_SCHED_WSD, 100, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_torch),
	    cmocka_unit_test(test_formula),
	    cmocka_unit_test(test_sum_squares),
	    cmocka_unit_test(test_sched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
