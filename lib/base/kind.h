/* What files are that were taken for others: people clone without Git LFS, save web pages, keep adapters. */
#ifndef BD_KIND_H
#define BD_KIND_H

#include <stddef.h>

/* What a file beginning with p[n] is, and what to do: "a Git LFS pointer, ...". For files that are not of the
 * format expected; NULL: unknown. */
const char *bd_file_kind(const void *p, size_t n);
/* What a directory without the files of a model has instead, in a sentence that the caller frees; NULL:
 * unknown. */
char *bd_dir_kind(const char *dir);

#endif
