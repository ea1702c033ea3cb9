/* Learning-rate schedules: linear warm-up, then constant, linear to zero, cosine to zero, or constant with a
 * linear tail (wsd). */
#ifndef BD_SCHED_H
#define BD_SCHED_H

enum bd_sched { BD_SCHED_COSINE, BD_SCHED_LINEAR, BD_SCHED_CONSTANT, BD_SCHED_WSD };
#define BD_SCHED_NAMES "cosine|linear|constant|wsd"

/* Factor in [0, 1] of the peak rate at `step` (0 first) of `total`, `warmup` steps of warm-up: (step + 1) /
 * warmup, so that no step is lost at rate 0; then the decay reaches 0 at step `total`. wsd decays over the
 * last fifth. */
double bd_sched_factor(enum bd_sched s, long step, long total, long warmup);

#endif
