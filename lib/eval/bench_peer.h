/* Another program that measures itself and prints what `llama-bench -o json` does: an array of objects with
 * n_prompt, n_gen, n_depth (absent: 0), n_threads and samples_ts or avg_ts, tokens a second. Also the JSON of
 * bd-bench, which has such an array under "tests". */
#ifndef BD_BENCH_PEER_H
#define BD_BENCH_PEER_H

#include "base/json.h"
#include "eval/bench.h"

struct bd_peer {
	json_t *results; /* the array; the caller's */
	double peak;     /* bytes: the largest resident memory of its processes */
};
/* Runs the command with sh and reads its standard output. Dies BD_SYS if it cannot be run or fails, BD_DATA
 * if its output is something else. */
struct bd_peer bd_peer_run(const char *command);
/* Its median for the test with so many threads; dies BD_DATA if it has no such result, or several. NAN: such
 * programs do not have the test. */
double bd_peer_speed(const json_t *results, const struct bd_bench_test *t, int64_t threads);
/* The model's name and types, from its first result; NULL: it does not say. Borrowed. */
const char *bd_peer_model(const json_t *results);
const char *bd_peer_weights(const json_t *results);
const char *bd_peer_head(const json_t *results);
double bd_peer_file_bytes(const json_t *results); /* of model_filename; NAN: it does not say */

#endif
