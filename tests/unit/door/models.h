/* Small random models for the tests of bd.h. */
#ifndef DOOR_MODELS_H
#define DOOR_MODELS_H

#include <stddef.h>

#define MODELS_TOKENIZER "tests/golden/tok-bytes.json"

/* In a new directory, which becomes the working directory: "lm" (dense, no task), "task" (ternary, two
 * classes; fields left, right, label), "ask" (ternary, a text as answer), "bare" (no tokenizer) and
 * "task.gguf". */
void models_make(void);
void models_remove(void);

/* A copy of directory `from` as "bad", in which `file` holds text[n]; NULL: is removed. "bad". */
const char *bad_copy(const char *from, const char *file, const char *text, size_t n);
/* The same with the first `old` in the file replaced. */
const char *bad_edit(const char *from, const char *file, const char *old, const char *new);

#endif
