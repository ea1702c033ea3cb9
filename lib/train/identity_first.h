/* The digest of checkpoints of version 1, which have no version: for reading them, nothing else. */
#ifndef BD_IDENTITY_FIRST_H
#define BD_IDENTITY_FIRST_H

#include "base/hash.h"
#include "train/distill.h"
#include "train/options.h"

/* Names the options of that time by hand; one that came later does not belong here. */
void bd_identity_first(char digest[BD_HEX], const struct bd_train *t, const struct bd_objective *o,
                       const struct bd_model *m, const struct bd_stream_head *h);

#endif
