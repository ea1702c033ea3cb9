/* Counter-based random numbers: a value depends only on (seed, stream, counter), so any thread can draw any
 * value in any order. */
#ifndef BD_RNG_H
#define BD_RNG_H

#include <stddef.h>
#include <stdint.h>

uint64_t bd_rng_u64(uint64_t seed, uint64_t stream, uint64_t counter);
double bd_rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter); /* [0, 1) */
double bd_rng_normal(uint64_t seed, uint64_t stream, uint64_t counter);  /* mean 0, variance 1 (Box-Muller) */

/* Many normals, quickly: 65536 different values. quantile[65536] are those of the distribution at (i + 1/2) /
 * 65536 (caller bd_free()s); x[n] = sd times values from, from + 1, ... of the stream, four to a counter. */
float *bd_rng_quantiles(void);
void bd_rng_normals(float *x, size_t n, float sd, const float *quantile, uint64_t seed, uint64_t stream,
                    uint64_t from);

uint64_t bd_rng_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t n); /* [0, n) */
/* Fisher-Yates of 0..n-1 into p[n]. */
void bd_rng_permutation(uint64_t seed, uint64_t stream, size_t n, uint64_t *p);

#endif
