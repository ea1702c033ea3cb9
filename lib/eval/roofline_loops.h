/* The loops that roofline.c times, in lists that end with a NULL loop. */
#ifndef BD_ROOFLINE_LOOPS_H
#define BD_ROOFLINE_LOOPS_H

#include "eval/roof.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BD_READ_STEP = 4096,      /* bytes: what a reading loop is given is a multiple */
	BD_PEAK_ROUNDS = 1 << 20, /* of a multiplying loop: milliseconds */
};

/* Some mixture of p[n]. */
typedef uint64_t bd_read_loop(const uint8_t *p, size_t n);
struct bd_reader {
	const char *name;
	bool (*works)(void); /* here */
	bd_read_loop *loop;
};
extern const struct bd_reader bd_readers[];

/* Multiplies and adds in registers; the number of operations. */
typedef double bd_peak_loop(size_t rounds);
struct bd_multiplier {
	enum bd_roof roof;
	const char *name;
	bool (*works)(void);
	bd_peak_loop *loop;
};
extern const struct bd_multiplier bd_multipliers[];

#endif
