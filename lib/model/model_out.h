/* Writing a model directory from an open checkpoint, tensor by tensor: the model is never in memory as a
 * whole. */
#ifndef BD_MODEL_OUT_H
#define BD_MODEL_OUT_H

#include "model/ckpt.h"

/* How a tensor of the new directory is made. */
enum bd_make {
	BD_MAKE_COPY,   /* the slot's tensor as it is stored */
	BD_MAKE_GAIN,   /* the slot's gain as the factor it means, less `value` */
	BD_MAKE_FILL,   /* all elements `value` */
	BD_MAKE_CODES,  /* the linear's codes, U8 [out / 4, in] (hf_quant.h) */
	BD_MAKE_SCALE,  /* F32 [1], the linear's scale D, */
	BD_MAKE_INVERSE /* or 1 / D */
};
struct bd_make_tensor {
	char name[128];
	enum bd_make make;
	enum bd_slot slot;
	int layer;         /* -1: not per layer */
	size_t rows, cols; /* a vector has rows 0 */
	float value;
};
/* The tensors of a model of config c, all BD_MAKE_COPY, under the names of our own format; there is room for
 * as many again after them. Caller frees. */
struct bd_make_tensor *bd_make_list(const struct bd_config *c, size_t *n);

/* Writes model.safetensors of the tensors v[n], in the reference writer's order: widest type first, then by
 * name. Everything except codes and scales has type t. Memory: a few copies of the largest linear for
 * BD_MAKE_CODES, else a block. */
void bd_model_out_tensors(const struct bd_ckpt *k, const char *dir, const struct bd_make_tensor *v, size_t n,
                          enum bd_dtype t);

/* Writes config.json: j with the type of the weights, parent digest ("": none) and history (history.h; NULL:
 * none) added. */
void bd_model_out_config(json_t *j, const char *dir, enum bd_dtype t, const char *parent,
                         const json_t *history);
/* Copies the files of the tokenizer and others that belong to a model. */
void bd_model_out_companions(const char *from, const char *to);

#endif
