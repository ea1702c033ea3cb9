/* Digests: XXH3. */
#ifndef BD_HASH_H
#define BD_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t bd_hash64(const void *p, size_t n);

struct bd_hash; /* running XXH3-64 */
struct bd_hash *bd_hash_new(void);
void bd_hash_add(struct bd_hash *h, const void *p, size_t n);
uint64_t bd_hash_value(const struct bd_hash *h); /* of all bytes so far; more may be added */
void bd_hash_free(struct bd_hash *h);

#define BD_HEX 33 /* 32 hex digits and NUL */
void bd_hash128_hex(const void *p, size_t n, char hex[BD_HEX]);

#endif
