/* The quantisers and number formats against values computed by hand, against each other, and over all 2^16
 * halves. */
#include "base/rng.h"
#include "machine/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint32_t bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static float float_of(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof(x));
	return x;
}

static unsigned code(const uint8_t *row, size_t col)
{
	return (unsigned)row[col / 128 * 32 + col % 32] >> (6 - 2 * (col % 128 / 32)) & 3u;
}

/* Memory that a sanitizer watches to the byte */
static void *exactly(size_t n)
{
	void *p = malloc(n ? n : 1);

	assert_non_null(p);
	return p;
}

static void test_absmean(void **state)
{
	const float w[6] = {1, -2, 3, -4, 5, -9}, small[2] = {1e-7f, -1e-7f}, nan[2] = {1, NAN},
	            inf[2] = {1, -INFINITY};
	float *wide = exactly(1001 * 4);

	(void)state;
	assert_true(bd_absmean(w, 2, 3) == 4.0f);
	assert_true(bd_absmean(w, 1, 6) == 4.0f);
	assert_true(bd_absmean(small, 1, 2) == 1e-5f);
	assert_true(isnan(bd_absmean(nan, 1, 2)));
	assert_true(isinf(bd_absmean(inf, 2, 1)));
	for (int i = 0; i < 1001; i++)
		wide[i] = i % 2 ? 0.5f : -1.5f; /* 501 of 1.5, 500 of 0.5 */
	assert_true(bd_absmean(wide, 1, 1001) == (float)(1001.5 / 1001.0));
	free(wide);
}

/* D = 1: C = clip(rint(w)), halves to even. */
static void test_ternary_by_hand(void **state)
{
	const float w[10] = {0.5f,  -0.5f,  0.50000006f, -0.50000006f, 1.5f,
	                     -2.5f, 100.0f, -0.0f,       NAN,          -INFINITY};
	const unsigned want[10] = {1, 1, 2, 0, 2, 0, 2, 1, 1, 0};
	float *in = exactly(sizeof(w)), *out = exactly(sizeof(w));
	uint8_t *row = exactly(32);

	(void)state;
	memcpy(in, w, sizeof(w));
	bd_ternary_pack(row, in, 1, 10, 1.0f);
	for (size_t i = 0; i < 128; i++)
		assert_int_equal(code(row, i), i < 10 ? want[i] : 1);
	bd_ternary_unpack(out, row, 1, 10, 0.25f);
	for (size_t i = 0; i < 10; i++)
		assert_true(out[i] == 0.25f * ((float)want[i] - 1.0f));
	free(in), free(out), free(row);
}

/* The bytes of a block: column p is bits 6-7 of byte p, 32 + p bits 4-5, 64 + p bits 2-3, 96 + p bits 0-1. */
static void test_ternary_bytes(void **state)
{
	float w[128] = {0};
	uint8_t row[32];

	(void)state;
	w[0] = 1, w[32] = -1, w[64] = 1, w[96] = -1; /* 2 0 2 0 */
	w[31] = -1, w[127] = 1;                      /* 0 1 1 2 */
	bd_ternary_pack(row, w, 1, 128, 1.0f);
	assert_int_equal(row[0], 0x88);
	assert_int_equal(row[1], 0x55);
	assert_int_equal(row[31], 0x16);
}

static void test_ternary_shapes(void **state)
{
	static const size_t cols[] = {1, 31, 32, 33, 100, 127, 128, 129, 255, 256, 300, 576};

	(void)state;
	for (size_t s = 0; s < sizeof(cols) / sizeof(cols[0]); s++) {
		const size_t rows = 3, n = cols[s], stride = bd_ternary_stride(n);
		float *w = exactly(rows * n * 4), *back = exactly(rows * n * 4);
		uint8_t *codes = exactly(rows * stride);
		uint64_t count[3], want[3] = {0};

		for (size_t i = 0; i < rows * n; i++)
			w[i] = (float)bd_rng_normal(3, s, i);
		const float d = bd_absmean(w, rows, n);
		bd_ternary_pack(codes, w, rows, n, d);
		bd_ternary_unpack(back, codes, rows, n, d);
		for (size_t i = 0; i < rows * n; i++) {
			const float c = fminf(1.0f, fmaxf(-1.0f, rintf(w[i] * (1.0f / d))));

			assert_true(back[i] == c * d);
			want[(int)c + 1]++;
		}
		bd_ternary_count(codes, rows, n, count);
		assert_memory_equal(count, want, sizeof(want));
		codes[0] |= 0xc0; /* code 3 is none of the three */
		bd_ternary_count(codes, rows, n, count);
		assert_int_equal(count[0] + count[1] + count[2], rows * n - 1);
		free(w), free(back), free(codes);
	}
}

/* Halves by their definition, without bit tricks */
static double half_value(unsigned h)
{
	const int e = (int)(h >> 10 & 31);
	const double m = h & 1023, v = e ? ldexp(1024.0 + m, e - 25) : ldexp(m, -24);

	return h & 0x8000 ? -v : v;
}

