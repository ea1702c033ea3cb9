/* Input streams, plain or compressed: by lines, and by pieces of any size; both see the same bytes. */
#include "fuzz.h"

#include <stdlib.h>

static void read_stream(void *ctx)
{
	struct fuzz *f = ctx;
	size_t step = fuzz_byte(f) + 1, n, lines = 0;
	const char *path = fuzz_file("in", *f);
	struct bd_in *in = bd_in_open(path);
	uint64_t bytes;
	char buf[256];

	while (bd_in_line(in, &n) != NULL && lines < 100000)
		lines++;
	bytes = bd_in_offset(in);
	bd_in_rewind(in);
	for (uint64_t got = 0; (n = bd_in_read(in, buf, step)) > 0; got += n)
		if (got > (1 << 24))
			break;
	if (lines < 100000 && bd_in_offset(in) < (1 << 24) && bytes != bd_in_offset(in))
		abort();
	bd_in_close(in);
	bd_free(bd_read_file(path, NULL));
}
FUZZ(read_stream)
