/* Rows: what each format gives, what is refused and with which words, what is left out. */
#include "data/rows.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "data/nottext.h"

#include <stdlib.h>

static char dir[] = "/tmp/bd-test-rows.XXXXXX";
static const char *const field[] = {"a", "b"};

struct input {
	const char *name, *content;
	size_t n; /* bytes of content; 0: it is a string */
	size_t fields;
	struct bd_rows_opts how;
	uint64_t shuffle;
};

/* The rows as "a|b;a|b;", "-" for an absent value, into the buffer. */
static void read_rows(const struct input *in, struct bd_buf *got)
{
	char *path = bd_path(dir, in->name), *file[] = {path};
	const char *value[2];
	size_t length[2], n = in->fields ? in->fields : 2;

	bd_write_file(path, in->content, in->n ? in->n : strlen(in->content));
	struct bd_rows *r = bd_rows_open(file, 1, &in->how, field, n);
	if (in->shuffle)
		bd_rows_shuffle(r, in->shuffle);
	while (bd_rows_next(r, value, length))
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(length[i], value[i] ? strlen(value[i]) : 0);
			bd_buf_fmt(got, "%s%c", value[i] != NULL ? value[i] : "-", i + 1 == n ? ';' : '|');
		}
	bd_rows_close(r);
	bd_free(path);
}

