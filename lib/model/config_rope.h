/* Internals of config: the rotary parameters of a config.json, read from and written to both dialects. */
#ifndef BD_CONFIG_ROPE_H
#define BD_CONFIG_ROPE_H

#include "model/config.h"

/* Sets rope and rope_local; family and context must be set. */
void bd_config_read_rope(struct bd_config *c, const json_t *j, const char *name);
/* Both dialects into j. */
void bd_config_write_rope(const struct bd_config *c, json_t *j);

#endif
