#include "base/show.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the character that begins s[n], n > 0, its number in *c; 0 if it is not UTF-8. */
static size_t character(const unsigned char *s, size_t n, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80   ? 1
	             : s[0] < 0xc2 ? 0
	             : s[0] < 0xe0 ? 2
	             : s[0] < 0xf0 ? 3
	             : s[0] < 0xf5 ? 4
	                           : 0;

	if (len == 0 || len > n)
		return 0;
	*c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3fu);
	}
	return *c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000) ? 0 : len;
}

static bool hidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* What stands for the first character of s[n], n > 0, in out[8]; returns its bytes in s. */
static size_t spell(const char *s, size_t n, bool lines, char out[8])
{
	uint32_t c = 0;
	size_t len = character((const unsigned char *)s, n, &c);
	char name = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : '\0';

	if (len == 0)
		snprintf(out, 8, "\\x%02x", (unsigned)(unsigned char)*s);
	else if (!hidden(c) || (lines && (c == '\n' || c == '\t')))
		snprintf(out, 8, "%.*s", (int)len, s);
	else if (name != '\0')
		snprintf(out, 8, "\\%c", name);
	else
		snprintf(out, 8, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
	return len > 0 ? len : 1;
}

size_t bd_show(const char *s, size_t n, bool lines, char *out, size_t room)
{
	char part[8];
	size_t k = 0;

	for (size_t i = 0; i < n;) {
		i += spell(s + i, n - i, lines, part);
		if (strlen(part) >= room - k)
			break;
		memcpy(out + k, part, strlen(part));
		k += strlen(part);
	}
	out[k] = '\0';
	return k;
}

bool bd_show_to(FILE *f, const char *s, size_t n, bool lines)
{
	char part[8];

	for (size_t i = 0; i < n;) {
		i += spell(s + i, n - i, lines, part);
		if (fputs(part, f) == EOF)
			return false;
	}
	return true;
}
