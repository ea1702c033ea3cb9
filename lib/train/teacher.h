/* The teacher's side of distillation: an example stream in, the same records with logits and states of one
 * layer out. */
#ifndef BD_TEACHER_H
#define BD_TEACHER_H

#include "base/opt.h"
#include "data/stream.h"
#include "machine/dev.h"

#include <stdbool.h>
#include <stdint.h>

struct bd_teacher {
	const char *model, *output; /* output NULL or "-": stdout */
	struct bd_dev *dev;         /* NULL: bd_dev_open(common.threads) */
	const char *layer;          /* an index, or a fraction of the depth such as "0.8" */
	enum bd_positions positions;
	/* of a position only the K largest logits, or the ids of as many draws; both 0: full logits */
	int64_t top_k, sample;
	double tau;    /* temperature of the rest, or of the draws */
	int64_t vocab; /* ids that logits are given for, the first ones; 0: all, or those of the examples */
	bool no_logits, no_states, shuffle;
	double epochs;
	const char *shard; /* "I/N": only the I-th of N equal parts of all that would be written; NULL: all */
	int64_t batch_tokens; /* run together */
	int64_t level;        /* of compression; < 0: the default */
	struct bd_common common;
};
/* Runs over the streams `parts`, read as one (stream.h). */
void bd_teacher_run(const struct bd_teacher *o, struct bd_parts parts);

#endif
