/* Provenance: what a line says, how inputs' histories meet, dates, odd command lines. */
#include "base/history.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/opt.h"
#include "child.h"

#include <stdlib.h>
#include <string.h>

static void command(const char *const *argv, int argc)
{
	static const struct bd_opt opts[] = {{0}};
	static const struct bd_tool tool = {"bd-test", "test", "[FILE...]", opts, 0, -1};
	struct bd_common common;

	bd_opt_parse(&tool, &common, argc, (char **)(uintptr_t)argv);
}

static const char *line(const json_t *list, size_t i)
{
	return json_string_value(json_array_get(list, i));
}

static void lines(void **state)
{
	const char *argv[] = {"/home/me/bin/bd-test", "--seed", "2", "a b", "-"};
	json_t *list;

	(void)state;
	unsetenv("SOURCE_DATE_EPOCH");
	command(argv, 5);
	list = bd_history(
	    (struct bd_input[]){{"model", "0123", NULL}, {"examples", "", NULL}, {"text", "4567", NULL}}, 3);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(line(list, 0),
	                    "bd-test " BD_VERSION ": bd-test --seed 2 'a b' - <- model 0123, text 4567");
	json_decref(list);
}

static void dates(void **state)
{
	const char *argv[] = {"bd-test"};
	json_t *list;

	(void)state;
	command(argv, 1);
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	list = bd_history(NULL, 0);
	unsetenv("SOURCE_DATE_EPOCH");
	assert_string_equal(line(list, 0), "bd-test " BD_VERSION " (2023-11-14T22:13:20Z): bd-test");
	json_decref(list);
}

/* Student and teacher stream descend from one model: its line is there once, and oldest first. */
static void merged(void **state)
{
	const char *argv[] = {"bd-test", "x"};
	json_t *a = json_pack("[s, s]", "base", "student"), *b = json_pack("[s, s, i]", "base", "teacher", 7);
	json_t *list;

	(void)state;
	command(argv, 2);
	list = bd_history((struct bd_input[]){{"model", "0a", a}, {"teacher stream", NULL, b}}, 2);
	assert_int_equal(json_array_size(list), 4); /* anything but text is left out */
	assert_string_equal(line(list, 0), "base");
	assert_string_equal(line(list, 1), "student");
	assert_string_equal(line(list, 2), "teacher");
	assert_string_equal(line(list, 3), "bd-test " BD_VERSION ": bd-test x <- model 0a");
	assert_int_equal(json_array_size(a), 2);
	json_decref(list);
	json_decref(a);
	json_decref(b);
}

/* A file's name need not be text; the line is. */
static void odd_bytes(void **state)
{
	const char *argv[] = {"bd-test", "caf\xe9"};
	json_t *list;

	(void)state;
	command(argv, 2);
	list = bd_history(NULL, 0);
	assert_string_equal(line(list, 0), "bd-test " BD_VERSION ": bd-test 'caf\xef\xbf\xbd'");
	json_decref(list);
}

static void files(void **state)
{
	char hex[BD_HEX], other[BD_HEX], dir[] = "/tmp/bd-test-history.XXXXXX", *file;

	(void)state;
	assert_non_null(mkdtemp(dir));
	file = bd_path(dir, "text");
	bd_write_file(file, "abc", 3);
	bd_history_file(file, hex);
	bd_hash128_hex("abc", 3, other);
	assert_string_equal(hex, other);
	bd_history_file("-", hex);
	assert_string_equal(hex, "");
	bd_history_file("/dev/null", hex);
	assert_string_equal(hex, "");
	bd_history_file("no such file", hex);
	assert_string_equal(hex, "");
	bd_remove_tree(dir);
	bd_free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(dates),
	                                   cmocka_unit_test(merged), cmocka_unit_test(odd_bytes),
	                                   cmocka_unit_test(files)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
