#include "format/finite.h"

#include "base/msg.h"
#include "machine/quant.h"

#include <string.h>

struct rows {
	enum bd_ggml_type type;
	const unsigned char *p;
	size_t cols, stride;
	size_t bad; /* the first, of all slices */
};

/* Not finite: all bits of the exponent are set. The data may be at any address. */
static bool bad_floats(const unsigned char *p, size_t n)
{
	uint32_t x, bad = 0;

	for (size_t i = 0; i < n; i++) {
		memcpy(&x, p + i * sizeof(x), sizeof(x));
		bad |= (x & 0x7f800000u) == 0x7f800000u;
	}
	return bad != 0;
}

/* every: bytes from one to the next. */
static bool bad_halves(const unsigned char *p, size_t n, size_t every, uint16_t exponent)
{
	uint16_t x, bad = 0;

	for (size_t i = 0; i < n; i++) {
		memcpy(&x, p + i * every, sizeof(x));
		bad |= (x & exponent) == exponent;
	}
	return bad != 0;
}

static bool bad_row(const struct rows *r, const unsigned char *row)
{
	switch (r->type) {
	case BD_GGML_F32:
		return bad_floats(row, r->cols);
	case BD_GGML_F16:
		return bad_halves(row, r->cols, 2, 0x7c00);
	case BD_GGML_BF16:
		return bad_halves(row, r->cols, 2, 0x7f80);
	case BD_GGML_Q8_0: /* d is first in a block */
		return bad_halves(row, r->cols / 32, BD_Q8_0_BYTES, 0x7c00);
	case BD_GGML_Q4_0:
		return bad_halves(row, r->cols / 32, BD_Q4_0_BYTES, 0x7c00);
	default: /* Q6_K: last */
		return bad_halves(row + BD_Q6_K_BYTES - 2, r->cols / BD_Q6_K_BLOCK, BD_Q6_K_BYTES, 0x7c00);
	}
}

static void find(void *ctx, size_t begin, size_t end, int slice)
{
	struct rows *r = ctx;

	(void)slice;
	for (size_t i = begin; i < end; i++) {
		size_t first = __atomic_load_n(&r->bad, __ATOMIC_RELAXED);

		if (first <= i)
			return;
		if (!bad_row(r, r->p + i * r->stride))
			continue;
		while (i < first && !__atomic_compare_exchange_n(&r->bad, &first, i, false, __ATOMIC_RELAXED,
		                                                 __ATOMIC_RELAXED))
			;
		return;
	}
}

size_t bd_bad_row(struct bd_par *par, enum bd_ggml_type type, const void *p, size_t rows, size_t cols)
{
	struct rows r = {type, p, cols, bd_ggml_stride(type, cols), rows};

	bd_par_for(par, rows, find, &r);
	return r.bad;
}

void bd_st_check_finite(const struct bd_st_tensor *t, struct bd_par *par)
{
	enum bd_ggml_type type = t->dtype == BD_F32   ? BD_GGML_F32
	                         : t->dtype == BD_F16 ? BD_GGML_F16
	                                              : BD_GGML_BF16;
	bool matrix = t->ndim == 2;
	size_t rows = matrix ? t->shape[0] : 1, cols = matrix ? t->shape[1] : t->count;
	size_t bad = bd_bad_row(par, type, t->data, rows, cols);

	if (bad < rows)
		bd_die(BD_DATA,
		       "%s: tensor %s has NaN or infinite weights, first in row %zu; start from an earlier "
		       "checkpoint",
		       t->file, t->name, bad);
}
