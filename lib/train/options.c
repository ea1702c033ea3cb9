#include "train/options.h"

#include <string.h>

struct bd_train bd_train_defaults(const char *stage)
{
	bool cpt = strcmp(stage, "cpt") == 0;

	return (struct bd_train){
	    .stage = stage,
	    .batch = 32,
	    .accum = 1,
	    .micro_tokens = 8192,
	    .lr = cpt ? 2e-4 : 5e-5,
	    .warmup = 0.05,
	    .sched = BD_SCHED_COSINE,
	    .decay = 0.01,
	    .beta1 = 0.9,
	    .beta2 = 0.95,
	    .eps = 1e-8,
	    .clip = 1,
	    .ce = 1,
	    .lambda = 1,
	    .gamma_ratio = 0.3,
	    .tau = 5,
	    .cakld_beta = -1,
	    .relation_temp = 1,
	    .states = {true, true, true},
	    .layer = -1,
	};
}
