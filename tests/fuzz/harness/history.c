/* Histories of inputs: parts, each a JSON array. */
#include "base/history.h"
#include "fuzz.h"

#include <stdlib.h>

static void read_history(void *ctx)
{
	struct fuzz *f = ctx;
	struct bd_input in[4] = {{0}};
	json_t *merged;
	size_t n = 0;

	for (; n < 4 && f->n > 0; n++) {
		struct fuzz part = fuzz_part(f);

		in[n].kind = "model";
		in[n].digest = n % 2 ? "12" : NULL;
		in[n].history = bd_json_parse(part.p, part.n, "input");
	}
	merged = bd_history(in, n);
	if (json_array_size(merged) == 0)
		abort();
	json_decref(merged);
	for (size_t i = 0; i < n; i++)
		json_decref((json_t *)(uintptr_t)in[i].history);
}
FUZZ(read_history)
