/* Constants of exp and the whole of log, common to all tables: the same operations in the same order give the
 * same bits. */
#ifndef BD_KERN_POLY_H
#define BD_KERN_POLY_H

#include <math.h>

/* exp(x) = 2^n exp(r), n = rint(x / ln 2), |r| <= ln 2 / 2, exp(r) = 1 + r + r^2 (E2 + E3 r + ... + E7 r^5),
 * Cephes' polynomial of degree 7 (Moshier). Adding and subtracting 1.5 * 2^23 rounds to an integer, and
 * leaves it in the low bits; LN2_HI has 9 significant bits, so n LN2_HI is exact. Results in [2^-126, 2^128)
 * need no second scaling: outside of it, 0 and infinity. */
#define EXP_MIN   -87.3f
#define EXP_MAX   88.72f
#define EXP_ROUND 12582912.0f
#define LOG2_E    1.44269504088896341f
#define LN2_HI    0.693359375f
#define LN2_LO    -2.12194440e-4f
#define E2        5.0000001201e-1f
#define E3        1.6666665459e-1f
#define E4        4.1665795894e-2f
#define E5        8.3334519073e-3f
#define E6        1.3981999507e-3f
#define E7        1.9875691500e-4f

/* log x for x > 0 in double, error below 1e-11 relative: x = 2^e m, m in [sqrt 1/2, sqrt 2), s = (m - 1) / (m
 * + 1), log m = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172. */
static inline float kern_log(float x)
{
	int e;
	double m = frexp((double)x, &e);

	if (!(x > 0.0f) || isinf(x))
		return x == 0.0f ? -INFINITY : x > 0.0f ? x : NAN;
	if (m < 0.70710678118654752) {
		m *= 2.0;
		e--;
	}
	const double s = (m - 1.0) / (m + 1.0), z = s * s;
	double p = 1.0 / 13.0;
	for (int k = 11; k >= 1; k -= 2)
		p = p * z + 1.0 / k;
	return (float)((double)e * 0.69314718055994531 + 2.0 * s * p);
}

#endif
