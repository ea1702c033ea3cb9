/* Inside of gguf: what an open file is, for gguf_in.c, which opens it, and gguf_value.c,
 * which reads from it. */
#ifndef BD_GGUF_PARTS_H
#define BD_GGUF_PARTS_H

#include "base/io.h"
#include "format/gguf.h"

extern const size_t bd_gguf_value_bytes[BD_GGUF_TYPES]; /* 0: strings and arrays */

struct gguf_value {
	char *key;
	uint32_t type, elem;    /* elem: of an array */
	size_t count;           /* elements of an array, bytes of a string, else 1 */
	const unsigned char *p; /* the payload; strings of an array keep their length prefixes */
	void *copy;             /* made by the first getter: text, texts, or aligned numbers */
};

struct bd_gguf {
	struct bd_scope *scope; /* it was opened in (guard.h): for the copies, whoever's call makes them */
	char *path;
	struct bd_map map;
	size_t at;    /* of the parser; then the end of the header */
	size_t infos; /* where the declarations of the tensors begin */
	struct gguf_value *value;
	size_t n_value;
	struct bd_gguf_tensor *tensor;
	const struct bd_gguf_tensor **by_name;
	uint64_t *offset; /* of each tensor, only while parsing */
	size_t n_tensor;
};

void bd_gguf_check_header(const struct bd_gguf *g); /* dies unless its digest, if it has one, is right */

#endif
