/* Rows of ggml's types: bytes of gguf-py's reference, the published layouts read weight by weight, and round
 * trips of any width. */
#include "base/rng.h"
#include "format/gguf.h"
#include "format/gguf_table.h"
#include "format/gguf_ternary.h"
#include "machine/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Memory that a sanitizer watches to the byte */
static void *exactly(size_t n)
{
	void *p = malloc(n ? n : 1);

	assert_non_null(p);
	return p;
}

/* ---- what gguf-py 0.19 makes of 256 codes (digits: C + 1) with d = 0.375 ---- */

static const char digits[] =
    "2202111020011100000201200102022201111210212012001202101222002220011120100200000211022000021101202002"
    "2022112221020120020222112011100221210200010221020102221212001212211111122011002111121210021022002110"
    "02221001201111202220110020201102120111021201021121221102";
static const char tq1_0[] =
    "\xb3\xd1\x26\xda\x8e\x90\x84\x08\xe7\x35\x40\x5c\x79\x93\x00\x1c\x29\x47\x07\xf9\x30\x5d\xc8\x42\x42\xaa"
    "\x0e\xba\x41\xf0\xfa\xae\x71\xbe\x94\xcb\xdf\x80\x82\x91\x7a\xaa\x8c\xbf\xb9\x3e\x72\x61\x6c\xf1\x30\x8c"
    "\x00\x36";
static const char tq2_0[] =
    "\x82\x16\x14\x96\xa5\x09\x95\x80\x4a\x64\x88\x81\x85\x49\x00\xa0\x14\x58\x80\x2a\x24\x81\x06\x88\x88\xa9"
    "\x50\x52\x88\x1a\x6a\x42\xa5\x28\x84\x0a\x6a\x55\x16\x85\x44\xa6\x24\x68\x58\x41\x04\x96\x62\x81\x18\x56"
    "\x14\x95\x64\x4a\xa6\x6a\xa5\x82\x51\x5a\x04\x80\x00\x36";

/* I2_S codes of a row from its digits. */
static void codes_of(uint8_t *codes, const char *digit, size_t cols)
{
	float *w = exactly(cols * sizeof(*w));

	for (size_t i = 0; i < cols; i++)
		w[i] = (float)(digit[i] - '1');
	bd_ternary_pack(codes, w, 1, cols, 1);
	free(w);
}

static void test_reference_ternary(void **state)
{
	static const struct {
		uint32_t type;
		const char *bytes;
		size_t n;
	} want[] = {{BD_GGML_TQ1_0, tq1_0, 54}, {BD_GGML_TQ2_0, tq2_0, 66}};
	uint8_t codes[64], back[64], out[66];
	float d;

	(void)state;
	codes_of(codes, digits, 256);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(bd_ggml_stride(want[i].type, 256), want[i].n);
		bd_ternary_store(want[i].type, out, codes, 256, 0.375f);
		assert_memory_equal(out, want[i].bytes, want[i].n);
		assert_true(bd_ternary_load(want[i].type, back, (const uint8_t *)want[i].bytes, 256, &d));
		assert_true(d == 0.375f);
		assert_memory_equal(back, codes, 64);
	}
}

/* ---- the layouts as they are published, weight by weight ---- */

/* ceil(256 v / 243) back to v, whose n-th trit from the top or (low) from the bottom is wanted. */
static int trit(uint8_t b, int n, int low)
{
	static const int power[] = {1, 3, 9, 27, 81};
	int v = 0;

	while (v < 243 && (256 * v + 242) / 243 != b)
		v++;
	assert_true(v < 243);
	return v / power[low ? n : 4 - n] % 3;
}

static int tq1_0_at(const uint8_t *b, size_t i)
{
	if (i < 160)
		return trit(b[i % 32], (int)(i / 32), 0);
	if (i < 240)
		return trit(b[32 + i % 16], (int)((i - 160) / 16), 0);
	return trit(b[48 + i % 4], (int)((i - 240) / 4), 0);
}

static int iq1_bn_at(const uint8_t *b, size_t i)
{
	if (i % 16 == 15)
		return trit(b[12], (int)(i / 16), 1);
	return trit(b[3 * (i / 16) + i % 16 / 5], (int)(i % 16 % 5), 1);
}

