/* Measuring: prefill and decode speed of a model, its memory use, and the machine's read bandwidth. */
#ifndef BD_BENCH_H
#define BD_BENCH_H

#include "eval/eval.h"

/* Bytes per second that par's threads read from a block larger than the caches: the best of a few passes. */
double bd_bench_bandwidth(struct bd_par *par);

/* A model opened, warmed up and ready to be timed. */
struct bd_bench {
	struct bd_infer *m;
	struct bd_seq *s;
	size_t pp, tg;
	uint32_t *ids; /* [max(pp, tg)] random */
	double memory; /* bytes that became resident because of this model and its session */
	double read;   /* bytes of weights that decoding one token reads */
};
struct bd_bench bd_bench_open(const char *path, struct bd_dev *dev, size_t pp, size_t tg, uint64_t seed);
void bd_bench_close(struct bd_bench *b);

/* Tokens per second, from an empty cache: pp tokens at once; tg tokens one by one, with logits each. */
double bd_bench_prefill(struct bd_bench *b);
double bd_bench_decode(struct bd_bench *b);
/* The example stream at path, evaluated. */
struct bd_score bd_bench_task(struct bd_bench *b, const char *path, size_t batch_tokens);

/* Sorts v[n]; the median. */
double bd_bench_median(double *v, size_t n);

#endif
