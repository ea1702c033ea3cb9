/* Scores over an example stream. */
#ifndef BD_EVAL_H
#define BD_EVAL_H

#include "infer.h"
#include "json.h"

struct bd_score {
	uint64_t examples, tokens;   /* sequences, predicted positions */
	double nll;                  /* sum of -log p over them, nat */
	/* classification */
	uint64_t correct, invalid;   /* by argmax over the label tokens; invalid: the argmax over the whole vocabulary is no label */
	uint64_t exact;              /* argmax over the whole vocabulary is the right label */
	double low, high;            /* 95% Wilson interval of correct / examples */
	double seconds;
};
/* What else to write down. */
struct bd_eval_out {
	const char *logits;      /* safetensors: "logits" F32 [positions, V], NULL: no */
	const char *predictions; /* JSONL: index, label, predicted, probability..., NULL: no */
};
/* Runs src from where it is to its end. batch_tokens: how many tokens run together (any value gives the same numbers for ternary nets).
 * acts as in bd_acts_new(net, false). */
struct bd_score bd_eval(struct bd_net *net, struct bd_source *src, size_t batch_tokens, const struct bd_eval_out *out);
json_t *bd_score_json(const struct bd_score *s, size_t n_choice);

#endif
