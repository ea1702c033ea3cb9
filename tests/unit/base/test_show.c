/* What is shown of text from elsewhere. */
#include "base/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void spelled(void **state)
{
	static const struct {
		const char *text, *shown, *lines; /* lines NULL: the same */
	} cases[] = {
	    {"plain \\ caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x9a\x80\xc2\xa0",
	     "plain \\ caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x9a\x80\xc2\xa0", NULL},
	    {"a\nb\tc\rd", "a\\nb\\tc\\rd", "a\nb\tc\\rd"},
	    {"\x1b[31mred\x07\x7f", "\\x1b[31mred\\x07\\x7f", NULL},
	    {"\xc2\x9b"
	     "31m \xc2\x80",
	     "\\u009b31m \\u0080", NULL},
	    {"\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6", "\\u2028\\u202e\\u2066", NULL},
	    {"\x9b \xff \xc3", "\\x9b \\xff \\xc3", NULL},
	    {"\xc0\x9b \xed\xa0\x80 \xf4\x90\x80\x80", "\\xc0\\x9b \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80",
	     NULL},
	    {"", "", NULL},
	};
	char out[256], file[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int lines = 0; lines < 2; lines++) {
			const char *want = lines && cases[i].lines != NULL ? cases[i].lines : cases[i].shown;
			FILE *f = fmemopen(file, sizeof(file), "w");

			assert_int_equal(
			    bd_show(cases[i].text, strlen(cases[i].text), lines, out, sizeof(out)),
			    strlen(want));
			assert_string_equal(out, want);
			assert_true(bd_show_to(f, cases[i].text, strlen(cases[i].text), lines));
			fputc('\0', f);
			fclose(f);
			assert_string_equal(file, want);
		}
	assert_int_equal(bd_show("\0", 1, true, out, sizeof(out)), 4);
	assert_string_equal(out, "\\x00");
}

/* Cut between what stands for two characters. */
static void cut(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(bd_show("abc\x1b"
	                         "d",
	                         5, false, out, sizeof(out)),
	                 7);
	assert_string_equal(out, "abc\\x1b");
	assert_int_equal(bd_show("abcd\x1b", 5, false, out, sizeof(out)), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(bd_show("a", 1, false, out, 1), 0);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(spelled), cmocka_unit_test(cut)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
