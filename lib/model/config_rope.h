/* Internals of config: the rotary parameters of a config.json, read from and written to both dialects. */
#ifndef BD_CONFIG_ROPE_H
#define BD_CONFIG_ROPE_H

#include "model/config.h"

/* Sets rope and rope_local; family and context must be set. theta, local: bases where j names none; local 0:
 * the family has one base for all layers. */
void bd_config_read_rope(struct bd_config *c, const json_t *j, double theta, double local, const char *name);
/* Both dialects into j; two: sliding layers have a base of their own. */
void bd_config_write_rope(const struct bd_config *c, json_t *j, bool two);

#endif
