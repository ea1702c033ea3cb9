/* The packed model file: GGUF with ternary tensors, tokenizer, task and golden prompts inside. */
#ifndef BD_PACK_H
#define BD_PACK_H

#include "infer.h"

struct bd_pack_opt {
	enum bd_ggml_type ternary; /* BD_GGML_I2_S or BD_GGML_TQ2_0 */
	enum bd_ggml_type embd;    /* F32, F16, Q8_0: embedding and head */
	bool force;                /* pack a model that was not trained as ternary */
	const char *name;
};
/* Writes dir's checkpoint to path, tensor by tensor; the memory beyond the mapped files is about one tensor. The trained scale D is
 * kept exactly (I2_S: in the tensor; TQ2_0: block scale 1 and an f32 `.scale` tensor). */
void bd_pack_write(const char *dir, const char *path, const struct bd_pack_opt *o, struct bd_par *par);
/* The net of a packed file; I2_S rows are used where they are mapped. json of tokenizer, task in *json (keys "tokenizer": text,
 * "task": object) when json != NULL. */
struct bd_net *bd_pack_open(const char *path, struct bd_par *par, json_t **json);
/* Re-reads the file and compares its logits with the directory's on the golden prompts: largest absolute difference. */
double bd_pack_compare(const char *dir, const char *path, struct bd_par *par);
/* Runs the golden prompts stored in the file: number that do not reproduce their stored logits digest; *n = how many there are. */
size_t bd_pack_verify(const char *path, struct bd_par *par, size_t *n);
/* Unpacks into a model directory with dense weights D C (--type f32/f16). */
void bd_pack_unpack(const char *path, const char *dir, bool force, enum bd_dtype t, struct bd_par *par);

#endif
