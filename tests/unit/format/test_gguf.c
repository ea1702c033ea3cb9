/* GGUF: what is read is what was written, to the byte where the format says so; damaged
 * headers are refused. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/gguf.h"
#include "format/gguf_table.h"
#include "format/gguf_ternary.h"
#include "machine/quant.h"

#include <stdlib.h>

static char dir[] = "/tmp/bd-test-gguf.XXXXXX";

static int set_up(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") != 0)
		return -1;
	bd_remove_tree(dir);
	return 0;
}

static void open_path(void *path)
{
	struct bd_gguf *g = bd_gguf_open(path);

	for (size_t i = 0; i < bd_gguf_keys(g); i++)
		bd_free(bd_gguf_show(g, i, 40));
	bd_gguf_close(g);
}

enum { ROWS = 3, COLS = 256 };

/* Weights that all types hold exactly: SCALE * {-1, 0, 1}; Q8_0's step is then 2^-8. */
#define SCALE (127.0f / 256)
static float weight(size_t r, size_t c)
{
	return SCALE * (float)((int)((r * 7 + c * 5 + c / 3) % 3) - 1);
}

static void put_row(struct bd_gguf_writer *w, uint32_t type, size_t r)
{
	uint8_t codes[COLS / 4], bytes[COLS * 4];
	float x[COLS];

	for (size_t c = 0; c < COLS; c++)
		x[c] = weight(r, c);
	bd_ternary_pack(codes, x, 1, COLS, SCALE);
	if (bd_ggml_table(type))
		bd_table_store(type, bytes, x, COLS);
	else
		bd_ternary_store(type, bytes, codes, COLS, SCALE);
	bd_gguf_data(w, bytes, bd_ggml_stride(type, COLS));
}

static const uint32_t types[] = {BD_GGML_F32,   BD_GGML_F16,  BD_GGML_BF16,   BD_GGML_Q8_0,   BD_GGML_TQ2_0,
                                 BD_GGML_TQ1_0, BD_GGML_Q2_0, BD_GGML_IQ2_BN, BD_GGML_IQ1_BN, BD_GGML_I2_S};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static void write_file(const char *path)
{
	static const char *const words[] = {"one", "", "drei \xc3\xa4"};
	static const int32_t ints[] = {1, -2, 3};
	static const float reals[] = {0.5f, -1e30f};
	static const char tail[28];
	struct bd_gguf_writer *w = bd_gguf_create(path);
	float scale = SCALE;

	bd_gguf_put_str(w, "general.architecture", "test");
	bd_gguf_put_u32(w, "general.alignment", 32);
	bd_gguf_put_f32(w, "real", 0.25f);
	bd_gguf_put_bool(w, "flag", true);
	bd_gguf_put_strs(w, "words", words, 3);
	bd_gguf_put_i32s(w, "ints", ints, 3);
	bd_gguf_put_f32s(w, "reals", reals, 2);
	bd_gguf_put_strs(w, "none", words, 0);
	for (int t = 0; t < TYPES; t++)
		bd_gguf_declare(w, bd_ggml_name(types[t]), types[t], COLS, ROWS);
	bd_gguf_declare(w, "vector", BD_GGML_F32, 5, 0);
	for (int t = 0; t < TYPES; t++) {
		for (size_t r = 0; r < ROWS; r++)
			put_row(w, types[t], r);
		if (types[t] == BD_GGML_I2_S) {
			bd_gguf_data(w, &scale, sizeof(scale));
			bd_gguf_data(w, tail, sizeof(tail));
		}
	}
	bd_gguf_data(w, "11112222333344445555", 20);
	bd_gguf_finish(w);
}

static void round_trip(void **state)
{
	struct bd_gguf *g;
	uint32_t elem;
	const void *data;
	const char *const *words;
	float row[COLS];
	size_t n;

	(void)state;
	write_file("a.gguf");
	g = bd_gguf_open("a.gguf");
	assert_int_equal(bd_gguf_keys(g), 8);
	assert_string_equal(bd_gguf_key_at(g, 3), "flag");
	assert_string_equal(bd_gguf_str(g, "general.architecture", &n), "test");
	assert_int_equal(n, 4);
	assert_true(bd_gguf_real(g, "real") == 0.25);
	assert_int_equal(bd_gguf_uint(g, "flag"), 1);
	assert_int_equal(bd_gguf_uint_or(g, "absent", 7), 7);
	assert_string_equal(bd_gguf_str_or(g, "absent", "x"), "x");
	assert_int_equal(bd_gguf_array(g, "words", &elem, &data), 3);
	assert_int_equal(elem, BD_GGUF_STR);
	words = data;
	assert_string_equal(words[0], "one");
	assert_string_equal(words[1], "");
	assert_string_equal(words[2], "drei \xc3\xa4");
	assert_int_equal(bd_gguf_array(g, "none", &elem, &data), 0);
	assert_int_equal(bd_gguf_array(g, "ints", &elem, &data), 3);
	assert_int_equal(elem, BD_GGUF_I32);
	assert_int_equal(((const int32_t *)data)[1], -2);
	assert_int_equal(bd_gguf_array(g, "reals", &elem, &data), 2);
	assert_true(((const float *)data)[1] == -1e30f);
	assert_int_equal(bd_gguf_tensors(g), TYPES + 1);
	for (int t = 0; t < TYPES; t++) {
		const struct bd_gguf_tensor *x = bd_gguf_find(g, bd_ggml_name(types[t]));

		assert_ptr_equal(x, bd_gguf_tensor_at(g, (size_t)t));
		assert_int_equal(x->rows, ROWS);
		assert_int_equal(x->cols, COLS);
		assert_int_equal((uintptr_t)x->data % 32, 0);
		for (size_t r = 0; r < ROWS; r++) {
			bd_gguf_f32(x, r, row);
			for (size_t c = 0; c < COLS; c++)
				assert_true(row[c] == weight(r, c));
		}
	}
	assert_int_equal(bd_gguf_find(g, "vector")->ndim, 1);
	assert_memory_equal(bd_gguf_find(g, "vector")->data, "11112222333344445555", 20);
	assert_null(bd_gguf_find(g, "absent"));
	bd_gguf_close(g);
}

