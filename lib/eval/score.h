/* What was counted over a stream, as the numbers that bd-eval and the trainer print. */
#ifndef BD_SCORE_H
#define BD_SCORE_H

#include "base/json.h"
#include "eval/eval.h"

/* n_choice 0: without the metrics of classification. */
json_t *bd_score_json(const struct bd_score *s, size_t n_choice);

#endif
