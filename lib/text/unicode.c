/* UTF-8, character classes and NFC.
 *
 * The classes are those of Unicode 16.0 as the Rust `tokenizers` 0.23 see them, whatever version the C
 * library or utf8proc has. Their NFC has the data of Unicode 9: newer combining characters pass through it
 * unchanged, so the text is cut at them. */
#include "text/unicode.h"

#include "base/guard.h"
#include "base/msg.h"
#include "text/unicode_tables.h"

#include <stdlib.h>
#include <utf8proc.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool in_ranges(const struct range *r, size_t n, uint32_t c)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c > r[mid].last)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && c >= r[lo].first;
}

static enum bd_char_class ascii_class(uint32_t c)
{
	uint32_t lower = c | 0x20;

	if (lower >= 'a' && lower <= 'z')
		return BD_LETTER;
	if (c >= '0' && c <= '9')
		return BD_NUMBER;
	return c == ' ' || (c >= '\t' && c <= '\r') ? BD_SPACE : BD_OTHER;
}

enum bd_char_class bd_char_class(uint32_t c)
{
	if (c < 0x80)
		return ascii_class(c);
	if (in_ranges(letter, COUNT(letter), c))
		return BD_LETTER;
	if (in_ranges(number, COUNT(number), c))
		return BD_NUMBER;
	return in_ranges(space, COUNT(space), c) ? BD_SPACE : BD_OTHER;
}

bool bd_word_char(uint32_t c)
{
	return in_ranges(letter, COUNT(letter), c) || in_ranges(word_too, COUNT(word_too), c);
}

/* Bounds of the byte after each lead byte (Unicode 16, table 3-7); all later bytes are 80..BF. */
static int lead(unsigned char b, unsigned char *lo, unsigned char *hi)
{
	*lo = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
	*hi = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
	if (b < 0x80)
		return 1;
	if (b < 0xc2 || b > 0xf4)
		return 0;
	return b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}

enum bd_utf8_kind bd_utf8_kind(const char *s, size_t n, size_t *len)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char lo, hi;
	size_t want = (size_t)lead(u[0], &lo, &hi);

	*len = 1;
	if (!want)
		return BD_UTF8_BAD;
	for (; *len < want; ++*len) {
		if (*len == n)
			return BD_UTF8_CUT;
		if (u[*len] < lo || u[*len] > hi)
			return BD_UTF8_BAD;
		lo = 0x80;
		hi = 0xbf;
	}
	return BD_UTF8_OK;
}

static size_t valid_prefix(const char *s, size_t n)
{
	size_t i = 0, len;

	while (i < n) {
		if ((unsigned char)s[i] < 0x80)
			len = 1;
		else if (bd_utf8_kind(s + i, n - i, &len) != BD_UTF8_OK)
			break;
		i += len;
	}
	return i;
}

bool bd_utf8_valid(const char *s, size_t n)
{
	return valid_prefix(s, n) == n;
}

void bd_utf8_repair(const char *s, size_t n, struct bd_buf *out)
{
	size_t len;

	for (;;) {
		size_t ok = valid_prefix(s, n);

		bd_buf_add(out, s, ok);
		s += ok;
		n -= ok;
		if (!n)
			return;
		bd_utf8_kind(s, n, &len);
		bd_buf_str(out, BD_REPLACEMENT);
		s += len;
		n -= len;
	}
}

static bool is_plain(uint32_t c)
{
	return c <= plain[0].last || in_ranges(plain, COUNT(plain), c);
}

bool bd_nfc_quick(const char *s, size_t n)
{
	size_t len;

	for (size_t i = 0; i < n; i += len)
		if (!is_plain(bd_utf8(s + i, &len)))
			return false;
	return true;
}

#define NFC (UTF8PROC_STABLE | UTF8PROC_COMPOSE)

/* A character of a decomposed text; consecutive marks (class > 0) are ordered by class, then place. */
struct mark {
	int32_t c;
	uint32_t class;
	size_t place;
};

static int by_class(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	return x->place < y->place ? -1 : 1;
}

/* Appends s[n] in canonical order: utf8proc finds it by swapping neighbours, which takes n^2 steps. */
static void order(const char *s, size_t n, struct bd_buf *out)
{
	struct mark *m = NULL;
	size_t count = 0, cap = 0, len;
	utf8proc_int32_t part[32];

	for (size_t i = 0; i < n; i += len) {
		int bound = 0;
		utf8proc_ssize_t k =
		    utf8proc_decompose_char((utf8proc_int32_t)bd_utf8(s + i, &len), part, 32, NFC, &bound);

		if (count + 32 > cap) {
			m = bd_resize(m, count, 2 * cap + 64, sizeof(*m));
			cap = 2 * cap + 64;
		}
		for (utf8proc_ssize_t j = 0; j < k && j < 32; j++, count++)
			m[count] = (struct mark){
			    part[j], (uint32_t)utf8proc_get_property(part[j])->combining_class, count};
	}
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; m[i].class && end < count && m[end].class; end++)
			;
		qsort(m + i, end - i, sizeof(*m), by_class);
	}
	for (size_t i = 0; i < count; i++) {
		utf8proc_uint8_t bytes[4];

		bd_buf_add(out, bytes, (size_t)utf8proc_encode_char(m[i].c, bytes));
	}
	bd_free(m);
}

static void compose(const char *s, size_t n, struct bd_buf *out)
{
	utf8proc_uint8_t *p = NULL;
	struct bd_buf ordered = {0};

	if (!n)
		return;
	if (n > 256) { /* shorter ones cost utf8proc nothing */
		order(s, n, &ordered);
		s = ordered.p;
		n = ordered.n;
	}
	utf8proc_ssize_t got = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &p, NFC);
	if (got < 0)
		bd_die(BD_SYS, "Unicode normalisation: %s", utf8proc_errmsg(got));
	bd_guard_keep(p, 0, NULL);
	bd_buf_add(out, p, (size_t)got);
	bd_guard_drop(p);
	free(p);
	bd_buf_free(&ordered);
}

/* Only a plain character and the others after it can interact: such groups go through utf8proc, cut at the
 * inert characters. */
void bd_nfc(const char *s, size_t n, struct bd_buf *out)
{
	size_t done = 0, group = 0, len; /* s[done, group) is plain, s[group, i) may need work */
	bool work = false;

	for (size_t i = 0; i < n; i += len) {
		uint32_t c = bd_utf8(s + i, &len);
		bool cut = c > 0x300 && in_ranges(inert, COUNT(inert), c);

		if (!cut && !is_plain(c)) {
			work = true;
			continue;
		}
		if (work) {
			bd_buf_add(out, s + done, group - done);
			compose(s + group, i - group, out);
			done = i;
			work = false;
		}
		group = cut ? i + len : i;
	}
	bd_buf_add(out, s + done, group - done);
	if (work)
		compose(s + group, n - group, out);
	else
		bd_buf_add(out, s + group, n - group);
}