static void shown(void **state)
{
	static const char *const want[] = {"test",       "32", "0.25", "true", "3: one, , drei \xc3\xa4",
	                                   "3: 1, -2, 3"};

	(void)state;
	write_file("a.gguf");
	struct bd_gguf *g = bd_gguf_open("a.gguf");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		char *text = bd_gguf_show(g, i, 40);

		assert_string_equal(text, want[i]);
		bd_free(text);
	}
	char *cut = bd_gguf_show(g, 4, 16); /* not inside the two bytes of the umlaut */
	assert_string_equal(cut, "3: one, , drei ...");
	bd_free(cut);
	bd_gguf_close(g);
}

/* Sizes from the format's description, not from the code. */
static void sizes(void **state)
{
	(void)state;
	assert_int_equal(bd_ggml_bytes(BD_GGML_F32, 3, 5), 60);
	assert_int_equal(bd_ggml_bytes(BD_GGML_F16, 3, 5), 30);
	assert_int_equal(bd_ggml_bytes(BD_GGML_Q8_0, 2, 64), 2 * 2 * 34);
	assert_int_equal(bd_ggml_bytes(BD_GGML_Q8_0, 2, 65), 0);
	assert_int_equal(bd_ggml_bytes(BD_GGML_TQ1_0, 2, 512), 2 * 2 * 54);
	assert_int_equal(bd_ggml_bytes(BD_GGML_TQ2_0, 2, 512), 2 * 2 * 66);
	assert_int_equal(bd_ggml_bytes(BD_GGML_TQ2_0, 2, 384), 0);
	assert_int_equal(bd_ggml_bytes(BD_GGML_I2_S, 7, 384), 7 * 384 / 4 + 32);
	assert_int_equal(bd_ggml_bytes(BD_GGML_I2_S, 7, 192), 0);
	assert_int_equal(bd_ggml_bytes(99, 7, 384), 0);
	assert_int_equal(bd_ggml_bytes(BD_GGML_F32, (size_t)1 << 62, 4), 0);
	assert_string_equal(bd_ggml_name(36), "I2_S");
}

/* The first bytes of a file, written out by hand. */
static void layout(void **state)
{
	static const unsigned char want[] = "GGUF"
	                                    "\3\0\0\0"
	                                    "\1\0\0\0\0\0\0\0"
	                                    "\1\0\0\0\0\0\0\0"
	                                    "\1\0\0\0\0\0\0\0"
	                                    "k"
	                                    "\4\0\0\0"
	                                    "\7\0\0\0"
	                                    "\1\0\0\0\0\0\0\0"
	                                    "t"
	                                    "\2\0\0\0"
	                                    "\2\0\0\0\0\0\0\0"
	                                    "\1\0\0\0\0\0\0\0"
	                                    "\0\0\0\0"
	                                    "\0\0\0\0\0\0\0\0"
	                                    "\0\0\0\0\0\0" /* to 96 */ "abcdefgh";
	struct bd_gguf_writer *w = bd_gguf_create("a.gguf");
	size_t n;
	char *p;

	(void)state;
	bd_gguf_put_u32(w, "k", 7);
	bd_gguf_declare(w, "t", BD_GGML_F32, 2, 1);
	bd_gguf_data(w, "abcdefgh", 8);
	bd_gguf_finish(w);
	p = bd_read_file("a.gguf", &n);
	assert_int_equal(n, 96 + 32);
	assert_memory_equal(p, want, 4 + 4 + 16 + 17 + 41);
	assert_memory_equal(p + 96, "abcdefgh", 8);
	bd_free(p);
}

