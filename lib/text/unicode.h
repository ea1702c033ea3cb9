/* UTF-8 and the facts of Unicode that Hugging Face's tokenizers rely on: the classes of Unicode 16,
 * the NFC of Unicode 9. */
#ifndef BD_UNICODE_H
#define BD_UNICODE_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BD_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

enum bd_char_class { BD_OTHER, BD_LETTER, BD_NUMBER, BD_SPACE }; /* \p{L}, \p{N}, \s and the rest */
enum bd_char_class bd_char_class(uint32_t c);
bool bd_word_char(uint32_t c); /* \w of Rust's regular expressions */

/* The code point at s, which must be valid UTF-8; *len: its bytes. */
static inline uint32_t bd_utf8(const char *s, size_t *len)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] < 0x80) {
		*len = 1;
		return u[0];
	}
	if (u[0] < 0xe0) {
		*len = 2;
		return (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
	}
	if (u[0] < 0xf0) {
		*len = 3;
		return (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
	}
	*len = 4;
	return (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu);
}

/* What begins at s[n], n > 0, any bytes: a character, a bad sequence (the longest that could have begun one),
 * or a character that the end of the data cuts off. *len: its bytes. */
enum bd_utf8_kind { BD_UTF8_OK, BD_UTF8_BAD, BD_UTF8_CUT };
enum bd_utf8_kind bd_utf8_kind(const char *s, size_t n, size_t *len);

bool bd_utf8_valid(const char *s, size_t n);
/* Appends s[n], every bad sequence as U+FFFD. */
void bd_utf8_repair(const char *s, size_t n, struct bd_buf *out);

/* Appends s[n], valid UTF-8, in normalisation form C. */
void bd_nfc(const char *s, size_t n, struct bd_buf *out);
/* True if s[n] has nothing to normalise (false: unknown). */
bool bd_nfc_quick(const char *s, size_t n);

#endif
