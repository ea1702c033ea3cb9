/* Provenance: every output says how it came to be, one line for each run of a tool, oldest first:
 *
 *   bd-distill 0.1.0: bd-distill --model s1 -o s2 train.kd <- model 3fa0..., teacher stream 91c2...
 *
 * tool, version, the command as it was typed, the digests of what it read. With SOURCE_DATE_EPOCH set
 * that date stands in brackets behind the version; otherwise no date is written, so that the same run
 * gives the same bytes. */
#ifndef BD_HISTORY_H
#define BD_HISTORY_H

#include "base/hash.h"
#include "base/json.h"

/* What a run read. */
struct bd_input {
	const char *kind;      /* "model", "examples", ... */
	const char *digest;    /* hex; NULL or "" when it is not known: only its history counts then */
	const json_t *history; /* array of lines, or NULL */
};

/* The history of this run's output: the lines of all inputs, each line once, then this
 * run's. The caller's. */
json_t *bd_history(const struct bd_input *in, size_t n);

/* XXH3-128 of a regular file's bytes; "" for anything else, such as stdin or a pipe. */
void bd_history_file(const char *path, char hex[BD_HEX]);

#endif
