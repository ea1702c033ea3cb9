/* The shapes of a model, without its weights. */
#ifndef BD_BENCH_SHAPE_H
#define BD_BENCH_SHAPE_H

#include "format/gguf.h"
#include "model/config.h"

struct bd_shape {
	struct bd_config cfg;     /* owned */
	enum bd_ggml_type stored; /* the head, and linears that are not ternary */
};
/* Of a packed file, or of a directory or config.json, which says the type of all weights. */
struct bd_shape bd_shape_open(const char *path);
void bd_shape_close(struct bd_shape *s);

#endif
