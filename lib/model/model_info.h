/* Descriptions of model directories and their files as JSON objects, for bd-info. */
#ifndef BD_MODEL_INFO_H
#define BD_MODEL_INFO_H

#include "base/json.h"

#include <stdint.h>

/* What every description begins with: {"file", "kind"}; and a number in it. */
json_t *bd_info_kind(const char *path, const char *what);
void bd_info_int(json_t *o, const char *key, uint64_t value);

/* The files of a directory against their digests (io.h): "right", "not_listed", "wrong", "missing"; *bad =
 * those of the last two. NULL, after a warning, if it has no digests. */
json_t *bd_info_digests(const char *dir, size_t *bad);
/* list: with every tensor. check: with the digest and *bad = the number of values that are not finite. */
json_t *bd_info_model(const char *dir, bool list, bool check, size_t *bad);
json_t *bd_info_safetensors(const char *path, bool list);
json_t *bd_info_json(const char *path, bool list); /* a config, a tokenizer, a shard index or a result */

#endif
