/* A GGUF file: keys as text and by every getter, rows of its tensors as floats. */
#include "format/gguf.h"
#include "format/gguf_digest.h"
#include "fuzz.h"

#include <stdlib.h>

struct asked {
	const struct bd_gguf *g;
	const char *key;
	unsigned getter;
};

static void get(void *ctx)
{
	const struct asked *a = ctx;
	const void *data;
	uint32_t elem;
	size_t n;

	switch (a->getter) {
	case 0:
		bd_gguf_uint(a->g, a->key);
		break;
	case 1:
		bd_gguf_real(a->g, a->key);
		break;
	case 2:
		if (strlen(bd_gguf_str(a->g, a->key, &n)) > n)
			abort();
		break;
	case 3:
		bd_gguf_array(a->g, a->key, &elem, &data);
		break;
	default:
		bd_gguf_damaged(a->g, NULL, &(const struct bd_gguf_tensor *){NULL});
	}
}

static void read_gguf(void *ctx)
{
	struct fuzz *f = ctx;
	unsigned getter = fuzz_byte(f) % 5, first = fuzz_byte(f);
	struct bd_gguf *g = bd_gguf_open(fuzz_file("model.gguf", *f));

	for (size_t i = 0; i < bd_gguf_keys(g) && i < 100; i++) {
		if (!bd_gguf_has(g, bd_gguf_key_at(g, i)))
			abort();
		bd_free(bd_gguf_show(g, i, 80));
	}
	for (size_t i = 0; i < bd_gguf_tensors(g) && i < 64; i++) {
		const struct bd_gguf_tensor *t = bd_gguf_tensor_at(g, i);
		const struct bd_ggml *type = bd_ggml(t->type);

		if (bd_gguf_find(g, t->name) == NULL)
			abort();
		if (type->block == 0 || t->rows == 0 || t->cols > 1 << 16)
			continue;
		float *row = bd_alloc(t->cols, sizeof(*row));
		bd_gguf_f32(t, t->rows - 1, row);
		bd_free(row);
	}
	if (first < bd_gguf_keys(g)) {
		struct asked a = {g, bd_gguf_key_at(g, first), getter};

		get(&a);
	}
	bd_gguf_close(g);
}
FUZZ(read_gguf)
