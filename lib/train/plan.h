/* What a training run will do: options checked against the model and the stream. */
#ifndef BD_PLAN_H
#define BD_PLAN_H

#include "data/feed.h"
#include "train/distill.h"
#include "train/identity.h"
#include "train/options.h"

/* The unit in which the schedule counts its progress. */
enum bd_unit { BD_UNIT_STEPS, BD_UNIT_TOKENS, BD_UNIT_RECORDS };

struct bd_plan {
	struct bd_objective o;
	enum bd_unit unit;
	int64_t total; /* of that unit; 0: unknown (constant schedule) */
	struct bd_identity identity;
};

/* Dies BD_USAGE or BD_DATA if options, model and stream do not match. */
struct bd_plan bd_plan_make(const struct bd_train *t, const struct bd_model *m, const struct bd_feed *f);
/* Learning rate of the step that goes from `before` to `after` units, `step` steps being done. */
double bd_plan_rate(const struct bd_plan *p, const struct bd_train *t, int64_t step, int64_t before,
                    int64_t after);

#endif
