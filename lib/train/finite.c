#include "train/finite.h"

#include <math.h>

enum { PIECE = 4096 }; /* floats that are looked at together */

static bool piece_finite(const float *x, size_t n)
{
	bool all = true;

	for (size_t i = 0; i < n; i++)
		all &= isfinite(x[i]) != 0;
	return all;
}

bool bd_finite(const struct bd_model *m, struct bd_dev *dev, const float *x, char name[BD_TENSOR_NAME])
{
	float piece[PIECE];

	for (size_t i = 0; i < m->n_param; i++) {
		const struct bd_param *p = &m->param[i];
		size_t size = p->rows * p->cols;

		for (size_t at = 0, n; at < size; at += n) {
			n = size - at < PIECE ? size - at : PIECE;
			bd_dev_from(dev, piece, x + p->off + at, n * sizeof(*piece));
			if (!piece_finite(piece, n)) {
				bd_slot_name(&m->cfg, p->slot, p->layer, name, BD_TENSOR_NAME);
				return false;
			}
		}
	}
	return true;
}
