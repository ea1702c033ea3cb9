/* Timing a model: prefill and decoding behind a context, alone and many sequences at once, an example stream;
 * how fast it loads, how much memory it takes, and what an ideal machine would need. */
#ifndef BD_BENCH_H
#define BD_BENCH_H

#include "eval/eval.h"

enum bd_bench_kind { BD_BENCH_PREFILL, BD_BENCH_DECODE, BD_BENCH_EXAMPLES };
struct bd_bench_test {
	enum bd_bench_kind kind;
	size_t n;         /* tokens, of each sequence */
	size_t depth;     /* tokens that are in the cache before */
	size_t sequences; /* that are decoded together; else 1 */
};
/* "pp512", "tg128 x16 @ d4096", "examples" */
enum { BD_BENCH_NAME = 64 };
const char *bd_bench_test_name(char name[BD_BENCH_NAME], const struct bd_bench_test *t);

struct bd_bench {
	struct bd_infer *m;
	struct bd_seq *s;
	struct bd_seq **many; /* [many_n] those of the last test with several, many_depth tokens deep */
	size_t many_n, many_depth;
	uint32_t *ids;      /* [room] random */
	size_t room, depth; /* tokens in all; those that every test begins with */
	double load, first; /* seconds to open it, and to the logits of a first token: medians */
	double
	    memory;  /* bytes that became resident because of this model and its session: after warming up, */
	double peak; /* and at most until then; NAN: the system does not say */
};
/* Opens it `loads` times, warms it up. room: tokens of the longest test, with its context. */
struct bd_bench bd_bench_open(const char *path, struct bd_dev *dev, size_t room, size_t loads, uint64_t seed);
void bd_bench_close(struct bd_bench *b);
/* What its linears are stored in and computed from: "ternary", "f32", "bf16", "f16". */
const char *bd_bench_weights(const struct bd_bench *b);

/* What the tests that follow begin with. */
void bd_bench_deepen(struct bd_bench *b, size_t depth);
/* Tokens per second: t->n tokens at once, with the logits of the last one; t->n tokens one by one, with the
 * logits of each, in every one of the sequences. */
double bd_bench_speed(struct bd_bench *b, const struct bd_bench_test *t);
/* The example stream at path, evaluated. */
struct bd_score bd_bench_task(struct bd_bench *b, const char *path, size_t batch_tokens);

/* Bytes that must be read for each token of a decode test: the weights, once for all sequences, and the keys
 * and values before it. */
double bd_bench_bytes(const struct bd_bench *b, const struct bd_bench_test *t);
double bd_bench_weight_bytes(const struct bd_bench *b);
/* Multiplications of a token by the weights of all layers; attention and head are not counted. */
double bd_bench_products(const struct bd_bench *b);

#endif
