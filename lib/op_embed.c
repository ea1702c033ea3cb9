/* Token table: lookup, its gradient, and the output head of inference. */
#include "op_embed.h"

#include <string.h>

#include "quant.h"

static const uint8_t *table_row(const struct bd_table *e, size_t row)
{
	size_t bytes = e->type == BD_GGML_F32   ? e->cols * sizeof(float)
	               : e->type == BD_GGML_F16 ? e->cols * sizeof(uint16_t)
	                                        : e->cols / BD_Q8_0_BLOCK * BD_Q8_0_BYTES;
	return (const uint8_t *)e->p + row * bytes;
}

/* out[n,C] = rows row .. row+n of the table; rows lie one after another, so they convert as one. */
static void table_read(float *out, const struct bd_table *e, size_t row, size_t n)
{
	const uint8_t *p = table_row(e, row);
	if (e->type == BD_GGML_F32)
		memcpy(out, p, n * e->cols * sizeof *out);
	else if (e->type == BD_GGML_F16)
		bd_f32_row(out, (const uint16_t *)(const void *)p, n * e->cols);
	else
		bd_q8_0_unpack(out, p, n * e->cols);
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

static float row_dot(const struct bd_kern *k, const float *h, const struct bd_table *e, size_t row)
{
	const void *w = table_row(e, row);
	return e->type == BD_GGML_F32   ? k->dot(h, w, e->cols)
	       : e->type == BD_GGML_F16 ? k->dot_f16(h, w, e->cols)
	                                : k->dot_q8_0(h, w, e->cols);
}

/* Columns [v0, v1) of z. One position multiplies the rows as they are stored; for several, converting a block
 * of rows first is cheaper and gives the same bits. */
static void head_slice(void *ctx, size_t v0, size_t v1, int slice)
{
	enum { BLOCK = 16384 }; /* floats: a 64 KiB block of converted rows */
	float w[BLOCK];
	const struct head *j = ctx;
	size_t V = j->e->rows, C = j->e->cols, step = BLOCK / C;
	(void)slice;
	if (j->e->type == BD_GGML_F32) {
		j->k->head_f32(j->z + v0, V, j->h, j->P, (const float *)j->e->p + v0 * C, v1 - v0, C);
		return;
	}
	if (j->P == 1 || !step) {
		for (size_t v = v0; v < v1; v++)
			for (size_t p = 0; p < j->P; p++)
				j->z[p * V + v] = row_dot(j->k, j->h + p * C, j->e, v);
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
