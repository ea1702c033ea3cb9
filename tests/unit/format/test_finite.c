/* One bad number among any many is found, wherever it is. */
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/finite.h"

enum { ROWS = 7, COLS = 512 };

/* Types, the bytes between the places of a number (of a block's scale), the first of them, and what is stored
 * there: a NaN, an infinity, the largest finite number. */
static const struct {
	enum bd_ggml_type type;
	size_t row, every, first, width;
	uint32_t nan, infinite, largest;
} types[] = {
    {BD_GGML_F32, 4 * COLS, 4, 0, 4, 0x7f800001, 0xff800000, 0x7f7fffff},
    {BD_GGML_F16, 2 * COLS, 2, 0, 2, 0x7c01, 0xfc00, 0x7bff},
    {BD_GGML_BF16, 2 * COLS, 2, 0, 2, 0xff81, 0x7f80, 0x7f7f},
    {BD_GGML_Q8_0, COLS / 32 * 34, 34, 0, 2, 0x7e00, 0x7c00, 0x7bff},
    {BD_GGML_Q4_0, COLS / 32 * 18, 18, 0, 2, 0x7e00, 0x7c00, 0x7bff},
    {BD_GGML_Q6_K, COLS / 256 * 210, 210, 208, 2, 0x7e00, 0x7c00, 0x7bff},
};

static void everywhere(void **state)
{
	struct bd_par *par = bd_par_new(3);

	(void)state;
	for (size_t t = 0; t < sizeof(types) / sizeof(*types); t++) {
		size_t places = types[t].row / types[t].every, size = ROWS * types[t].row;
		unsigned char *block = bd_zalloc(size + 1, 1), *p = block + 1; /* at an odd address */

		for (size_t r = 0; r < ROWS; r++)
			for (size_t i = 0; i < places; i += i + 1 < places && i > 3 ? places - 1 - i : 1) {
				unsigned char *at =
				    p + r * types[t].row + types[t].first + i * types[t].every;

				memcpy(at, &types[t].largest, types[t].width);
				assert_int_equal(bd_bad_row(par, types[t].type, p, ROWS, COLS), ROWS);
				memcpy(at, i % 2 == 0 ? &types[t].nan : &types[t].infinite, types[t].width);
				assert_int_equal(bd_bad_row(par, types[t].type, p, ROWS, COLS), r);
				assert_int_equal(bd_bad_row(NULL, types[t].type, p, ROWS, COLS), r);
				memset(at, 0, types[t].width);
			}
		/* of several, the first */
		memcpy(p + 6 * types[t].row + types[t].first, &types[t].nan, types[t].width);
		memcpy(p + 4 * types[t].row + types[t].first, &types[t].nan, types[t].width);
		assert_int_equal(bd_bad_row(par, types[t].type, p, ROWS, COLS), 4);
		bd_free(block);
	}
	bd_par_free(par);
}

static void check(void *t)
{
	bd_st_check_finite(t, NULL);
}

static void named(void **state)
{
	uint16_t x[6] = {0, 1, 2, 3, 4, 0x7c00};
	struct bd_st_tensor t = {.name = "w",
	                         .file = "f",
	                         .dtype = BD_F16,
	                         .ndim = 2,
	                         .shape = {3, 2},
	                         .count = 6,
	                         .bytes = 12,
	                         .data = x};

	(void)state;
	child_dies(check, &t, BD_DATA, "f: tensor w has NaN or infinite weights, first in row 2");
	t.dtype = BD_BF16; /* the same bits are a number there */
	bd_st_check_finite(&t, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everywhere),
	    cmocka_unit_test(named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
