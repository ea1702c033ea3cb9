/* Digests of files. Every output directory contains a list with those of its other files: XXH3-128, in
 * lines as `xxhsum -H2` writes them, and a last line with the digest of the list itself. A file that the
 * list beside it names is compared with it before anybody sees a byte. Files that are not listed are
 * somebody else's. */
#ifndef BD_DIGEST_H
#define BD_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#define BD_DIGESTS "bd-digests.txt"

/* Dies BD_DATA if p[n] is not what the list beside `path` has for it, or if the list is damaged. */
void bd_digest_check(const char *path, const void *p, size_t n);
/* A list of the directory's files as they are; the caller frees it. */
char *bd_digest_list(const char *dir);
/* Calls fn for every file of the directory and every one that is listed; false if there is no list. */
enum bd_digest_state { BD_DIGEST_RIGHT, BD_DIGEST_WRONG, BD_DIGEST_NONE, BD_DIGEST_MISSING };
typedef void bd_digest_fn(void *ctx, const char *name, enum bd_digest_state s);
bool bd_digest_all(const char *dir, bd_digest_fn *fn, void *ctx);

/* Whether digests of files matter: they do, except under --no-verify. */
void bd_verify(bool wanted);
bool bd_verify_wanted(void);

#endif
