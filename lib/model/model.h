/* A model in memory, all parameters in one block of f32; from and to Hugging Face directories. */
#ifndef BD_MODEL_H
#define BD_MODEL_H

#include "format/safetensors.h"
#include "machine/par.h"
#include "model/config.h"
#include "model/slot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bd_param {
	enum bd_slot slot;
	int layer;         /* -1: not per layer */
	size_t rows, cols; /* a vector has rows 1 */
	size_t off;        /* floats from data, a multiple of 16; the gaps between parameters are zero */
};
struct bd_model {
	struct bd_config cfg;
	float *data;
	size_t n;               /* floats, gaps included */
	struct bd_param *param; /* in slot-table order, layer by layer */
	size_t n_param;
	/* where it came from: tokenizer files are copied from here; NULL for a new one */
	char *dir;
	char digest[33]; /* of the checkpoint it was loaded from, "" for a new one */
};
struct bd_model *bd_model_new(const struct bd_config *c); /* zeros, gains one */
struct bd_model *bd_model_load(const char *dir);
/* normal(0, initializer_range or 0.02), gains one, biases zero */
void bd_model_init(struct bd_model *m, uint64_t seed);
/* Saves what bd_model_new and _init give, using the memory of one block; companions: a directory whose
 * tokenizer files are copied, or NULL. The bytes do not depend on the threads. */
void bd_model_save_random(const struct bd_config *c, uint64_t seed, const char *companions, const char *dir,
                          enum bd_dtype t, const json_t *history, struct bd_par *par);
/* NULL if absent */
const struct bd_param *bd_model_param(const struct bd_model *m, enum bd_slot s, int layer);
/* NULL if absent */
float *bd_model_data(const struct bd_model *m, enum bd_slot s, int layer);
/* Writes config.json, model.safetensors (F32, or BF16/F16) and copies the tokenizer files of m->dir into the
 * existing directory `dir` (a bd_outdir). `history` (history.h, or NULL) becomes bitdistill.history. */
void bd_model_save(const struct bd_model *m, const char *dir, enum bd_dtype t, const json_t *history);
void bd_model_free(struct bd_model *m); /* NULL is fine */

#endif