/* Code of column i of a row, and *d of its block. */
static int code_at(uint32_t type, const uint8_t *row, size_t i, uint16_t *half)
{
	const uint8_t *b;

	switch (type) {
	case BD_GGML_TQ2_0:
		b = row + i / 256 * 66;
		memcpy(half, b + 64, 2);
		return b[i % 256 / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
	case BD_GGML_TQ1_0:
		b = row + i / 256 * 54;
		memcpy(half, b + 52, 2);
		return tq1_0_at(b, i % 256);
	case BD_GGML_Q2_0:
		b = row + i / 64 * 18;
		memcpy(half, b, 2);
		return b[2 + i % 64 / 4] >> i % 4 * 2 & 3;
	case BD_GGML_IQ2_BN:
		return row[4 + i / 64 * 16 + i % 16] >> i % 64 / 16 * 2 & 3;
	case BD_GGML_IQ1_BN:
		memcpy(half, row, 2);
		return iq1_bn_at(row + 2 + i / 64 * 13, i % 64);
	default:
		return row[i / 128 * 32 + i % 32] >> (6 - i % 128 / 32 * 2) & 3;
	}
}

static const uint32_t ternary[] = {BD_GGML_I2_S, BD_GGML_TQ2_0,  BD_GGML_TQ1_0,
                                   BD_GGML_Q2_0, BD_GGML_IQ2_BN, BD_GGML_IQ1_BN};
enum { TERNARY = sizeof(ternary) / sizeof(*ternary) };

static void check_row(uint32_t type, size_t cols)
{
	size_t all = bd_ggml_cols(type, cols), bytes = bd_ggml_stride(type, all),
	       stride = bd_ternary_stride(cols);
	uint8_t *codes = exactly(stride), *row = exactly(bytes), *back = exactly(stride);
	char *digit = exactly(cols);
	uint16_t half = 0x3600;
	float d, want = type == BD_GGML_I2_S ? 1.0f : 0.375f;

	for (size_t i = 0; i < cols; i++)
		digit[i] = (char)('0' + bd_rng_below(6, cols, i, 3));
	codes_of(codes, digit, cols);
	bd_ternary_store(type, row, codes, cols, 0.375f);
	for (size_t i = 0; i < all; i++) {
		assert_int_equal(code_at(type, row, i, &half), i < cols ? digit[i] - '0' : 1);
		assert_int_equal(half, 0x3600); /* 0.375 */
	}
	if (type == BD_GGML_IQ2_BN)
		assert_memory_equal(row, &want, 4);
	assert_true(bd_ternary_load(type, back, row, cols, &d));
	assert_true(d == want);
	assert_memory_equal(back, codes, stride);
	free(codes), free(row), free(back), free(digit);
}

static void test_layouts(void **state)
{
	static const size_t cols[] = {1, 32, 64, 100, 128, 129, 192, 256, 300, 384, 512, 576, 1000};

	(void)state;
	for (size_t t = 0; t < TERNARY; t++)
		for (size_t i = 0; i < sizeof(cols) / sizeof(*cols); i++)
			check_row(ternary[t], cols[i]);
}

/* The table itself: ids, names and words are taken once, blocks divide the 256 columns that pass at once,
 * every target prefers its types in places 1, 2, ..., and what a row stores it loads. */
static void test_table(void **state)
{
	size_t n, ranked[BD_TARGETS] = {0}, all = 0;
	const struct bd_ggml *row = bd_ggml_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(bd_ggml(row[i].id), &row[i]);
		assert_int_equal(256 % row[i].block, 0);
		assert_true((row[i].store != NULL) != (row[i].store_table != NULL));
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(row[i].name, row[j].name);
			assert_string_not_equal(row[i].word, row[j].word);
			assert_false(row[i].file_type != 0 && row[i].file_type == row[j].file_type);
		}
		for (int t = 0; t < BD_TARGETS; t++)
			for (size_t j = 0; row[i].rank[t] > 0 && j < n; j++)
				assert_false(j != i && row[j].rank[t] == row[i].rank[t]);
		for (int t = 0; t < BD_TARGETS; t++)
			ranked[t] += row[i].rank[t] > 0;
		if (row[i].store != NULL) {
			uint8_t codes[64], back[64], bytes[256];
			float d;

			all++;
			for (int k = 0; k < 64; k++)
				codes[k] = (uint8_t)bd_rng_below(7, i, (uint64_t)k, 256) & 0x55;
			bd_ternary_store(row[i].id, bytes, codes, 256, 0.5f);
			assert_true(bd_ternary_load(row[i].id, back, bytes, 256, &d));
			assert_memory_equal(back, codes, 64);
			assert_true(d == (row[i].d == BD_TAIL ? 1.0f : 0.5f));
		}
	}
	assert_int_equal(all, BD_TERNARIES);
	for (size_t i = 0; i < n; i++)
		for (int t = 0; t < BD_TARGETS; t++)
			assert_true(row[i].rank[t] <= ranked[t]);
	assert_int_equal(ranked[BD_TARGET_BD], BD_TERNARIES); /* bd-run runs all of them */
}

