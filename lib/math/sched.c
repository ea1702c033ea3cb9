/* Learning-rate schedules. */
#include "math/sched.h"

#include <math.h>

double bd_sched_factor(enum bd_sched s, long step, long total, long warmup)
{
	if (step < warmup)
		return (double)(step + 1) / (double)warmup;
	if (s == BD_SCHED_CONSTANT)
		return 1;
	if (step >= total)
		return 0;
	long start = warmup; /* of the decay */
	if (s == BD_SCHED_WSD && total - total / 5 > warmup)
		start = total - total / 5;
	if (step <= start)
		return 1;
	double done = (double)(step - start) / (double)(total - start);
	return s == BD_SCHED_COSINE ? 0.5 * (1 + cos(M_PI * done)) : 1 - done;
}
