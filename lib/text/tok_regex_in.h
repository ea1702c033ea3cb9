/* Oniguruma's regular expressions in PCRE2's words. */
#ifndef BD_TOK_REGEX_IN_H
#define BD_TOK_REGEX_IN_H

#include "base/mem.h"

/* The pattern, to be compiled by PCRE2 with UTF, UCP and MULTILINE and newlines LF, appended to out. What the
 * two understand differently and is not translated dies BD_DATA. */
void bd_regex_translate(const char *pattern, const char *name, struct bd_buf *out);

#endif