static void every_truncation(void **state)
{
	size_t n;
	char *p;

	(void)state;
	write_file("a.gguf");
	p = bd_read_file("a.gguf", &n);
	for (size_t i = 0; i + 12 < n; i += i < 700 ? 1 : 211) { /* the last 12 bytes are padding */
		bd_write_file("bad.gguf", p, i);
		child_dies(open_path, "bad.gguf", BD_DATA, "bad.gguf: ");
	}
	bd_write_file("bad.gguf", p, n + 1);
	child_dies(open_path, "bad.gguf", BD_DATA, "continues after its last tensor");
	bd_free(p);
}

/* A changed byte of the header is refused, or changes a value, but never more than that. */
static void every_changed_byte(void **state)
{
	size_t n, refused = 0;
	char *p;

	(void)state;
	write_file("a.gguf");
	p = bd_read_file("a.gguf", &n);
	for (size_t i = 0; i < 600; i++) {
		p[i] ^= (char)0x81;
		bd_write_file("bad.gguf", p, n);
		struct child c = child_run(open_path, "bad.gguf");
		if (c.signal != 0 || (c.status != 0 && c.status != BD_DATA))
			fail_msg("byte %zu: exit %d, signal %d: %s", i, c.status, c.signal, c.err);
		refused += c.status == BD_DATA;
		p[i] ^= (char)0x81;
	}
	assert_in_range(refused, 300, 600);
	bd_free(p);
}

static void patched(const char *from, const char *to, size_t len, const char *text)
{
	size_t n;
	char *p, *hit;

	write_file("a.gguf");
	p = bd_read_file("a.gguf", &n);
	hit = memmem(p, n, from, len);
	assert_non_null(hit);
	memcpy(hit, to, len);
	bd_write_file("bad.gguf", p, n);
	child_dies(open_path, "bad.gguf", BD_DATA, text);
	bd_free(p);
}

static void wrong_headers(void **state)
{
	(void)state;
	patched("GGUF", "GGML", 4, "not a GGUF file");
	patched("GGUF\3", "GGUF\1", 5, "version 1 is not supported");
	patched("GGUF\3\0\0\0", "GGUF\0\0\0\3", 8, "big-endian");
	patched("alignment\4\0\0\0\x20", "alignment\4\0\0\0\x21", 14, "not a power of two");
	patched("alignment\4\0\0\0\x20", "alignment\4\0\0\0\x40", 14, "but the preceding tensor requires");
	patched("flag\7\0\0\0\1", "flag\7\0\0\0\2", 9, "a bool with value 2");
	patched("flag\7", "flag\x0d", 5, "unknown type 13");
	patched("reals", "words", 5, "duplicate key words");
	patched("words\x09\0\0\0\x08", "words\x09\0\0\0\x09", 10, "itself an array");
	patched("words\x09\0\0\0\x08\0\0\0\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0",
	        "words\x09\0\0\0\x08\0\0\0\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\x80", 29, "are left");
	patched("ints\x09\0\0\0\5\0\0\0\3\0\0\0\0\0\0\0", "ints\x09\0\0\0\5\0\0\0\3\0\0\0\0\0\0\x80", 20,
	        "elements in the");
	patched("vector\1\0\0\0\5", "vector\5\0\0\0\5", 11, "5 dimensions");
	patched("vector\1\0\0\0\5", "vector\1\0\0\0\0", 11, "dimension 0 is 0");
	patched("TQ2_0\2\0\0\0\0\1", "TQ2_0\2\0\0\0\x80\1", 11, "cannot be divided into the blocks of 256");
	patched("Q8_0", "F16\0", 4, "NUL byte");
}

static void getters(void *key)
{
	struct bd_gguf *g = bd_gguf_open("a.gguf");

	bd_gguf_uint(g, key);
}

static void wrong_getters(void **state)
{
	(void)state;
	write_file("a.gguf");
	child_dies(getters, "absent", BD_DATA, "key absent is missing");
	child_dies(getters, "real", BD_DATA, "key real is not a non-negative integer");
	child_dies(getters, "words", BD_DATA, "key words is not a non-negative integer");
}

static void declare_bad(void *arg)
{
	(void)arg;
	bd_gguf_declare(bd_gguf_create("w.gguf"), "x", BD_GGML_I2_S, 192, 4);
}

static void finish_early(void *arg)
{
	struct bd_gguf_writer *w = bd_gguf_create("w.gguf");

	(void)arg;
	bd_gguf_declare(w, "x", BD_GGML_F32, 4, 0);
	bd_gguf_data(w, "12345678", 8);
	bd_gguf_finish(w);
}

static void wrong_writing(void **state)
{
	(void)state;
	child_dies(declare_bad, NULL, BD_DATA, "rows of 192 cannot be stored as I2_S");
	child_dies(finish_early, NULL, BD_SYS, "got 8 bytes of 16");
	assert_false(bd_exists("w.gguf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(shown, set_up, tear_down),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test_setup_teardown(layout, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_truncation, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_changed_byte, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(wrong_headers, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(wrong_getters, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(wrong_writing, set_up, tear_down),
	};

	bd_msg_tool("test_gguf");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
