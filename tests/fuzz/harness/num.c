/* Numbers from text. */
#include "base/num.h"
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>

static void read_num(void *ctx)
{
	struct fuzz *f = ctx;
	unsigned kind = fuzz_byte(f);
	char *s = fuzz_string(*f);

	if (kind & 1) {
		int64_t min = kind & 2 ? 1 : INT64_MIN, max = kind & 4 ? 1000 : INT64_MAX;
		int64_t v = bd_num_int(s, min, max, "--number");

		if (v < min || v > max)
			abort();
	} else {
		double min = kind & 2 ? 0 : -1e300, max = kind & 4 ? 1 : 1e300;
		double v = bd_num_real(s, min, max, "--number");

		if (!(v >= min && v <= max))
			abort();
	}
	bd_free(s);
}
FUZZ(read_num)
