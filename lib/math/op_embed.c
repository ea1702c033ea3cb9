/* Token table: lookup, its gradient, and the output head of inference. */
#include "math/op_embed.h"

#include <string.h>

#include "format/gguf_table.h"

static const uint8_t *table_row(const struct bd_table *e, size_t row)
{
	return (const uint8_t *)e->p + row * bd_ggml_stride(e->type, e->cols);
}

/* out[n,C] = rows row .. row+n of the table; rows lie one after another, so they convert as one. */
static void table_read(float *out, const struct bd_table *e, size_t row, size_t n)
{
	bd_table_load(e->type, out, table_row(e, row), n * e->cols);
}

static void embed_forward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_embed *o = operands;
	size_t C = o->table.cols;

	(void)cpu;
	for (size_t t = 0; t < o->T; t++)
		table_read(o->out + t * C, &o->table, o->ids[t], 1);
	for (size_t i = 0; o->scale != 1 && i < o->T * C; i++)
		o->out[i] *= o->scale;
}

static void embed_backward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_embed_grad *o = operands;

	(void)cpu;
	for (size_t t = 0; t < o->T; t++) {
		float *d = o->dtable + o->ids[t] * o->C;

		for (size_t i = 0; i < o->C; i++)
			d[i] += o->scale * o->dout[t * o->C + i];
	}
}

/* ---- head ---- */

/* Columns [v0, v1) of z from rows as they are stored, of the types that a kernel reads. */
static void head_stored(const struct bd_kern *kern, const struct bd_lm_head *o, size_t v0, size_t v1)
{
	size_t V = o->table.rows, C = o->table.cols, stride = bd_ggml_stride(o->table.type, C);
	const uint8_t *w = table_row(&o->table, v0);

	for (size_t v = v0; v < v1; v++, w += stride)
		for (size_t p = 0; p < o->P; p++)
			o->z[p * V + v] =
			    o->table.type == BD_GGML_F16
			        ? kern->dot_f16(o->h + p * C, (const uint16_t *)(const void *)w, C)
			        : kern->dot_q8_0(o->h + p * C, w, C);
}

/* One position multiplies the rows as they are stored; for several, converting a block of rows first is
 * cheaper and gives the same bits. */
static void head_columns(struct bd_cpu *cpu, const void *operands, size_t v0, size_t v1, int slice)
{
	enum { BLOCK = BD_TABLE_COLS }; /* floats: a 64 KiB block of converted rows */
	float w[BLOCK];
	const struct bd_lm_head *o = operands;
	const struct bd_table *e = &o->table;
	size_t V = e->rows, C = e->cols, step = BLOCK / C;

	(void)slice;
	if (e->type == BD_GGML_F32) {
		cpu->kern->head_f32(o->z + v0, V, o->h, o->P, (const float *)e->p + v0 * C, v1 - v0, C);
		return;
	}
	if ((o->P == 1 || step == 0) && (e->type == BD_GGML_F16 || e->type == BD_GGML_Q8_0)) {
		head_stored(cpu->kern, o, v0, v1);
		return;
	}
	for (size_t v = v0; v < v1; v += step) {
		size_t n = v1 - v < step ? v1 - v : step;

		table_read(w, e, v, n);
		cpu->kern->head_f32(o->z + v, V, o->h, o->P, w, n, C);
	}
}

static void lm_head_forward(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_lm_head *)operands)->table.rows, head_columns, operands);
}

const struct bd_op bd_op_embed_forward = {"embed_forward", embed_forward},
                   bd_op_embed_backward = {"embed_backward", embed_backward},
                   bd_op_lm_head_forward = {"lm_head_forward", lm_head_forward};

void bd_embed_forward(struct bd_dev *dev, const struct bd_embed *o)
{
	bd_dev_run(dev, &bd_op_embed_forward, o);
}

void bd_embed_backward(struct bd_dev *dev, const struct bd_embed_grad *o)
{
	bd_dev_run(dev, &bd_op_embed_backward, o);
}

void bd_lm_head_forward(struct bd_dev *dev, const struct bd_lm_head *o)
{
	bd_dev_run(dev, &bd_op_lm_head_forward, o);
}
