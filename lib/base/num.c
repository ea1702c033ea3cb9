/* Numbers from text: strtoll and strtod, refusing the junk that they would accept. */
#include "base/num.h"

#include "base/msg.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 10^3, 10^6 or 10^9 for a suffix at the end of the number, 1 for none, 0 for junk. */
static int64_t scale_of(const char *suffix)
{
	if (suffix[0] == '\0')
		return 1;
	if (suffix[1] != '\0')
		return 0;
	switch (suffix[0]) {
	case 'k':
		return 1000;
	case 'M':
		return 1000000;
	case 'G':
		return 1000000000;
	default:
		return 0;
	}
}

int64_t bd_num_int(const char *s, int64_t min, int64_t max, const char *what)
{
	char *end;
	int64_t v, scale;
	int overflow;

	errno = 0;
	v = strtoll(s, &end, 10);
	scale = scale_of(end);
	if (end == s || isspace((unsigned char)s[0]) || scale == 0)
		bd_die(BD_USAGE, "%s: \"%s\" is not a whole number", what, s);
	overflow = errno == ERANGE || __builtin_mul_overflow(v, scale, &v);
	if (overflow || v < min || v > max) {
		if (max == INT64_MAX && min > INT64_MIN && (!overflow || s[0] == '-'))
			bd_die(BD_USAGE, "%s: %s is too small; at least %" PRId64, what, s, min);
		bd_die(BD_USAGE, "%s: %s is out of range; %" PRId64 " to %" PRId64, what, s, min, max);
	}
	return v;
}

double bd_num_real(const char *s, double min, double max, const char *what)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end != '\0' || isspace((unsigned char)s[0]) || isnan(v))
		bd_die(BD_USAGE, "%s: \"%s\" is not a number", what, s);
	if (v < min || v > max)
		bd_die(BD_USAGE, "%s: %s is out of range; %g to %g", what, s, min, max);
	return v;
}