/* A row with a fourth code, or another scale in a later block, is not a ternary row with one scale. */
static void test_not_ternary(void **state)
{
	static const struct {
		uint32_t type;
		size_t code, scale; /* bytes of the second block to change; scale 0: none of its own */
	} where[] = {{BD_GGML_TQ2_0, 66 + 5, 66 + 65},
	             {BD_GGML_Q2_0, 18 + 7, 19},
	             {BD_GGML_IQ2_BN, 4 + 16, 0},
	             {BD_GGML_I2_S, 32, 0},
	             {BD_GGML_TQ1_0, 0, 54 + 53}};
	uint8_t codes[128], back[128], row[256];
	float d;

	(void)state;
	memset(codes, 0x55, sizeof(codes));
	for (size_t i = 0; i < sizeof(where) / sizeof(*where); i++) {
		bd_ternary_store(where[i].type, row, codes, 512, 1);
		assert_true(bd_ternary_load(where[i].type, back, row, 512, &d));
		if (where[i].scale > 0) {
			row[where[i].scale] ^= 1;
			assert_false(bd_ternary_load(where[i].type, back, row, 512, &d));
			row[where[i].scale] ^= 1;
		}
		if (where[i].code > 0) {
			row[where[i].code] |= 0x0c;
			assert_false(bd_ternary_load(where[i].type, back, row, 512, &d));
		}
	}
	bd_ternary_store(BD_GGML_TQ2_0, row, codes, 300, 1); /* the padding of a row is not a code */
	row[66 + 63] = 0xff;
	assert_false(bd_ternary_load(BD_GGML_TQ2_0, back, row, 512, &d));
	bd_ternary_load(BD_GGML_TQ2_0, back, row, 300, &d);
	assert_memory_equal(back, codes, 96);
}

/* ---- tables ---- */

/* Random blocks with d = 0.25, and -0.25 for Q4_0, as gguf-py reads them: values times 4. */
static const char q6_k[] =
    "\xca\xb2\x69\x01\xbc\x0a\xcd\x26\x4e\x36\x8a\x34\x42\x0c\xfb\x37\x31\x99\x24\xe2\xc8\x59\x66\x5d\xbc\x6a"
    "\x49\xae\x23\xc9\x6d\xf0\x42\x60\xdf\xb4\x0a\x57\x04\xd2\x6a\x3b\xb9\xde\x1a\x81\x5d\xb9\xee\x88\xbf\x50"
    "\x94\x7e\xbb\x0c\x3c\x0b\xfa\x87\x7d\x7a\x08\xd5\xd8\x05\x9f\x8e\x61\x7d\xe1\x99\x7d\xba\xb1\x86\xd4\x90"
    "\x9e\x7d\x97\x9d\xe6\x3f\x5d\x8d\x56\xac\xd3\x30\x0e\xfd\x82\xbf\xc2\xf4\x08\x4b\xfb\x71\x65\x42\x05\x0b"
    "\xf9\x04\x23\x3f\x48\xdc\x53\x29\x64\xb0\x72\x3f\x1e\x10\x7d\x31\x95\xad\x61\x80\x0e\x8c\x2e\x74\x1c\x46"
    "\x6a\x7d\x07\xec\x6b\x33\x32\xbb\x70\x40\x73\x31\x29\x52\xf6\x17\x8b\xef\x76\x5d\x8e\x2d\xb2\x00\x90\x0f"
    "\x05\x36\xb8\x6a\x6b\x9a\x11\xfb\x7c\xe3\xc1\x3e\x4d\x9c\xd7\xeb\x7c\x1a\xfe\xda\xb6\x65\x22\xc8\x34\x52"
    "\xdd\xa0\x4c\x81\x9c\x1a\x46\xc2\xa0\xd2\xbc\x7b\x4c\x63\x33\xf2\x07\x5f\x11\xe1\xa7\x6b\xca\x5f\x77\x5c"
    "\x00\x34";
