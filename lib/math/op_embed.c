/* Token table: lookup, its gradient, and the output head of inference. */
#include "math/op_embed.h"

#include <string.h>

#include "base/mem.h"
#include "format/gguf_table.h"
#include "machine/quant.h"

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

typedef void integer_fn(const struct bd_kern_table *o);

/* The integer product for rows of a type, or NULL: the head is a product of floats. */
static integer_fn *integer_product(const struct bd_kern *kern, const struct bd_lm_head *o)
{
	enum bd_ggml_type type = o->table.type;

	return o->first               ? NULL
	       : type == BD_GGML_Q8_0 ? kern->table_q8_0
	       : type == BD_GGML_Q6_K ? kern->table_q6_k
	       : type == BD_GGML_Q4_0 ? kern->table_q4_0
	                              : NULL;
}

/* h in int8 blocks of 32. */
struct quantised {
	const struct bd_lm_head *o;
	integer_fn *product;
	int8_t *q;   /* [P,kpad] */
	float *step; /* [P,kpad/4] */
};

static void quantise_rows(struct bd_cpu *cpu, const void *operands, size_t p0, size_t p1, int slice)
{
	const struct quantised *x = operands;
	size_t C = x->o->table.cols, kpad = bd_table_cols(C);

	(void)slice;
	for (size_t p = p0; p < p1; p++)
		for (size_t i = 0; i < kpad; i += 32) {
			int8_t *q = x->q + p * kpad + i;
			float step = 0;
			int32_t sum;

			if (i < C)
				step = cpu->kern->quant_row(q, &sum, x->o->h + p * C + i, 32, 32);
			else
				memset(q, 0, 32);
			for (size_t l = 0; l < 8; l++)
				x->step[(p * kpad + i) / 4 + l] = step;
		}
}

static void integer_columns(struct bd_cpu *cpu, const void *operands, size_t v0, size_t v1, int slice)
{
	const struct quantised *x = operands;
	const struct bd_lm_head *o = x->o;

	(void)cpu, (void)slice;
	x->product(&(struct bd_kern_table){.out = o->z + v0,
	                                   .ldo = o->table.rows,
	                                   .q = x->q,
	                                   .step = x->step,
	                                   .T = o->P,
	                                   .w = table_row(&o->table, v0),
	                                   .N = v1 - v0,
	                                   .k = o->table.cols});
}

static void integer_head(struct bd_cpu *cpu, const struct bd_lm_head *o, integer_fn *product)
{
	size_t kpad = bd_table_cols(o->table.cols), steps = o->P * (kpad / 4);
	float *room = bd_cpu_shared(cpu, steps + o->P * kpad / sizeof(float));
	struct quantised x = {o, product, (int8_t *)(room + steps), room};

	bd_cpu_for(cpu, o->P, quantise_rows, &x);
	bd_cpu_for_work(cpu, o->table.rows, o->P * o->table.rows * kpad, integer_columns, &x);
}

/* Columns [v0, v1) of z, of one position, from rows of two-byte floats as they are stored. */
static void head_stored(const struct bd_kern *kern, const struct bd_lm_head *o, size_t v0, size_t v1)
{
	float (*dot)(const float *, const uint16_t *, size_t) =
	    o->table.type == BD_GGML_F16 ? kern->dot_f16 : kern->dot_bf16;

	for (size_t v = v0; v < v1; v++)
		o->z[v] = dot(o->h, (const uint16_t *)(const void *)table_row(&o->table, v), o->table.cols);
}

/* One position multiplies the rows as they are stored; for several, converting a block of rows first is
 * cheaper and gives the same bits. */
static void head_columns(struct bd_cpu *cpu, const void *operands, size_t v0, size_t v1, int slice)
{
	enum { BLOCK = 16384 }; /* floats: 64 KiB of converted rows */
	const struct bd_lm_head *o = operands;
	const struct bd_table *e = &o->table;
	size_t V = e->rows, C = e->cols, step = C < BLOCK ? BLOCK / C : 1, n;
	float *w;

	if (e->type == BD_GGML_F32) {
		cpu->kern->head_f32(o->z + v0, V, o->h, o->P, (const float *)e->p + v0 * C, v1 - v0, C);
		return;
	}
	if (o->P == 1 && (e->type == BD_GGML_F16 || e->type == BD_GGML_BF16)) {
		head_stored(cpu->kern, o, v0, v1);
		return;
	}
	w = bd_cpu_scratch(cpu, slice, step * C);
	for (size_t v = v0; v < v1; v += n) {
		n = v1 - v < step ? v1 - v : step;
		table_read(w, e, v, n);
		cpu->kern->head_f32(o->z + v, V, o->h, o->P, w, n, C);
	}
}

/* A table of the rows pick[n]; the caller frees it. */
static uint8_t *picked(const struct bd_lm_head *o)
{
	size_t stride = bd_ggml_stride(o->table.type, o->table.cols);
	uint8_t *rows = bd_alloc(o->n, stride);

	for (size_t i = 0; i < o->n; i++)
		memcpy(rows + i * stride, table_row(&o->table, o->pick[i]), stride);
	return rows;
}

static void lm_head_forward(struct bd_cpu *cpu, const void *operands)
{
	struct bd_lm_head o = *(const struct bd_lm_head *)operands;
	integer_fn *product = integer_product(cpu->kern, &o);
	uint8_t *rows = o.pick != NULL ? picked(&o) : NULL;

	if (rows != NULL) {
		o.table.p = rows;
		o.table.rows = o.n;
	}
	if (product != NULL)
		integer_head(cpu, &o, product);
	else
		bd_cpu_for_work(cpu, o.table.rows, o.P * o.table.rows * o.table.cols, head_columns, &o);
	bd_free(rows);
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
