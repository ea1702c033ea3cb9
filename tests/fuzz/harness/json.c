/* JSON: what is written reads back as the same value. */
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>

static void read_json(void *ctx)
{
	struct fuzz *f = ctx;
	json_t *j = bd_json_parse(f->p, f->n, "input"), *again;

	for (int pretty = 0; pretty < 2; pretty++) {
		char *text = bd_json_text(j, pretty);

		if (json_is_object(j) || json_is_array(j)) {
			again = bd_json_parse(text, strlen(text), "output");
			if (!json_equal(j, again))
				abort();
			json_decref(again);
		}
		bd_free(text);
	}
	if (json_is_object(j)) {
		bd_json_int(j, "i", 0, -5, 5, "input");
		bd_json_real(j, "r", 0, "input");
		bd_json_bool(j, "b", false, "input");
		bd_json_str(j, "s", "", "input");
	}
	json_decref(j);
}
FUZZ(read_json)
