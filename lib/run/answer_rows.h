/* The lines of standard input, each of which is answered or refused: rows for a task model, objects. */
#ifndef BD_ANSWER_ROWS_H
#define BD_ANSWER_ROWS_H

#include "data/rows.h"
#include "run/serve.h"

/* Gets each answer, {"error"} for a line that is refused, and owns it. */
typedef void bd_answered(void *ctx, json_t *answer);

/* A task model answers every row of standard input, or the one in prompt, whose columns are TAB-separated,
 * and which dies if it is bad. Dies at the end if lines were refused. */
void bd_answer_rows(struct bd_asked *a, const char *prompt, enum bd_rows_format format, bd_gen_emit *emit,
                    bd_answered *answered, void *ctx);
/* The same for objects, one a line (bd_answer_object). */
void bd_answer_objects(struct bd_asked *a, bd_answered *answered, void *ctx);

#endif
