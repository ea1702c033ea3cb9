/* Internals of eval: the files it writes besides the scores. */
#ifndef BD_EVAL_OUT_H
#define BD_EVAL_OUT_H

#include "data/stream.h"
#include "text/tokenizer.h"

/* Logits [positions, V] on their way to safetensors, whose header needs the number of positions first: in a
 * temporary file. */
struct bd_spool;
/* path NULL: NULL, which the others accept and ignore */
struct bd_spool *bd_spool_new(const char *path, size_t V);
/* z[P,V] at the positions row[P] of the record. */
void bd_spool_add(struct bd_spool *s, const float *z, size_t P, const struct bd_record *r, const size_t *row);
void bd_spool_close(struct bd_spool *s); /* writes the file */

#endif
