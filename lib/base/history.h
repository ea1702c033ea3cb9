/* Provenance: every output says how it was made, one line for each run of a tool, oldest first:
 *
 *   bd-distill 0.1.0: bd-distill --model s1 -o s2 train.kd <- model 3fa0..., teacher stream 91c2...
 *
 * tool, version, the command as it was typed, the digests of its inputs. With SOURCE_DATE_EPOCH set, that
 * date follows the version in brackets; otherwise no date is written, so that the same run gives the same
 * bytes. */
#ifndef BD_HISTORY_H
#define BD_HISTORY_H

#include "base/hash.h"
#include "base/json.h"

/* An input of a run. */
struct bd_input {
	const char *kind;      /* "model", "examples", ... */
	const char *digest;    /* hex; NULL or "" if unknown: then only its history is used */
	const json_t *history; /* array of lines, or NULL */
};

/* The history of this run's output: the lines of all inputs, each line once, then this run's. Owned by the
 * caller. */
json_t *bd_history(const struct bd_input *in, size_t n);

/* XXH3-128 of a regular file's bytes; "" for anything else, such as stdin or a pipe. */
void bd_history_file(const char *path, char hex[BD_HEX]);

#endif
