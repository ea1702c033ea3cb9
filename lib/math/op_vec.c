/* Vectors and rows of floats. */
#include "math/op_vec.h"

#include <string.h>

#include "machine/quant.h"

static void add_slice(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_vec_sum *o = operands;

	(void)cpu, (void)slice;
	for (size_t i = begin * o->n; i < end * o->n; i++)
		o->out[i] = o->x[i] + o->y[i];
}

static void add(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_vec_sum *)operands)->rows, add_slice, operands);
}

static void gather(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_vec_rows *o = operands;

	(void)cpu;
	for (size_t p = 0; p < o->P; p++)
		memcpy(o->few + p * o->C, o->many + o->row[p] * o->C, o->C * sizeof(*o->few));
}

static void scatter(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_vec_rows *o = operands;

	(void)cpu;
	for (size_t p = 0; p < o->P; p++)
		for (size_t i = 0; i < o->C; i++)
			o->many[o->row[p] * o->C + i] += o->few[p * o->C + i];
}

static void half_rows(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_vec_halves *o = operands;

	(void)cpu, (void)slice;
	bd_f16_row(o->out + begin * o->n, o->x + begin * o->n, (end - begin) * o->n);
}

static void to_f16(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_vec_halves *)operands)->rows, half_rows, operands);
}

double bd_sum_squares(const float *x, size_t n)
{
	double lane[8] = {0};
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		for (size_t l = 0; l < 8; l++)
			lane[l] += (double)x[i + l] * (double)x[i + l];
	for (size_t l = 0; i < n; i++, l++)
		lane[l] += (double)x[i] * (double)x[i];
	return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void square_sum(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_vec_squares *o = operands;

	(void)cpu;
	*o->sum = bd_sum_squares(o->x, o->n);
}

const struct bd_op bd_op_vec_add = {"vec_add", add}, bd_op_vec_gather = {"vec_gather", gather},
                   bd_op_vec_scatter = {"vec_scatter", scatter}, bd_op_vec_to_f16 = {"vec_to_f16", to_f16},
                   bd_op_vec_square_sum = {"vec_square_sum", square_sum};

void bd_vec_add(struct bd_dev *dev, const struct bd_vec_sum *o)
{
	bd_dev_run(dev, &bd_op_vec_add, o);
}

void bd_vec_gather(struct bd_dev *dev, const struct bd_vec_rows *o)
{
	bd_dev_run(dev, &bd_op_vec_gather, o);
}

void bd_vec_scatter(struct bd_dev *dev, const struct bd_vec_rows *o)
{
	bd_dev_run(dev, &bd_op_vec_scatter, o);
}

void bd_vec_to_f16(struct bd_dev *dev, const struct bd_vec_halves *o)
{
	bd_dev_run(dev, &bd_op_vec_to_f16, o);
}

void bd_vec_square_sum(struct bd_dev *dev, const struct bd_vec_squares *o)
{
	bd_dev_run(dev, &bd_op_vec_square_sum, o);
}
