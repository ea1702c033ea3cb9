/* A safetensors file, its tensors as floats. */
#include "format/safetensors.h"
#include "fuzz.h"

#include <stdlib.h>

static void read_safetensors(void *ctx)
{
	static float out[4096];
	struct bd_st *s = bd_st_open(fuzz_file("model.safetensors", *(struct fuzz *)ctx));
	volatile float sum;

	for (size_t i = 0; i < bd_st_count(s) && i < 64; i++) {
		const struct bd_st_tensor *t = bd_st_at(s, i);
		size_t n = t->count < 4096 ? t->count : 4096;

		if (bd_st_find(s, t->name) == NULL)
			abort();
		if (t->dtype <= BD_F16) {
			bd_st_f32(t, t->count - n, n, out);
			sum = n > 0 ? out[n - 1] : 0;
		} else if (t->bytes > 0) {
			sum = ((const unsigned char *)t->data)[t->bytes - 1];
		}
	}
	(void)sum;
	bd_st_metadata(s);
	bd_st_close(s);
}
FUZZ(read_safetensors)
