/* What a run is: everything that determines its result, save the threads. A checkpoint is resumed by the run
 * that made it and by no other. */
#ifndef BD_IDENTITY_H
#define BD_IDENTITY_H

#include "base/hash.h"
#include "train/distill.h"
#include "train/options.h"

#define BD_CHECKPOINT_VERSION 2 /* of state.json; 1 has none */

struct bd_identity {
	char digest[BD_HEX]; /* of the option tables' rows, and of what the run was made from */
	char first[BD_HEX];  /* as checkpoints of version 1 have it */
};
struct bd_identity bd_identity_of(const struct bd_train *t, const struct bd_objective *o,
                                  const struct bd_model *m, const struct bd_stream_head *h);
/* The digest that a checkpoint of this version has. */
const char *bd_identity_digest(const struct bd_identity *i, int64_t version);

#endif
