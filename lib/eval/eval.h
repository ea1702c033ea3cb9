/* Scores over an example stream; score.h has them as JSON. */
#ifndef BD_EVAL_H
#define BD_EVAL_H

#include "base/json.h"
#include "eval/interval.h"
#include "run/infer.h"

struct bd_score {
	uint64_t examples, tokens;     /* sequences (windows of them), predicted positions */
	double nll;                    /* sum of -log p over them, nat */
	struct bd_interval perplexity; /* 95%, bootstrap over the sequences */
	/* classification, at the first predicted position of the examples that have a label */
	uint64_t labelled;
	/* by argmax over the label tokens; invalid: the argmax over the whole vocabulary is not a label */
	uint64_t correct, invalid;
	uint64_t exact;   /* argmax over the whole vocabulary is the right label */
	double low, high; /* 95% Wilson interval of correct / labelled */
	double seconds;
	uint64_t input; /* tokens run, predicted or not */
};
/* How to evaluate, and what else to do and to write. */
struct bd_eval_opts {
	size_t window, stride; /* 0: whole sequences; else see eval_window.h */
	uint64_t seed;         /* of the bootstrap */
	/* safetensors: "logits" F32 [positions, V] and "ids" I32 [positions], NULL: no */
	const char *logits;
	const char *predictions; /* JSONL: index, label, predicted, probability..., NULL: no */
	uint64_t *confusion;     /* [n_choice, n_choice] true, predicted; added to; NULL: no */
	/* called with every sequence that was scored, in order; NULL: no */
	void (*each)(void *ctx, const struct bd_record *r);
	void *ctx;
};
/* Runs src from its present position to its end. batch_tokens: how many tokens run together (any value gives
 * the same numbers for ternary nets). Needs nothing but a net: evaluation inside training. opts may be NULL:
 * no interval of the perplexity then. An empty stream dies BD_DATA. */
struct bd_score bd_eval(struct bd_net *net, struct bd_source *src, size_t batch_tokens,
                        const struct bd_eval_opts *opts);
#endif
