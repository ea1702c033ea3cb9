/* Writing the packed model file: GGUF with ternary tensors, tokenizer, task and golden prompts inside. */
#ifndef BD_PACK_H
#define BD_PACK_H

#include <stdbool.h>

#include "gguf.h"
#include "par.h"

struct bd_pack_opt {
	enum bd_ggml_type ternary; /* BD_GGML_I2_S or BD_GGML_TQ2_0 */
	enum bd_ggml_type embd;    /* F32, F16, Q8_0: embedding and head */
	bool force;                /* pack a model that was not trained as ternary */
	const char *name;          /* general.name; NULL: the directory's */
};
/* Writes dir's checkpoint to path: the memory beyond the mapped files is about one tensor and the codes. The trained scale D is kept
 * exactly (I2_S: in the tensor; TQ2_0: block scale 1 and an f32 `.scale` tensor). The file gets its name only after it was read back
 * and every tensor's digest and the logits of every golden prompt were those of the directory (with its tables rounded to `embd`), bit by
 * bit; else BD_NO. */
void bd_pack_write(const char *dir, const char *path, const struct bd_pack_opt *o, struct bd_par *par);

#endif