static void test_f16(void **state)
{
	(void)state;
	for (unsigned h = 0; h < 0x10000; h++) {
		const float x = bd_f16_to_f32((uint16_t)h);

		if ((h & 0x7c00) == 0x7c00) {
			assert_true((h & 0x3ff) ? isnan(x) : isinf(x));
			assert_int_equal(signbit(x) != 0, h >> 15);
			assert_int_equal(bd_f32_to_f16(x), h & 0x3ff ? h | 0x200 : h);
			continue;
		}
		assert_true((double)x == half_value(h) && (signbit(x) != 0) == (h >> 15));
		assert_int_equal(bd_f32_to_f16(x), h);
		if ((h & 0x7fff) == 0x7bff)
			continue;
		/* the middle to the next one rounds to even, just beside it to the nearer */
		const float next = bd_f16_to_f32((uint16_t)(h + 1)), middle = (x + next) / 2.0f;
		assert_int_equal(bd_f32_to_f16(middle), h & 1 ? h + 1 : h);
		assert_int_equal(bd_f32_to_f16(nextafterf(middle, x)), h);
		assert_int_equal(bd_f32_to_f16(nextafterf(middle, next)), h + 1);
	}
	assert_int_equal(bd_f32_to_f16(65519.996f), 0x7bff);
	assert_int_equal(bd_f32_to_f16(65520.0f), 0x7c00);
	assert_int_equal(bd_f32_to_f16(-1e30f), 0xfc00);
	assert_int_equal(bd_f32_to_f16(0x1p-25f), 0);
	assert_int_equal(bd_f32_to_f16(0x1.000002p-25f), 1);
	assert_int_equal(bd_f32_to_f16(-0x1p-149f), 0x8000);
}

static void test_bf16(void **state)
{
	(void)state;
	for (unsigned h = 0; h < 0x10000; h++) {
		const float x = bd_bf16_to_f32((uint16_t)h);

		assert_int_equal(bits_of(x), h << 16);
		if (isnan(x)) {
			assert_int_equal(bd_f32_to_bf16(x), h | 0x40);
			continue;
		}
		assert_int_equal(bd_f32_to_bf16(x), h);
		if (isinf(x))
			continue;
		assert_int_equal(bd_f32_to_bf16(float_of(h << 16 | 0x7fff)), h);
		assert_int_equal(bd_f32_to_bf16(float_of(h << 16 | 0x8000)), h & 1 ? h + 1 : h);
		assert_int_equal(bd_f32_to_bf16(float_of(h << 16 | 0x8001)), h + 1);
	}
	assert_int_equal(bd_f32_to_bf16(float_of(0x7f800001)), 0x7fc0); /* a NaN stays one */
}

static void test_half_rows(void **state)
{
	const float x[5] = {1.0f, -2.5f, 65504.0f, 0x1p-24f, 0.0f};
	uint16_t *h = exactly(10);
	float *y = exactly(20);

	(void)state;
	bd_f16_row(h, x, 5);
	bd_f32_row(y, h, 5);
	assert_memory_equal(x, y, sizeof(x));
	assert_int_equal(h[1], 0xc100);
	free(h), free(y);
}

static void test_q8_0(void **state)
{
	float x[64] = {0}, y[64];
	uint8_t *q = exactly(68);

	(void)state;
	x[0] = 254.0f, x[1] = 1.0f, x[2] = -1.0f, x[3] = 3.0f, x[4] = -254.0f, x[5] = 0.9f; /* d = 2 */
	bd_q8_0_pack(q, x, 64);
	assert_int_equal(q[0] | q[1] << 8, 0x4000);
	assert_int_equal((int8_t)q[2], 127);
	assert_int_equal((int8_t)q[3], 1); /* a half goes away from zero, as in ggml */
	assert_int_equal((int8_t)q[4], -1);
	assert_int_equal((int8_t)q[5], 2);
	assert_int_equal((int8_t)q[6], -127);
	assert_int_equal(q[7], 0);
	for (int i = 34; i < 68; i++)
		assert_int_equal(q[i], 0);
	bd_q8_0_unpack(y, q, 64);
	assert_true(y[0] == 254.0f && y[3] == 4.0f && y[4] == -254.0f && y[40] == 0.0f);

	for (int i = 0; i < 64; i++)
		x[i] = (float)bd_rng_normal(5, 0, (uint64_t)i);
	x[7] = NAN, x[9] = 0x1p-140f;
	bd_q8_0_pack(q, x, 64);
	bd_q8_0_unpack(y, q, 64);
	for (int i = 0; i < 64; i++)
		assert_true(i == 7 ? y[i] == 0.0f : fabsf(x[i] - y[i]) < 0.02f);
	x[8] = INFINITY;
	bd_q8_0_pack(q, x, 32);
	assert_int_equal(q[2], 0);
	free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_absmean),       cmocka_unit_test(test_ternary_by_hand),
	    cmocka_unit_test(test_ternary_bytes), cmocka_unit_test(test_ternary_shapes),
	    cmocka_unit_test(test_f16),           cmocka_unit_test(test_bf16),
	    cmocka_unit_test(test_half_rows),     cmocka_unit_test(test_q8_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