static const int q6_k_values[] = {
    1496,  -136,  -612,  1020,  -1904, 1496,  -1972, -1496, -952,  -1496, 1496,  1904,  -1224, 272,   340,
    -476,  123,   3075,  2460,  2214,  984,   -861,  738,   -369,  1476,  -2706, -2829, 3690,  -1599, 1107,
    -2337, 0,     1368,  -1216, 1140,  1520,  -456,  1748,  304,   -2280, -1672, 836,   -1748, -1368, -1672,
    -2356, 988,   -1748, -198,  -792,  1485,  1584,  -1188, 2970,  2673,  2772,  -1980, -2079, -2178, 2277,
    -297,  -594,  792,   495,   -204,  -1071, 306,   816,   -1071, 0,     612,   918,   1020,  969,   1224,
    -1479, 1020,  816,   765,   -663,  -266,  98,    420,   -196,  -392,  154,   364,   -70,   -378,  364,
    168,   308,   420,   -392,  -308,  -210,  -196,  -70,   -21,   -35,   -224,  147,   -112,  -133,  -182,
    21,    -35,   -21,   -105,  -168,  -189,  -35,   2850,  -2280, 1045,  1995,  -665,  -855,  1045,  -3040,
    285,   -3040, 1425,  -2280, -2375, -2375, 0,     -285,  408,   85,    -17,   510,   -527,  493,   -255,
    153,   -51,   -374,  289,   374,   -476,  0,     238,   221,   -217,  93,    -186,  527,   589,   -403,
    310,   620,   899,   496,   558,   -403,  -62,   -465,  930,   -124,  -712,  -979,  1869,  -89,   -1869,
    2670,  2403,  -2403, -2225, -1780, 1157,  -1335, -2136, -1068, -1691, -801,  -1284, -1712, -3210, 1605,
    -214,  -3424, 3103,  -3317, 2247,  -2033, 1819,  0,     -214,  -2140, -1926, -2996, -702,  864,   378,
    -1296, -1188, -378,  972,   -1350, 1350,  270,   270,   -432,  -1566, 378,   -1350, 486,   2375,  855,
    1330,  -2755, 1995,  -760,  -1045, 950,   -1805, -2755, -1520, -95,   -2280, -1995, 1140,  -95,   -1904,
    476,   -2023, 2737,  -1190, 2380,  1904,  -3808, -119,  0,     2142,  2261,  -1428, -2261, 2499,  2142,
    552,   -460,  -2300, 1748,  -2852, -1380, 2116,  276,   -644,  920,   552,   -2208, -1472, 2208,  184,
    2116};
static const char q4_0[] = "\x00\xb4\xf9\x3a\x66\x0f\x7f\x8a\xc0\x71\x3f\x06\xe9\x27\xc5\xeb\x52\x22";
static const int q4_0_values[] = {-1, -2, 2, -7, -7, -2, 8,  7, -7, 2, -1, 1, 3,  -3, 6, 6,
                                  -7, 5,  2, 8,  1,  0,  -4, 1, 5,  8, -6, 6, -4, -6, 3, 6};
static const char q8_0[] =
    "\x00\x34\xb1\xcd\xf8\x42\x1a\x51\x93\xe3\xe9\x7f\x0b\xf5\x3b\x23\x38\xc8\x88\x79\x59\x79\xb7\xe1\xf3\x21"
    "\xbd\x83\x5f\x3f\x10\x57\x3b\xd1";
static const int q8_0_values[] = {-79, -51, -8,  66,   26,  81,   -109, -29, -23, 127, 11,
                                  -11, 59,  35,  56,   -56, -120, 121,  89,  121, -73, -31,
                                  -13, 33,  -67, -125, 95,  63,   16,   87,  59,  -47};

/* What gguf-py makes Q4_0 of. */
static const float q4_0_from[] = {
    0.6875f,  0.1875f,  0.3125f,  -0.0625f, -0.625f, -0.375f, 0.3125f, 0.0625f, -0.4375f, -0.8125f, 0.0625f,
    -0.1875f, -0.1875f, -0.1875f, 0.125f,   0.125f,  0.5f,    0.4375f, 0.6875f, 0.375f,   -0.1875f, -0.0f,
    0.25f,    -0.125f,  0.25f,    0.5625f,  -0.375f, -0.875f, 0.625f,  0.0f,    0.375f,   -0.6875f};
static const char q4_0_of[] = "\x00\x2f\xde\xca\xeb\xb7\x62\x85\xab\x79\xa4\xd1\x59\x06\xe6\x86\xb9\x29";

static void check_values(uint32_t type, const char *bytes, const int *want, size_t n)
{
	float x[256];

	bd_table_load(type, x, bytes, n);
	for (size_t i = 0; i < n; i++)
		assert_true(x[i] == 0.25f * (float)want[i]);
}

static void test_reference_tables(void **state)
{
	uint8_t out[18];

	(void)state;
	check_values(BD_GGML_Q6_K, q6_k, q6_k_values, 256);
	check_values(BD_GGML_Q4_0, q4_0, q4_0_values, 32);
	check_values(BD_GGML_Q8_0, q8_0, q8_0_values, 32);
	bd_table_store(BD_GGML_Q4_0, out, q4_0_from, 32);
	assert_memory_equal(out, q4_0_of, 18);
}

