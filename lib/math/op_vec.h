/* Vectors and rows of floats: sums, chosen rows, half precision, squares. */
#ifndef BD_OP_VEC_H
#define BD_OP_VEC_H

#include <stdint.h>

#include "machine/dev.h"

/* out[rows,n] = x + y; out may be one of them. */
struct bd_vec_sum {
	float *out;
	const float *x, *y;
	size_t rows, n;
};
void bd_vec_add(struct bd_dev *dev, const struct bd_vec_sum *o);

/* Rows chosen from many: gather is few[P,C] = many[row[p]], scatter is many[row[p]] += few[p] in order of
 * p. */
struct bd_vec_rows {
	float *few, *many;
	const size_t *row; /* host, [P] */
	size_t P, C;
};
void bd_vec_gather(struct bd_dev *dev, const struct bd_vec_rows *o);
void bd_vec_scatter(struct bd_dev *dev, const struct bd_vec_rows *o);

/* out[rows,n] = x rounded to f16. */
struct bd_vec_halves {
	uint16_t *out;
	const float *x;
	size_t rows, n;
};
void bd_vec_to_f16(struct bd_dev *dev, const struct bd_vec_halves *o);

/* *sum = sum of x^2 in double, in the order of bd_sum_squares. */
struct bd_vec_squares {
	double *sum; /* host */
	const float *x;
	size_t n;
};
void bd_vec_square_sum(struct bd_dev *dev, const struct bd_vec_squares *o);

/* Sum of squares in double, in a fixed order. */
double bd_sum_squares(const float *x, size_t n);

extern const struct bd_op bd_op_vec_add, bd_op_vec_gather, bd_op_vec_scatter, bd_op_vec_to_f16,
    bd_op_vec_square_sum;

#endif
