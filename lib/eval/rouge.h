/* ROUGE as google's rouge_score computes it (C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation
 * of Summaries", 2004): words are the runs of a-z and 0-9 of the lower-cased text, so that text in
 * other scripts has none. */
#ifndef BD_ROUGE_H
#define BD_ROUGE_H

#include "eval/words.h"

#include <stdbool.h>

/* Common words; common pairs of words; the longest common subsequence of the texts; the same sentence
 * by sentence, where sentences are lines: the union over the candidate's lines of each reference
 * line's subsequence. */
enum bd_rouge { BD_ROUGE_1, BD_ROUGE_2, BD_ROUGE_L, BD_ROUGE_LSUM, BD_ROUGES };
extern const char *const bd_rouge_name[BD_ROUGES]; /* "rouge1", "rouge2", "rougeL", "rougeLsum" */

struct bd_prf {
	double precision, recall, f1; /* 0 to 1 */
};
/* Scores of a prediction against the reference (of n > 0) that gives it the largest F1, for each kind. stem:
 * words of more than three letters are stemmed (stem.h). Time and for BD_ROUGE_LSUM memory are in words of
 * prediction times words of reference. */
void bd_rouge(struct bd_prf out[BD_ROUGES], struct bd_text prediction, const struct bd_text *reference,
              size_t n, bool stem);

#endif
