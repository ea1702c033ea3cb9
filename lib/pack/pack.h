/* Writing the packed model file: GGUF with ternary tensors, tokenizer, task and golden prompts inside. */
#ifndef BD_PACK_H
#define BD_PACK_H

#include "base/opt.h"
#include "format/gguf.h"
#include "machine/dev.h"
#include "pack/target.h"

#include <stdbool.h>

struct bd_pack_opt {
	enum bd_target target; /* not BD_TARGET_HF, which is not GGUF */
	/* a type of gguf_ternary.h; BD_GGML_F32: the first of the target's that fits */
	enum bd_ggml_type ternary;
	enum bd_ggml_type embd; /* of the embedding: a type of gguf_table.h */
	enum bd_ggml_type head; /* of the head, if own_head says that it has its own */
	bool own_head;
	bool force;                /* pack a model that was not trained as ternary */
	const char *name;          /* general.name; NULL: the directory's */
	struct bd_list vocab_from; /* streams whose tokens alone are packed; none: the whole vocabulary */
};
/* Writes dir's checkpoint to path ("-": stdout): the memory beyond mapped files is about one tensor and the
 * codes. The trained scale D is kept exactly. What cannot run on the target is refused (BD_DATA). The file
 * gets its name only after it has been read back and the digest of every tensor and the logits of every
 * golden prompt match those of the directory (with its tables rounded to `embd` and `head`), bit for bit;
 * else BD_NO. */
void bd_pack_write(const char *dir, const char *path, const struct bd_pack_opt *o, struct bd_dev *dev);

#endif
