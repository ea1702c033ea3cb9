#include "train/options.h"

#include "base/msg.h"

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
	    .states = "qkv",
	    .layer = -1,
	};
}

void bd_train_states(const struct bd_train *t, bool which[3])
{
	static const char name[] = "qkv";

	memset(which, 0, 3 * sizeof(*which));
	for (const char *s = t->states; *s != '\0'; s++) {
		const char *at = strchr(name, *s);

		if (at == NULL)
			bd_die(BD_USAGE,
			       "--states: \"%c\" is not a state; give some of q, k and v, such as qkv", *s);
		which[at - name] = true;
	}
}
