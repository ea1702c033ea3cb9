/* How much memory a training run will take, on a device whose memory is the host's. */
#ifndef BD_MEMORY_H
#define BD_MEMORY_H

#include "train/plan.h"

/* Bytes that become resident. */
struct bd_memory {
	size_t process; /* what this process has now, the parameters and held examples included */
	size_t gradients, moments;
	size_t quantised; /* of a ternary net: What, the codes, and those before */
	size_t best;      /* with --eval: the best parameters */
	size_t activations, logits;
	size_t evaluation; /* its activations and logits */
	size_t records;    /* of a step, with what a teacher says of them */
	size_t other; /* scratch of the threads, tables of rope, buffers of the libraries and of saving */
	/* what was seen of the input */
	size_t tokens; /* of the largest micro-batch */
	size_t steps;  /* that were read */
};
/* Reads the first steps of the input: those of a pipe are then gone. */
struct bd_memory bd_memory_of(const struct bd_train *t, const struct bd_plan *p, struct bd_model *m,
                              struct bd_feed *f);
size_t bd_memory_total(const struct bd_memory *y);

#endif
