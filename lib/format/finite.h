/* Whether stored numbers are numbers: what has a NaN or an infinity among its weights answers nonsense. */
#ifndef BD_FINITE_H
#define BD_FINITE_H

#include "format/gguf_type.h"
#include "format/safetensors.h"
#include "machine/par.h"

/* The first row of p[rows,cols], of a table type, with a NaN or an infinity, or in whose scales there is one;
 * rows if there is none. par may be NULL. */
size_t bd_bad_row(struct bd_par *par, enum bd_ggml_type type, const void *p, size_t rows, size_t cols);
/* Dies BD_DATA, naming the tensor, if it has one: F32, F16 or BF16. */
void bd_st_check_finite(const struct bd_st_tensor *t, struct bd_par *par);

#endif
