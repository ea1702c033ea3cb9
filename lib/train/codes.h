/* What training does to the ternary codes: how many are -1, 0, +1, and how many changed since the last look.
 */
#ifndef BD_CODES_H
#define BD_CODES_H

#include "base/json.h"
#include "net/net.h"

struct bd_codes {
	uint8_t *p; /* [n] the codes of all linears at the last look, one after another */
	size_t n;
};
struct bd_codes bd_codes_new(const struct bd_net *net); /* takes a first look; n = 0 for a dense net */
void bd_codes_free(struct bd_codes *c);
/* Adds "codes": [share of -1, of 0, of +1] and "flips": share that changed, to obj, and remembers the present
 * codes. */
void bd_codes_look(struct bd_codes *c, const struct bd_net *net, json_t *obj);

#endif
