/* The saved state of a training run: a directory with state.json and state.safetensors that appears, and
 * replaces its predecessor, in one rename. It holds everything needed to continue as if nothing had
 * happened. */
#ifndef BD_CHECKPOINT_H
#define BD_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/dev.h"
#include "base/json.h"
#include "format/safetensors.h"
#include "train/identity.h"

struct bd_progress {
	int64_t step, tokens, records; /* optimiser steps done, tokens and records consumed */
	/* running sums of squared gradient norms, from which lambda and gamma follow; frozen once `balanced`
	 * has reached enough steps */
	int64_t balanced;
	double ce2, ld2, ad2, other2;
	int64_t confident; /* steps in `confidence` (CAKLD's beta) */
	double confidence;
	/* the best evaluation so far */
	bool scored;
	int64_t best_step, scored_step; /* of the best, of the latest */
	double best_accuracy, best_nll;
	int64_t log_bytes; /* length of the log file: anything beyond is cut on resumption */
	int64_t threads;
};

/* A block of a device's memory that belongs to the state. */
struct bd_blob {
	const char *name;
	enum bd_dtype dtype;
	void *p;
	size_t n; /* elements */
};

/* What a checkpoint holds. */
struct bd_state {
	struct bd_dev *dev;
	const struct bd_identity *identity; /* of the run that the state belongs to */
	struct bd_progress *p;
	json_t **extra;       /* stored and returned as it is; *extra may be NULL */
	struct bd_blob *blob; /* [n] */
	size_t n;
};
/* OUTPUT.ckpt, also for "OUTPUT/"; NULL for NULL. Caller frees. */
char *bd_checkpoint_path(const char *output);
void bd_checkpoint_save(const char *dir, const struct bd_state *s);
/* False when there is no checkpoint. Dies BD_USAGE when it belongs to other options or another model,
 * BD_DATA when it is damaged, whoever it belongs to, or of a later version. A blob that is not in the
 * checkpoint is left alone. *extra is replaced by what was saved. */
bool bd_checkpoint_load(const char *dir, const struct bd_state *s);

#endif
