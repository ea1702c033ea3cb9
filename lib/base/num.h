/* Numbers from text, with bounds; junk, overflow and out-of-range die as BD_USAGE, naming `what`. */
#ifndef BD_NUM_H
#define BD_NUM_H

#include <stdint.h>

/* suffixes k, M, G (10^3n) allowed */
int64_t bd_num_int(const char *s, int64_t min, int64_t max, const char *what);
double bd_num_real(const char *s, double min, double max, const char *what);

#endif
