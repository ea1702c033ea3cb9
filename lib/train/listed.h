/* What a sparse teacher stream lists of a position: its largest logits, or ids drawn from its
 * distribution. */
#ifndef BD_LISTED_H
#define BD_LISTED_H

#include "data/stream.h"

/* Of one position, in a record: zt[top_k], zi[top_k or sample], zr[1] (stream.h). */
struct bd_listed {
	uint16_t *zt;
	uint32_t *zi;
	float *zr;
};

/* Of the logits z[vocab], which are destroyed: the largest first, of equal ones the smaller id. */
void bd_listed_top(const struct bd_listed *l, const struct bd_stream_head *h, float *z);

/* The k-th of K draws falls evenly on the k-th of K equal parts of softmax(z / tau): an id is expected K
 * times its probability, with less variance than draws from all of it. z[vocab] is destroyed. A draw
 * depends on seed, record, position and k. */
void bd_listed_draw(const struct bd_listed *l, const struct bd_stream_head *h, float *z, uint64_t seed,
                    uint64_t record, size_t position);

#endif
