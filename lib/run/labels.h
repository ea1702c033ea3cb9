/* Classes of many prompts at once. Of the head only the rows of the labels are multiplied, and the tokens
 * that all prompts begin with, a task's own words, are computed once. */
#ifndef BD_LABELS_H
#define BD_LABELS_H

#include "run/infer.h"

struct bd_labels;
struct bd_labels *bd_labels_new(struct bd_infer *m); /* of a model whose task has labels */
void bd_labels_free(struct bd_labels *l);            /* NULL is fine */

/* p[n,n_choice]: the probabilities of the labels behind each prompt, none of which is empty; best[n]: the
 * likeliest. A prompt's depend on it alone in a ternary model. */
void bd_labels_run(struct bd_labels *l, const struct bd_ids *prompt, size_t n, double *p, size_t *best);

#endif
