/* What a training run will be, told to the user instead of doing it. */
#ifndef BD_DRY_RUN_H
#define BD_DRY_RUN_H

#include "train/plan.h"

/* Parameters, memory, work and plan on stdout. Reads the first steps of the input. */
void bd_dry_run(const struct bd_train *t, const struct bd_plan *p, struct bd_model *m, struct bd_feed *f);

#endif
