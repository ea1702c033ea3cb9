/* A report of bench_run.h, and one of bench_ops.h, as text: a table, CSV (a header and a line for each test),
 * JSON (everything). On standard output. */
#ifndef BD_BENCH_OUT_H
#define BD_BENCH_OUT_H

#include "eval/bench_run.h"

#define BD_BENCH_FORMATS "table|csv|json"
enum bd_bench_format { BD_BENCH_TABLE, BD_BENCH_CSV, BD_BENCH_JSON };
void bd_bench_print(const struct bd_bench_report *r, enum bd_bench_format f);

/* For other rows of numbers: objects with the same keys each. */
void bd_bench_csv(const json_t *rows);
/* What the machine can do with so many threads, as one line of text, and added to an object. */
void bd_bench_print_roof(const struct bd_roofline *roof, int64_t threads);
void bd_bench_put_roof(json_t *o, const struct bd_roofline *roof);
/* The last component of a path. */
const char *bd_bench_short(const char *path);

#endif
