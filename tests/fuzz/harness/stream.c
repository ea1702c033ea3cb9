/* A stream of examples, or of a teacher's outputs: read twice. */
#include "data/stream.h"
#include "fuzz.h"

#include <stdlib.h>

static void read_stream(void *ctx)
{
	struct bd_source *s = bd_source_open(fuzz_file("stream.bds", *(struct fuzz *)ctx));
	struct bd_record r = {0};
	size_t n[2] = {0};

	for (int pass = 0; pass < 2; pass++) {
		while (bd_source_next(s, &r))
			n[pass]++;
		bd_source_digest(s);
		if (pass == 0)
			bd_source_rewind(s);
	}
	if (n[0] != n[1])
		abort();
	bd_source_close(s);
}
FUZZ(read_stream)
