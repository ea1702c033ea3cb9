/* Two sets of tensors compared one by one: model directories, safetensors or GGUF files. */
#ifndef BD_MODEL_DIFF_H
#define BD_MODEL_DIFF_H

#include "base/json.h"

/* Tensors are matched by name (a model directory under the names of model.h, aliases resolved). The result:
 * "tensors" (how many both have), "differ" (array of {"name", "max_abs", "count"} or {"name", "shape": [a,
 * b]}), "only_a", "only_b" (arrays of names), "max_abs" (the largest of all) and "equal". Values are compared
 * as f32; types that are not floats, by their bytes. */
json_t *bd_diff(const char *a, const char *b);

#endif
