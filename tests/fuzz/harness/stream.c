/* A stream of examples, or of a teacher's outputs: read twice. */
#include "base/mem.h"
#include "data/stream.h"
#include "fuzz.h"

#include <stdlib.h>

static void free_inputs(const struct bd_source *s)
{
	size_t n;

	bd_free(bd_source_inputs(s, "examples", &n));
}

static void read_stream(void *ctx)
{
	struct bd_source *s = bd_source_open(fuzz_file("stream.bds", *(struct fuzz *)ctx));
	struct bd_record r = {0};
	size_t n[2] = {0};

	for (int pass = 0; pass < 2; pass++) {
		while (bd_source_next(s, &r))
			n[pass]++;
		free_inputs(s);
		if (pass == 0)
			bd_source_rewind(s);
	}
	if (n[0] != n[1])
		abort();
	bd_source_close(s);
}
FUZZ(read_stream)
