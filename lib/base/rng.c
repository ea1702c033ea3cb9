/* A value is a hash of (seed, stream, counter): the finaliser of splitmix64 (Stafford's mix 13) over a Weyl
 * step for each of the three, and once more after the counter. */
#include "base/rng.h"

#include "base/mem.h"
#include "base/msg.h"

#include <math.h>

static const uint64_t WEYL = 0x9e3779b97f4a7c15; /* 2^64 / golden ratio, odd */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

uint64_t bd_rng_u64(uint64_t seed, uint64_t stream, uint64_t counter)
{
	uint64_t key = mix(mix(seed + WEYL) + WEYL * (stream + 1));

	return mix(mix(key + WEYL * counter) ^ key);
}

double bd_rng_uniform(uint64_t seed, uint64_t stream, uint64_t counter)
{
	return (double)(bd_rng_u64(seed, stream, counter) >> 11) * 0x1p-53;
}

double bd_rng_normal(uint64_t seed, uint64_t stream, uint64_t counter)
{
	double u = 1 - bd_rng_uniform(seed, stream, 2 * counter); /* (0, 1]: the logarithm is finite */
	double v = bd_rng_uniform(seed, stream, 2 * counter + 1);

	return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* Newton's method, starting from the previous quantile: Phi(z) = erfc(-z / sqrt(2)) / 2 is convex below 0,
 * and the upper half mirrors the lower. */
float *bd_rng_quantiles(void)
{
	enum { N = 65536 };
	float *q = bd_alloc(N, sizeof(*q));
	double z = -4.4;

	for (size_t i = 0; i < N / 2; i++) {
		for (int step = 0; step < 6; step++)
			z -= (erfc(-z * 0.7071067811865476) / 2 - ((double)i + 0.5) / N) /
			     (0.3989422804014327 * exp(-z * z / 2));
		q[i] = (float)z;
		q[N - 1 - i] = (float)-z;
	}
	return q;
}

void bd_rng_normals(float *x, size_t n, float sd, const float *quantile, uint64_t seed, uint64_t stream,
                    uint64_t from)
{
	uint64_t u = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t j = from + i;

		if (i == 0 || j % 4 == 0)
			u = bd_rng_u64(seed, stream, j / 4);
		x[i] = sd * quantile[u >> 16 * (j % 4) & 0xffff];
	}
}

/* Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of u * n is uniform once the
 * 2^64 mod n lowest values of the low half are rejected. */
uint64_t bd_rng_below(uint64_t seed, uint64_t stream, uint64_t counter, uint64_t n)
{
	uint64_t u = bd_rng_u64(seed, stream, counter), reject;
	unsigned __int128 m;

	if (n == 0)
		bd_die(BD_SYS, "internal error: random number below 0");
	m = (unsigned __int128)u * n;
	reject = (0 - n) % n;
	while ((uint64_t)m < reject) {
		u = mix(u + WEYL);
		m = (unsigned __int128)u * n;
	}
	return (uint64_t)(m >> 64);
}

void bd_rng_permutation(uint64_t seed, uint64_t stream, size_t n, uint64_t *p)
{
	for (size_t i = 0; i < n; i++) {
		size_t j = (size_t)bd_rng_below(seed, stream, i, i + 1); /* any place among the first i + 1 */

		p[i] = i;
		p[i] = p[j];
		p[j] = i;
	}
}
