/* A plan of tests, and the run that measures them: models and a program side by side, in turns, with one
 * number of threads after the other. */
#ifndef BD_BENCH_RUN_H
#define BD_BENCH_RUN_H

#include "base/history.h"
#include "base/opt.h"
#include "eval/bench.h"
#include "eval/roofline.h"
#include "eval/spread.h"

struct bd_bench_plan {
	const char *model;
	const char *vs;                            /* a second model, NULL: none */
	const char *command;                       /* a program (bench_peer.h), NULL: none */
	struct bd_ints prefill, decode, sequences; /* 0 tokens: no such test */
	struct bd_ints depth, threads;
	const char *task; /* an example stream, NULL: none */
	int64_t batch_tokens, reps;
	uint64_t seed;
	bool roofline;
};

enum { BD_BENCH_SIDES = 3 };
struct bd_bench_side {
	char *name; /* path of the model, or what the program says */
	bool peer;
	char weights[128];
	char head[32];                          /* type of the head, "" if a program does not say */
	double file, memory, peak, load, first; /* as in bench.h; NAN: unknown */
	double read;                            /* bd_bench_weight_bytes; NAN: unknown */
	struct bd_score score;                  /* of the task */
	double *ideal; /* [threads,tests] speed that the machine's peak allows; NAN: unknown */
	double *speed; /* [threads,tests,reps] a second; NAN: such programs do not measure that */
};
struct bd_bench_report {
	const struct bd_bench_plan *plan;
	struct bd_bench_test *test;
	size_t tests;
	struct bd_bench_side side[BD_BENCH_SIDES]; /* the model, then what it is compared with */
	size_t sides;
	struct bd_roofline *roof; /* [threads] */
	json_t *history;
};
/* Dies BD_USAGE if the plan has no tests. plan must outlive the report. */
struct bd_bench_report bd_bench_run(const struct bd_bench_plan *plan);
void bd_bench_report_free(struct bd_bench_report *r);

/* With the plan's thread number g, test t, side s: speed; the first side's speed over it; share of the ideal,
 * NAN: unknown; what that is a share of. */
struct bd_spread bd_bench_speeds(const struct bd_bench_report *r, size_t g, size_t t, size_t s);
struct bd_spread bd_bench_ratio(const struct bd_bench_report *r, size_t g, size_t t, size_t s);
double bd_bench_of_peak(const struct bd_bench_report *r, size_t g, size_t t, size_t s);
enum bd_roof bd_bench_roof(const struct bd_bench_report *r, size_t t, size_t s);

#endif
