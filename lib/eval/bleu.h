/* BLEU as sacreBLEU computes it by default: K. Papineni and others, "BLEU: a Method for Automatic Evaluation
 * of Machine Translation", 2002, over a corpus, up to four words, case kept, words by the tokeniser of
 * mteval-v13a, exponential smoothing. */
#ifndef BD_BLEU_H
#define BD_BLEU_H

#include "base/mem.h"
#include "eval/words.h"

enum { BD_BLEU_N = 4 };
#define BD_BLEU_SIGNATURE "case:mixed|eff:no|tok:13a|smooth:exp"

/* What adds up over a corpus; doubles, so that they can be summed with others (interval.h). */
struct bd_bleu {
	double predicted, wanted;                    /* words; of the reference nearest in length */
	double matches[BD_BLEU_N], grams[BD_BLEU_N]; /* of n + 1 words */
};
/* One prediction and its references (n > 0); adds to *b. */
void bd_bleu_add(struct bd_bleu *b, struct bd_text prediction, const struct bd_text *reference, size_t n);
/* 0 to 100. precision (may be NULL): in percent, smoothed; *brevity (may be NULL): the penalty. */
double bd_bleu_score(const struct bd_bleu *b, double precision[BD_BLEU_N], double *brevity);

/* Appends the words of the text, a blank between them; valid UTF-8. */
void bd_bleu_tokens(struct bd_text t, struct bd_buf *out);

#endif
