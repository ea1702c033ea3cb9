/* Token table: lookup, its gradient, and the output head of inference. */
#include "math/op_embed.h"

#include "format/gguf_table.h"

#include <string.h>

static const uint8_t *table_row(const struct bd_table *e, size_t row)
{
	return (const uint8_t *)e->p + row * bd_ggml_stride(e->type, e->cols);
}

/* out[n,C] = rows row .. row+n of the table; rows lie one after another, so they convert as one. */
static void table_read(float *out, const struct bd_table *e, size_t row, size_t n)
{
	bd_table_load(e->type, out, table_row(e, row), n * e->cols);
}

void bd_embed_forward(float *out, const struct bd_table *e, float scale, const uint32_t *ids, size_t T)
{
	for (size_t t = 0; t < T; t++)
		table_read(out + t * e->cols, e, ids[t], 1);
	for (size_t i = 0; scale != 1 && i < T * e->cols; i++)
		out[i] *= scale;
}

void bd_embed_backward(float *dtable, const float *dout, float scale, const uint32_t *ids, size_t T, size_t C)
{
	for (size_t t = 0; t < T; t++) {
		float *d = dtable + ids[t] * C;

		for (size_t i = 0; i < C; i++)
			d[i] += scale * dout[t * C + i];
	}
}

struct head {
	const struct bd_kern *k;
	float *z;
	const float *h;
	const struct bd_table *e;
	size_t P;
};

/* The same from rows as they are stored, of the types that a kernel reads. */
static void head_stored(const struct head *j, size_t v0, size_t v1)
{
	size_t V = j->e->rows, C = j->e->cols, stride = bd_ggml_stride(j->e->type, C);
	const uint8_t *w = table_row(j->e, v0);

	for (size_t v = v0; v < v1; v++, w += stride)
		for (size_t p = 0; p < j->P; p++)
			j->z[p * V + v] =
			    j->e->type == BD_GGML_F16
			        ? j->k->dot_f16(j->h + p * C, (const uint16_t *)(const void *)w, C)
			        : j->k->dot_q8_0(j->h + p * C, w, C);
}

/* Columns [v0, v1) of z. One position multiplies the rows as they are stored; for several, converting a block
 * of rows first is cheaper and gives the same bits. */
static void head_slice(void *ctx, size_t v0, size_t v1, int slice)
{
	enum { BLOCK = BD_TABLE_COLS }; /* floats: a 64 KiB block of converted rows */
	float w[BLOCK];
	const struct head *j = ctx;
	size_t V = j->e->rows, C = j->e->cols, step = BLOCK / C;

	(void)slice;
	if (j->e->type == BD_GGML_F32) {
		j->k->head_f32(j->z + v0, V, j->h, j->P, (const float *)j->e->p + v0 * C, v1 - v0, C);
		return;
	}
	if ((j->P == 1 || !step) && (j->e->type == BD_GGML_F16 || j->e->type == BD_GGML_Q8_0)) {
		head_stored(j, v0, v1);
		return;
	}
	for (size_t v = v0; v < v1; v += step) {
		size_t n = v1 - v < step ? v1 - v : step;

		table_read(w, j->e, v, n);
		j->k->head_f32(j->z + v, V, j->h, j->P, w, n, C);
	}
}

void bd_head_forward(struct bd_par *par, const struct bd_kern *k, float *z, const float *h,
                     const struct bd_table *e, size_t P)
{
	struct head j = {k, z, h, e, P};

	bd_par_for(par, e->rows, head_slice, &j);
}
