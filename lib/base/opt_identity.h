/* The options that make a run what it is, from the tool's table. */
#ifndef BD_OPT_IDENTITY_H
#define BD_OPT_IDENTITY_H

#include "base/mem.h"
#include "base/opt.h"

/* Appends a line "name=value" for every row of the table but those marked BD_APART; a string with its length
 * in front, reals with all their digits, an enum as its word. */
void bd_opt_identity(struct bd_buf *b, const struct bd_opt *opts);

#endif
