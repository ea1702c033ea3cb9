/* Scores of predicted texts against references: exact matches, ROUGE with and without stemming, BLEU. */
#ifndef BD_TEXT_SCORES_H
#define BD_TEXT_SCORES_H

#include "base/io.h"
#include "base/json.h"
#include "eval/words.h"

#include <stdbool.h>
#include <stdint.h>

struct bd_text_scores;
struct bd_text_scores *bd_text_scores_new(void);
void bd_text_scores_free(struct bd_text_scores *s); /* NULL is fine */
/* A prediction and its references (n > 0), valid UTF-8. Returns, if requested, the pair's own scores:
 * {"exact", "rouge", "rouge_stem"}. */
json_t *bd_text_scores_add(struct bd_text_scores *s, struct bd_text prediction,
                           const struct bd_text *reference, size_t n, bool report);
size_t bd_text_scores_count(const struct bd_text_scores *s);
/* For all pairs (at least one), with 95% intervals, by bootstrap with this seed for ROUGE and BLEU: {"exact",
 * "exact_low", "exact_high", "rouge": {"rouge1": {"precision", "recall", "f1", "low", "high"}, ...},
 * "rouge_stem": ..., "bleu": {"score", "low", "high", "precisions", "brevity_penalty", "predicted_words",
 * "reference_words", "signature"}}. ROUGE is the mean over pairs; its interval is that of F1. */
json_t *bd_text_scores_json(const struct bd_text_scores *s, uint64_t seed);
/* Adds the pairs of a file (NULL: stdin) of JSON lines with "prediction" and "reference" or "references", a
 * text or a list of texts. lines: where each pair's own scores go, or NULL. */
void bd_text_scores_read(struct bd_text_scores *s, const char *path, struct bd_out *lines);

#endif
