/* The trainer: supervised fine-tuning, continual pre-training and distillation are one loop over a
 * stream of examples.
 *
 * A step takes a batch of sequences (in micro-batches of at most micro_tokens), minimises
 *	L = ce CE + lambda LD + gamma AD
 * (loss.h), each a mean over the whole step's positions, clips the gradient's norm and updates the
 * parameters (optim.h). Same seed, threads and input: the same bytes. A checkpoint holds everything needed to
 * continue as if nothing had happened. */
#ifndef BD_TRAIN_H
#define BD_TRAIN_H

#include "data/stream.h"
#include "train/options.h"

/* Trains on the streams `parts`, read as one (stream.h), and writes t->output. Returns BD_OK, or BD_SYS
 * after a signal (checkpoint written, the command to resume on stderr). A loss or gradient that is not finite
 * dies BD_NO; nothing is written then. */
int bd_train_run(const struct bd_train *t, struct bd_parts parts);

#endif
