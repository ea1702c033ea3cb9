/* Descriptions of model directories and their files as JSON objects, for bd-info. */
#ifndef BD_MODEL_INFO_H
#define BD_MODEL_INFO_H

#include "base/json.h"

/* list: with every tensor. check: with the digest and *bad = the number of values that are not finite. */
json_t *bd_info_model(const char *dir, bool list, bool check, size_t *bad);
json_t *bd_info_safetensors(const char *path, bool list);
json_t *bd_info_json(const char *path, bool list); /* a config, a tokenizer, a shard index or a result */

#endif
