/* Rows of every packed type, read; any floats, written. */
#include "format/gguf.h"
#include "fuzz.h"

static void read_row(void *ctx)
{
	struct fuzz *f = ctx;
	size_t types;
	const struct bd_ggml *types_row = bd_ggml_rows(&types), *g = &types_row[fuzz_byte(f) % types];
	size_t cols = g->block * (1 + fuzz_byte(f) % 8), rows = 1 + fuzz_byte(f) % 3, r = fuzz_byte(f) % rows;
	size_t bytes = bd_ggml_bytes(g->id, rows, cols);
	/* a mapped file is there as a whole: bytes that the input lacks are zero */
	unsigned char *data = bd_zalloc(bytes, 1);
	float *row = bd_zalloc(cols, sizeof(*row));
	struct bd_gguf_tensor t = {"t", g->id, cols, rows, 2, bytes, data};

	memcpy(data, f->p, f->n < bytes ? f->n : bytes);
	if (g->store_table != NULL) {
		memcpy(row, data, bytes < cols * sizeof(*row) ? bytes : cols * sizeof(*row));
		g->store_table(data, row, cols);
	}
	bd_gguf_f32(&t, r, row);
	bd_free(row);
	bd_free(data);
}
FUZZ(read_row)
