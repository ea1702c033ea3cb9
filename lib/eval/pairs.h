/* Scores of predicted texts against references: exact matches, ROUGE with and without stemming, BLEU. */
#ifndef BD_PAIRS_H
#define BD_PAIRS_H

#include "base/io.h"
#include "base/json.h"
#include "eval/words.h"

#include <stdbool.h>
#include <stdint.h>

struct bd_pairs;
struct bd_pairs *bd_pairs_new(void);
void bd_pairs_free(struct bd_pairs *s); /* NULL is fine */
/* A prediction and its references (n > 0), valid UTF-8. Returns, if asked to, the pair's own scores:
 * {"exact", "rouge", "rouge_stem"}. */
json_t *bd_pairs_add(struct bd_pairs *s, struct bd_text prediction, const struct bd_text *reference, size_t n,
                     bool report);
size_t bd_pairs_count(const struct bd_pairs *s);
/* Of all pairs (at least one), with 95% intervals, in this seed's bootstrap for ROUGE and BLEU: {"exact",
 * "exact_low", "exact_high", "rouge": {"rouge1": {"precision", "recall", "f1", "low", "high"}, ...},
 * "rouge_stem": ..., "bleu": {"score", "low", "high", "precisions", "brevity_penalty", "predicted_words",
 * "reference_words", "signature"}}. ROUGE is the mean over pairs; its interval is that of F1. */
json_t *bd_pairs_json(const struct bd_pairs *s, uint64_t seed);
/* Adds the pairs of a file (NULL: stdin) of JSON lines with "prediction" and "reference" or "references", a
 * text or a list of texts. lines: where each pair's own scores go, or NULL. */
void bd_pairs_read(struct bd_pairs *s, const char *path, struct bd_out *lines);

#endif