static const uint32_t tables[] = {BD_GGML_F32,  BD_GGML_F16,  BD_GGML_BF16,
                                  BD_GGML_Q8_0, BD_GGML_Q6_K, BD_GGML_Q4_0};
enum { TABLES = sizeof(tables) / sizeof(*tables), N = 4096 };

/* Root of mean squared error over that of the values. */
static double error_of(uint32_t type, const float *x, uint8_t *bytes, float *y)
{
	double e = 0, s = 0;

	bd_table_store(type, bytes, x, N);
	bd_table_load(type, y, bytes, N);
	for (int i = 0; i < N; i++) {
		e += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
		s += (double)x[i] * (double)x[i];
	}
	return sqrt(e / s);
}

static void test_errors(void **state)
{
	/* of normal values; ggml's own quantisers: Q8_0 0.0054, Q6_K 0.0178, Q4_0 0.0862 */
	static const double most[TABLES] = {0, 0.0003, 0.0021, 0.006, 0.0185, 0.09};
	float *x = exactly(N * 4), *y = exactly(N * 4);

	(void)state;
	for (int i = 0; i < N; i++)
		x[i] = (float)bd_rng_normal(3, 0, (uint64_t)i);
	for (size_t t = 0; t < TABLES; t++) {
		size_t bytes = bd_ggml_stride(tables[t], N);
		uint8_t *p = exactly(bytes), *again = exactly(bytes);
		double e = error_of(tables[t], x, p, y);

		if (e > most[t])
			fail_msg("%s: error %g of %g", bd_ggml_name(tables[t]), e, most[t]);
		bd_table_store(tables[t], again, y, N);
		/* these may take another step of the same values */
		if (tables[t] != BD_GGML_Q6_K && tables[t] != BD_GGML_Q4_0)
			assert_memory_equal(again, p, bytes);
		free(p), free(again);
	}
	free(x), free(y);
}

/* Zeros, tiny and huge values, NaN and infinities: no undefined conversion, and damage shows
 * in its block only. */
static void test_odd_values(void **state)
{
	static const float odd[] = {0, 1e-30f, 1e-42f, 3e38f, -3e38f, NAN, INFINITY, -INFINITY, 65504, 1e6f};
	float x[512], y[512];
	uint8_t p[2048];

	(void)state;
	for (size_t t = 0; t < TABLES; t++)
		for (size_t k = 0; k < sizeof(odd) / sizeof(*odd); k++) {
			for (int i = 0; i < 512; i++)
				x[i] = i < 256 ? 0.0f : (float)(i % 5 - 2);
			x[5] = odd[k];
			bd_table_store(tables[t], p, x, 512);
			bd_table_load(tables[t], y, p, 512);
			assert_true(odd[k] == 0 ? y[5] == 0 : 1);
			assert_true(isfinite(odd[k]) || !isfinite(y[5]) || tables[t] == BD_GGML_Q8_0);
			for (int i = 256; i < 512; i++)
				assert_true(fabsf(y[i] - x[i]) <= 0.26f); /* a step of Q4_0 */
		}
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(bd_ggml_bytes(BD_GGML_I2_S, 3, 256), 3 * 64 + 32);
	assert_int_equal(bd_ggml_stride(BD_GGML_I2_S, 256), 64);
	assert_int_equal(bd_ggml_bytes(BD_GGML_IQ2_BN, 3, 128), 3 * (4 + 32));
	assert_int_equal(bd_ggml_bytes(BD_GGML_IQ1_BN, 3, 128), 3 * (2 + 26));
	assert_int_equal(bd_ggml_bytes(BD_GGML_Q2_0, 2, 192), 2 * 54);
	assert_int_equal(bd_ggml_bytes(BD_GGML_Q6_K, 2, 512), 2 * 420);
	assert_int_equal(bd_ggml_bytes(BD_GGML_Q4_0, 2, 64), 2 * 36);
	assert_int_equal(bd_ggml_bytes(BD_GGML_Q6_K, 2, 128), 0);
	assert_int_equal(bd_ggml_bytes(BD_GGML_IQ1_BN, 2, 96), 0);
	assert_int_equal(bd_ggml_bytes(39, 2, 256), 0);
	assert_int_equal(bd_ggml_bytes(BD_GGML_F32, SIZE_MAX / 4, 256), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reference_ternary),
	    cmocka_unit_test(test_layouts),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_not_ternary),
	    cmocka_unit_test(test_reference_tables),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_odd_values),
	    cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
