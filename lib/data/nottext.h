/* Files that hold no lines of text, known by their first bytes. */
#ifndef BD_NOTTEXT_H
#define BD_NOTTEXT_H

#include <stddef.h>

enum { BD_NOTTEXT_MAX = 512 }; /* bytes that are looked at */

/* What begins with p[n], and what to do, as the end of a sentence ("FILE: a Parquet file; ..."); NULL: it may
 * be text. */
const char *bd_nottext(const char *p, size_t n);

/* The same for one line: NULL, or why it is not text (a NUL, invalid UTF-8). */
const char *bd_nottext_line(const char *line, size_t n);

#endif
