/* The output of long runs: a progress line on a terminal, JSON lines in a file. */
#ifndef BD_LOG_H
#define BD_LOG_H

#include "base/json.h"

struct bd_log;
/* path NULL: no file. A regular file is continued, and locked: it dies BD_USAGE if another process writes it.
 * quiet: no progress line. */
struct bd_log *bd_log_open(const char *path, bool quiet);
size_t bd_log_bytes(const struct bd_log *l);     /* of a regular file; else 0 */
void bd_log_cut(struct bd_log *l, size_t bytes); /* to at most this length; 0: it begins anew */
void bd_log_json(struct bd_log *l, json_t *obj); /* one line, flushed; steals the reference */
/* done/total (total 0: unknown) and a free text such as "loss 1.23 812 tok/s"; at most 10 lines per second,
 * only if stderr is a terminal; adds the time left. */
void bd_log_progress(struct bd_log *l, double done, double total, const char *text);
void bd_log_close(struct bd_log *l); /* NULL is fine */

double bd_seconds(void);  /* monotonic clock */
double bd_rss_mib(void);  /* peak resident memory of this process */
size_t bd_resident(void); /* its resident memory now, in bytes; 0: unknown */

#endif
