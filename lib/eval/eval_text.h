/* Evaluation by generation: the model's greedy answer to each prompt, against the label's text or the
 * reference. */
#ifndef BD_EVAL_TEXT_H
#define BD_EVAL_TEXT_H

#include "base/json.h"
#include "run/infer.h"

struct bd_answers_opts {
	size_t max;          /* maximum tokens of an answer; 0: as the longest label, or BD_ANSWER_MAX */
	size_t batch_tokens; /* prompts run together up to this many tokens */
	/* JSONL: index, prediction, reference, tokens, end (label, predicted), NULL: no */
	const char *predictions;
	uint64_t seed; /* of the bootstrap */
};
enum { BD_ANSWER_MAX = 128 };

struct bd_answers;
/* Answers to the examples of this stream; the model needs a tokenizer. */
struct bd_answers *bd_answers_new(struct bd_infer *m, const struct bd_source *src,
                                  const struct bd_answers_opts *o);
/* The next example: its prompt is everything before its first predicted token, or all of it. */
void bd_answers_add(struct bd_answers *a, const struct bd_record *r);
/* Runs what is still waiting and writes the predictions. {"answers", "tokens", "ended"} and, with labels,
 * {"accuracy", "low", "high", "correct", "invalid"}, or, where there are references, the scores of
 * text_scores.h. Frees a. */
json_t *bd_answers_finish(struct bd_answers *a);

#endif
