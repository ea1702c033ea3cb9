/* Compressed data as it arrives: zstd and gzip, recognised by their first bytes. */
#ifndef BD_UNZIP_H
#define BD_UNZIP_H

#include <stdbool.h>
#include <stddef.h>

enum { BD_UNZIP_MAGIC = 4 }; /* bytes that recognise it */

/* Whether the n bytes at p, as far as they go, begin like compressed data. */
bool bd_unzip_like(const char *p, size_t n);

struct bd_unzip;
struct bd_unzip *bd_unzip_new(const char magic[BD_UNZIP_MAGIC]);
void bd_unzip_free(struct bd_unzip *u);                /* NULL is fine */
const char *bd_unzip_format(const struct bd_unzip *u); /* "zstd" or "gzip" */

/* Decompresses src[*pos,end) into dst[n] and returns the bytes written; *pos moves behind what was used.
 * *why: NULL, or what is wrong with the data. Frames (gzip: members) may follow one another. A window of more
 * than 128 MiB is refused. */
size_t bd_unzip_run(struct bd_unzip *u, char *dst, size_t n, const char *src, size_t *pos, size_t end,
                    const char **why);
bool bd_unzip_open(const struct bd_unzip *u); /* inside a frame: more must come */

#endif
