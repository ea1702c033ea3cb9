/* Digests: XXH3. */
#ifndef BD_HASH_H
#define BD_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t bd_hash64(const void *p, size_t n);
/* For hash tables over what files say: with a random number of this process, so that no file can make its
 * entries collide. */
uint64_t bd_hash_key(void);
uint64_t bd_hash_keyed(const void *p, size_t n, uint64_t key);
/* Of 8 bytes: the two halves of a product of 64 bits by 64, folded. */
static inline uint64_t bd_hash_pair(uint64_t x, uint64_t key)
{
	unsigned __int128 p = (unsigned __int128)(x ^ key) * 0x9e3779b97f4a7c15u;

	p = (unsigned __int128)((uint64_t)p ^ (uint64_t)(p >> 64)) * (key | 1);
	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

struct bd_hash; /* running XXH3-64 */
struct bd_hash *bd_hash_new(void);
void bd_hash_add(struct bd_hash *h, const void *p, size_t n);
uint64_t bd_hash_value(const struct bd_hash *h); /* of all bytes so far; more may be added */
void bd_hash_free(struct bd_hash *h);

/* Whether a digest that was stored is the one computed. A test may define bd_hash_trust: then every one is,
 * so that changed bytes get behind their digest. */
bool bd_hash_agrees(uint64_t stored, uint64_t computed);
bool bd_hash_trust(void) __attribute__((weak));

#define BD_HEX 33 /* 32 hex digits and NUL */
void bd_hash128_hex(const void *p, size_t n, char hex[BD_HEX]);

#endif
