/* One step of training: the records it takes, its micro-batches, the weights of its losses, the optimiser. */
#ifndef BD_STEP_H
#define BD_STEP_H

#include "train/checkpoint.h"
#include "train/optimiser.h"
#include "train/plan.h"

struct bd_step {
	/* set by the owner; borrowed */
	const struct bd_train *t;
	const struct bd_plan *plan;
	struct bd_dev *dev;
	struct bd_model *m;
	struct bd_net *net;
	struct bd_feed *feed;
	/* made by bd_step_open */
	struct bd_acts *acts;
	struct bd_distill *d;
	struct bd_optimiser u;
	json_t *golden; /* array of arrays: the ids of the first prompts */
	/* the step at hand */
	struct bd_record *rec; /* [n_rec] */
	size_t n_rec, cap_rec;
	size_t *cut; /* [n_cut + 1] micro-batch i is rec[cut[i] .. cut[i + 1]) */
	size_t n_cut, cap_cut, tokens;
	struct bd_counts counts;
	struct bd_sums sums;
	struct bd_mix mix;
	double loss, ad, norm, rate; /* AD with its normalisation */
};
void bd_step_open(struct bd_step *s);
void bd_step_close(struct bd_step *s);

/* Takes the records of the next step off the feed. False at the end of the input. */
bool bd_step_read(struct bd_step *s);
/* Runs it: the parameters, the net and *p are those after the step. Dies BD_NO when loss or gradient is not
 * finite, and names a tensor that is not. */
void bd_step_run(struct bd_step *s, struct bd_progress *p);
/* Before anything is kept: dies BD_NO if a parameter is not finite, and names it. */
void bd_step_check(const struct bd_step *s, const struct bd_progress *p);

/* Progress in the schedule's units. */
int64_t bd_step_units(const struct bd_step *s, const struct bd_progress *p);
/* Adds the step's losses and weights to a log line. */
void bd_step_log(const struct bd_step *s, json_t *j);

#endif
