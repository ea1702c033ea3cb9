/* The parts of a net, slot by slot, for code that fills or writes one. */
#ifndef BD_NET_PARTS_H
#define BD_NET_PARTS_H

#include "net/net.h"

/* One tensor of a net and the place where the net keeps it: the member that fits its kind is set. */
struct bd_part {
	enum bd_slot slot;
	int layer; /* -1: not per layer */
	enum bd_kind kind;
	size_t rows, cols;        /* a vector has rows 1 */
	struct bd_table *table;   /* BD_KIND_TABLE */
	struct bd_linear *linear; /* BD_KIND_LINEAR */
	const float **vector;     /* BD_KIND_GAIN, BD_KIND_BIAS */
};
const void *bd_part_data(const struct bd_part *p); /* where the part's numbers are, on the device */

/* All parts of the net's config: embedding, layer by layer, final norm, head unless tied. Caller frees. */
struct bd_part *bd_net_parts(struct bd_net *net, size_t *n);

#endif
