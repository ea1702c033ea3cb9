/* Repeated measurements in five numbers. */
#ifndef BD_SPREAD_H
#define BD_SPREAD_H

#include <stddef.h>

struct bd_spread {
	double median, min, max, q1, q3; /* quartiles by linear interpolation; all NAN if there are none */
};
struct bd_spread bd_spread(const double *v, size_t n);
/* Of a[i] / b[i]: what disturbs a pair measured together disturbs its ratio less. */
struct bd_spread bd_spread_ratio(const double *a, const double *b, size_t n);

#endif
