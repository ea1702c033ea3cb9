/* XXH3 through libxxhash. */
#include "base/hash.h"

#include "base/guard.h"
#include "base/msg.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <xxhash.h>

uint64_t bd_hash64(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

/* Results do not depend on it. Without random numbers from the system, it is where the process is. */
uint64_t bd_hash_key(void)
{
	uint64_t key;

	if (getrandom(&key, sizeof(key), GRND_NONBLOCK) != sizeof(key))
		key = (uint64_t)(uintptr_t)&key * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)&errno;
	return key;
}

uint64_t bd_hash_keyed(const void *p, size_t n, uint64_t key)
{
	return XXH3_64bits_withSeed(p, n, key);
}

bool bd_hash_agrees(uint64_t stored, uint64_t computed)
{
	return stored == computed || (bd_hash_trust != NULL && bd_hash_trust());
}

static void release(void *p, size_t n)
{
	(void)n;
	XXH3_freeState(p);
}

/* struct bd_hash is libxxhash's own state under another name. */
struct bd_hash *bd_hash_new(void)
{
	XXH3_state_t *s = XXH3_createState();

	if (s == NULL || XXH3_64bits_reset(s) != XXH_OK)
		bd_die(BD_SYS, "out of memory");
	bd_guard_keep(s, 0, release);
	return (struct bd_hash *)s;
}

void bd_hash_add(struct bd_hash *h, const void *p, size_t n)
{
	if (n > 0)
		XXH3_64bits_update((XXH3_state_t *)h, p, n);
}

uint64_t bd_hash_value(const struct bd_hash *h)
{
	return XXH3_64bits_digest((const XXH3_state_t *)h);
}

void bd_hash_free(struct bd_hash *h)
{
	bd_guard_drop(h);
	XXH3_freeState((XXH3_state_t *)h);
}

void bd_hash128_hex(const void *p, size_t n, char hex[BD_HEX])
{
	XXH128_hash_t h = XXH3_128bits(p, n);

	snprintf(hex, BD_HEX, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}
