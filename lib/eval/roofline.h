/* What the machine can do at best: how fast threads read memory and multiply, measured by loops that do
 * nothing else. What a model reaches is quoted as a share of these. */
#ifndef BD_ROOFLINE_H
#define BD_ROOFLINE_H

#include "eval/roof.h"
#include "machine/par.h"

#include <stdbool.h>

struct bd_peak {
	double rate; /* a second: bytes, or operations, two for a product and its addition; 0: not measured */
	const char *with; /* the fastest instruction, "vpdpbusd zmm"; NULL: not measured */
};
struct bd_roofline {
	struct bd_peak peak[BD_ROOFS];
};
extern const char *const bd_roof_name[BD_ROOFS]; /* "bandwidth", "int8", "bf16", "f32" */

/* Of par's threads together, each peak the best of a few passes and of all instructions that the processor
 * has; bf16 stays 0 where it has none. `all` false: memory only. */
struct bd_roofline bd_roofline_measure(struct bd_par *par, bool all);

#endif