static void rows(void **state)
{
	static const struct {
		struct input in;
		const char *want;
	} cases[] = {
	    {{.name = "r", .content = ""}, ""},
	    {{.name = "r", .content = "b\tx\ta\n1\t2\t3\n\n4\t5\t\n"}, "3|1;|4;"},
	    {{.name = "r", .content = "x\ty\n1\t2\n"}, "x|y;1|2;"},
	    {{.name = "r",
	      .content = "\xef\xbb\xbf"
	                 "a\tb\r\n\"q\"\t\r\n"},
	     "\"q\"|;"},
	    {{.name = "r", .content = "{\"a\":\"x\",\"b\":3}\n{\"b\":true,\"a\":null}\n{\"a\":0.5}"},
	     "x|3;-|true;0.5|-;"},
	    {{.name = "r", .content = "a\tb\n1\t2\n", .how = {.format = BD_ROWS_LINES}}, "a\tb|-;1\t2|-;"},
	    {{.name = "r", .content = "a\tb\n1\t2\n3\t4\n", .shuffle = 1}, "3|4;1|2;"},
	    {{.name = "r", .content = "a\n1\n2\n"}, "1|-;2|-;"}, /* a header may leave columns out */
	    /* CSV: by its header or its name; as Python's csv.reader gives it */
	    {{.name = "r", .content = "b,a\n1,\"x, \"\"y\"\"\"\n,\n"}, "x, \"y\"|1;|;"},
	    {{.name = "r", .content = "\xef\xbb\xbf\"a\",\"b\"\r\n\"1\r\n2\",3\r\n"}, "1\r\n2|3;"},
	    {{.name = "r", .content = "id,a\n7,\"one\n\ntwo\"\n8,d\"e\"f\n"}, "one\n\ntwo|-;d\"e\"f|-;"},
	    {{.name = "r.csv", .content = "x,y\n1,\"\"\n"}, "x|y;1|;"},
	    {{.name = "r", .content = "a,b\n", .fields = 1}, ""},
	    /* no CSV: the line is text */
	    {{.name = "r", .content = "a, or b\n", .fields = 1}, "a, or b;"},
	    {{.name = "r", .content = "a,\n", .fields = 1}, "a,;"},
	    {{.name = "r", .content = "so, x\ty\n"}, "so, x|y;"},
	    {{.name = "r", .content = "[Verse 1]\n[la]\n", .fields = 1}, "[Verse 1];[la];"},
	    {{.name = "r", .content = "[1]\n", .fields = 1, .how = {.format = BD_ROWS_LINES}}, "[1];"},
	    {{.name = "r", .content = "[1]\n{x\n", .fields = 1, .how = {.inputs = 1}}, "[1];{x;"},
	    {{.name = "r", .content = "p\nq\tr\n", .how = {.inputs = 1}}, "p|-;q|r;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_buf got = {0};

		bd_buf_str(&got, "");
		read_rows(&cases[i].in, &got);
		assert_string_equal(got.p, cases[i].want);
		bd_buf_free(&got);
	}
}

static void read_child(void *in)
{
	struct bd_buf got = {0};

	read_rows(in, &got);
}

#define BYTES(s) .content = s, .n = sizeof(s) - 1

static struct {
	struct input in;
	const char *why;
} refused[] = {
    /* a first line that is broken JSON, as any other line */
    {{.name = "r", .content = "{\"a\":NaN}\n{\"a\":1}\n"}, "r: line 1: column 8: not valid JSON: "},
    {{.name = "r", .content = "{\"a\":1}\n{\"a\":-Infinity}\n"}, "r: line 2: column"},
    {{.name = "r", .content = "{\"a\":\"\\udc00\"}\n"}, "r: line 1: column"},
    {{.name = "r", .content = "{\"a\":\"\xe9\"}\n"}, "r: line 1: not UTF-8"},
    {{.name = "r", .content = "{'a': 1}\n"}, "r: line 1: column 2: not valid JSON"},
    {{.name = "r", .content = "  {\"a\":1,}\n", .fields = 1}, "r: line 1: column 10: not valid JSON"},
    {{.name = "r", .content = "{\"a\":1} {\"a\":2}\n"}, "r: line 1: column"},
    {{.name = "r", .content = "{\"a\":[1]}\n"}, "r: line 1: \"a\" is neither text nor a number"},
    {{.name = "r", .content = "{\"a\":\"x\\u0000y\"}\n"}, "r: line 1: \"a\" contains a NUL"},
    {{.name = "r", .content = "[\n{\"a\":1}]\n"}, "r: line 1: a JSON array; one object a line is wanted"},
    {{.name = "r", .content = "[{\"a\":1}]\n", .fields = 1}, "a JSON array"},
    {{.name = "r", .content = " [ \"a\" ]\n"}, "a JSON array"},
    {{.name = "r", .content = "[]\n"}, "a JSON array"},
    /* columns */
    {{.name = "r", .content = "a\tb\nx\t1\nhalf\ny\t2\n"}, "r: line 3: 1 column, the header has 2"},
    {{.name = "r", .content = "b\ta\n1\tx\ty\n"}, "r: line 2: 3 columns, the header has 2"},
    {{.name = "r", .content = "x\ty\nx\n"}, "r: line 2: 1 column, but there are 2 fields"},
    {{.name = "r", .content = "x\ty\tz\n"}, "r: line 1: 3 columns, but there are 2 fields"},
    {{.name = "r", .content = "a,b\n1,2\n3,4,5\n"}, "r: line 3: 3 columns, the header has 2"},
    {{.name = "r", .content = "a\tb\ta\n"}, "r: line 1: the header names \"a\" twice"},
    {{.name = "r.csv", .content = "x,y\n", .fields = 1},
     "r.csv: line 1: 2 columns, and no first line names the one called \"a\""},
    {{.name = "r", .content = "a,b\n\"1,2\n3,4\n"}, "r: line 2: a quote is opened and never closed"},
    {{.name = "r", .content = "a,b\n\"1\"x,2\n"}, "r: line 2: text behind the closing quote of column 1"},
    /* what is no text */
    {{.name = "r", .content = "a\tb\nx\xe9\t1\n"}, "r: line 2: not UTF-8; convert it"},
    {{.name = "r", BYTES("a\tb\nx\0y\t1\n")}, "r: line 2: has a NUL byte"},
    {{.name = "r", .content = "a\xc3\n", .fields = 1}, "r: line 1: not UTF-8"},
    {{.name = "r", BYTES("PAR1\x15\x04\x15")}, "r: a Parquet file; write it as JSON lines"},
    {{.name = "r",
      BYTES("\xff\xfe"
            "a\0\n\0")},
     "r: UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8"},
    {{.name = "r", BYTES("a\0b\0\n\0")}, "r: UTF-16 text"},
    {{.name = "r", BYTES("\0a\0b\0\n")}, "r: UTF-16 text"},
    {{.name = "r", BYTES("PK\x03\x04\x14\0")}, "r: a zip archive; unpack it first"},
    {{.name = "r",
      BYTES("PK\x03\x04\x14\0\6\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0[Content_Types].xml")},
     "r: a spreadsheet"},
    {{.name = "r", BYTES("SQLite format 3\0")}, "r: an SQLite database"},
    {{.name = "r", .content = "<!DOCTYPE HTML>\n<p>404\n", .fields = 1}, "r: an HTML page"},
    {{.name = "r", BYTES("GGUF\x03\0\0\0")}, "r: a GGUF file"},
    {{.name = "r", BYTES("\x40\0\0\0\0\0\0\0{\"x\":")}, "r: a safetensors file"},
    {{.name = "r",
      BYTES("\x86\xa2"
            "bd\xa8"
            "examples")},
     "r: a stream of examples already"},
    {{.name = "r",
      BYTES("\xde\0\x10\xa2"
            "bd\xa7"
            "teacher")},
     "r: a stream of examples already"},
    {{.name = "r", BYTES("BZh91AY")}, "r: compressed with bzip2; unpack it first"},
    {{.name = "r", .content = "version https://git-lfs.github.com/spec/v1\n", .fields = 1},
     "r: a Git LFS pointer"},
    {{.name = "r", BYTES("\x80\x04\x95\0\0")}, "r: a Python pickle"},
    {{.name = "r", .content = "aaaa\nbbbbb\n", .how = {.max_line = 4}}, "r: line 2: a line of over 4 bytes"},
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		refused[i].in.how.format = refused[i].in.how.max_line ? BD_ROWS_LINES : BD_ROWS_AUTO;
		child_dies(read_child, &refused[i].in, BD_DATA, refused[i].why);
	}
}

/* Bad rows are passed over and counted by kind, in files and in memory. */
static void skipping(void **state)
{
	static const char content[] = "a\tb\nx\t1\nhalf\ny\xff\t2\nz\t3\t4\nw\t5\n";

	(void)state;
	for (uint64_t shuffle = 0; shuffle < 2; shuffle++) {
		struct bd_leftout out = {0};
		struct bd_buf got = {0};

		read_rows(
		    &(struct input){
		        .name = "r", .content = content, .how = {.skip = &out}, .shuffle = shuffle},
		    &got);
		assert_true(!strcmp(got.p, "x|1;w|5;") || !strcmp(got.p, "w|5;x|1;"));
		assert_int_equal(out.n, 3);
		assert_int_equal(out.kind[0].n, 2);
		assert_int_equal(out.kind[1].n, 1);
		assert_non_null(strstr(out.first, "r: line 3: 1 column, the header has 2"));
		bd_buf_free(&got);
	}
}

/* A line that is too long costs one row, not those behind it; nothing of it is kept. */
static void long_lines(void **state)
{
	char *path = bd_path(dir, "long"), *file[] = {path}, *text = bd_alloc(5 << 20, 1);
	struct bd_rows_opts how = {.format = BD_ROWS_LINES, .inputs = 1, .max_line = 1 << 20};
	const char *value, *bad;
	size_t length, seen = 0;

	(void)state;
	memset(text, 'x', 5 << 20);
	memcpy(text, "one\n", 4);
	memcpy(text + (4 << 20), "\ntwo\n", 5);
	text[(5 << 20) - 1] = '\n';
	bd_write_file(path, text, 5 << 20);
	struct bd_rows *r = bd_rows_open(file, 1, &how, field, 1);
	for (; bd_rows_try(r, &value, &length, &bad); seen++) {
		assert_int_equal(bad != NULL, seen == 1);
		if (bad == NULL && seen < 3)
			assert_string_equal(value, seen == 0 ? "one" : "two");
	}
	assert_int_equal(seen, 4);
	bd_rows_close(r);
	bd_free(text);
	bd_free(path);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	bd_remove_tree(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(skipping),
	    cmocka_unit_test(long_lines),
	};

	return cmocka_run_group_tests_name("rows", tests, set_up, tear_down);
}
