/* safetensors: what is read is what was written, and a header that lies about anything is refused. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/safetensors.h"

#include <math.h>
#include <stdlib.h>

static char dir[] = "/tmp/bd-test-st.XXXXXX";

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

/* A file of this header and n data bytes 0, 1, 2, ... */
static void craft(const char *path, const char *header, size_t n)
{
	struct bd_buf b = {0};
	uint64_t len = strlen(header);

	bd_buf_add(&b, &len, 8);
	bd_buf_str(&b, header);
	for (size_t i = 0; i < n; i++)
		bd_buf_add(&b, &(char){(char)i}, 1);
	bd_write_file(path, b.p, b.n);
	bd_buf_free(&b);
}

static void open_path(void *path)
{
	bd_st_close(bd_st_open(path));
}

static void writer_round_trip(void **state)
{
	static const size_t shape[] = {3, 2, 1, 5};
	json_t *meta = json_pack("{s:s}", "who", "test");
	struct bd_st_writer *w = bd_st_create("a.safetensors", meta);
	unsigned char data[30 * 8 * BD_DTYPES];
	uint64_t len;
	size_t n, at = 0;
	char *p;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	for (int t = 0; t < BD_DTYPES; t++)
		bd_st_declare(w, bd_dtype_name((enum bd_dtype)t), (enum bd_dtype)t, t % 5, shape);
	struct bd_st *s;
	size_t total = 0;
	for (int t = 0; t < BD_DTYPES; t++) {
		static const size_t count[] = {1, 3, 6, 6, 30};

		total += count[t % 5] * bd_dtype_size((enum bd_dtype)t);
	}
	for (size_t i = 0; i < total; i += 11) /* in pieces that end anywhere */
		bd_st_data(w, data + i, total - i < 11 ? total - i : 11);
	bd_st_finish(w);
	json_decref(meta);

	s = bd_st_open("a.safetensors");
	assert_int_equal(bd_st_count(s), BD_DTYPES);
	assert_string_equal(json_string_value(json_object_get(bd_st_metadata(s), "format")), "pt");
	assert_string_equal(json_string_value(json_object_get(bd_st_metadata(s), "who")), "test");
	for (int t = 0; t < BD_DTYPES; t++) {
		const struct bd_st_tensor *x = bd_st_find(s, bd_dtype_name((enum bd_dtype)t));

		assert_non_null(x);
		assert_int_equal(x->dtype, t);
		assert_int_equal(x->ndim, t % 5);
		assert_memory_equal(x->shape, shape, (size_t)x->ndim * sizeof(*shape));
		assert_memory_equal(x->data, data + at, x->bytes);
		at += x->bytes;
	}
	assert_null(bd_st_find(s, "F33"));
	bd_st_close(s);
	p = bd_read_file("a.safetensors", &n);
	memcpy(&len, p, 8);
	assert_int_equal(len % 8, 0);
	assert_int_equal(8 + len + total, n);
	bd_free(p);
}

static void finish_early(void *arg)
{
	struct bd_st_writer *w = bd_st_create(arg, NULL);
	size_t shape = 4;

	bd_st_declare(w, "x", BD_F32, 1, &shape);
	bd_st_data(w, "12345678", 8);
	bd_st_finish(w);
}

static void missing_data_is_refused(void **state)
{
	(void)state;
	child_dies(finish_early, "short.safetensors", BD_SYS,
	           "16 bytes of tensors were declared, 8 supplied");
	assert_false(bd_exists("short.safetensors"));
}

/* Halves at an odd address, values known. */
static void conversion(void **state)
{
	static const char header[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]},"
	                             "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[8,16]},"
	                             "\"f\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}} ";
	static const uint16_t h[4] = {0x3c00, 0xc000, 0x0001, 0x7c00},
	                      b[4] = {0x3f80, 0xc000, 0x4049, 0xff80};
	static const float want_h[4] = {1, -2, 0x1p-24f, INFINITY}, want_b[4] = {1, -2, 3.140625f, -INFINITY};
	static const float f[2] = {0.1f, -3e38f};
	struct bd_buf file = {0};
	uint64_t len = sizeof(header) - 1;
	float out[4];

	(void)state;
	assert_int_equal(len % 2, 1);
	bd_buf_add(&file, &len, 8);
	bd_buf_str(&file, header);
	bd_buf_add(&file, h, 8);
	bd_buf_add(&file, b, 8);
	bd_buf_add(&file, f, 8);
	bd_write_file("c.safetensors", file.p, file.n);
	struct bd_st *s = bd_st_open("c.safetensors");
	bd_st_f32(bd_st_find(s, "h"), 0, 4, out);
	assert_memory_equal(out, want_h, sizeof(out));
	bd_st_f32(bd_st_find(s, "b"), 0, 4, out);
	assert_memory_equal(out, want_b, sizeof(out));
	bd_st_f32(bd_st_find(s, "b"), 2, 1, out);
	assert_true(out[0] == want_b[2]);
	bd_st_f32(bd_st_find(s, "f"), 0, 2, out);
	assert_memory_equal(out, f, sizeof(f));
	bd_st_close(s);
	bd_buf_free(&file);
}

/* One tensor x of F32 [2] in 8 bytes is right; each of these is not. */
static void hostile_headers(void **state)
{
	static const struct {
		const char *header;
		size_t data;
		const char *text;
	} bad[] = {
#define X(dtype, shape, offsets)                                                                             \
	"{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
	    {X("\"F32\"", "[2]", "[0,8]"), 7, "lie outside the file's 7 data bytes"},
	    {X("\"F32\"", "[2]", "[0,8]"), 9, "end at data byte 8, but the file at 9"},
	    {X("\"F32\"", "[2]", "[8,0]"), 8, "lie outside"},
	    {X("\"F32\"", "[2]", "[0,4]"), 8, "do not match its shape"},
	    {X("\"F32\"", "[2]", "[0]"), 8, "two data_offsets"},
	    {X("\"F32\"", "[2]", "[-1,7]"), 8, "not a non-negative integer"},
	    {X("\"F32\"", "[2]", "[1,9]"), 9, "preceded by a gap"},
	    {X("\"F32\"", "[2]", "[0,18446744073709551616]"), 8, "not valid JSON"},
	    {X("\"F32\"", "[2]", "[0,9223372036854775807]"), 8, "lie outside"},
	    {X("\"F32\"", "[4294967296,4294967296]", "[0,8]"), 8, "overflows"},
	    {X("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "do not match its shape"},
	    {X("\"F32\"", "[1,1,1,1,2]", "[0,8]"), 8, "5 dimensions"},
	    {X("\"F32\"", "[2.0]", "[0,8]"), 8, "not a non-negative integer"},
	    {X("\"F8_E4M3\"", "[8]", "[0,8]"), 8, "F8_E4M3 is not supported"},
	    {X("32", "[2]", "[0,8]"), 8, "dtype is not a string"},
	    {X("\"F32\"", "2", "[0,8]"), 8, "needs dtype, shape"},
	    {"{\"x\":3}", 8, "needs dtype, shape"},
	    {"{\"x\":{}}", 0, "needs dtype, shape"},
	    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__.a is not a string"},
	    {"{\"__metadata__\":7}", 0, "__metadata__ is not an object"},
	    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
	     "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
	     7, "overlaps its neighbour"},
	    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
	     "\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
	     8, "duplicate"},
	    {"[1,2]", 0, "not a safetensors file"},
	    {"{\"x\":", 0, "not valid JSON"},
	};

	(void)state;
	craft("good.safetensors", X("\"F32\"", "[2]", "[0,8]"), 8);
	assert_int_equal(child_run(open_path, "good.safetensors").status, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		craft("bad.safetensors", bad[i].header, bad[i].data);
		child_dies(open_path, "bad.safetensors", BD_DATA, bad[i].text);
	}
	craft("empty.safetensors",
	      "{\"e\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
	      "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
	      4);
	assert_int_equal(child_run(open_path, "empty.safetensors").status, 0);
}

static void every_truncation(void **state)
{
	size_t n;
	char *p;

	(void)state;
	craft("a.safetensors", X("\"F32\"", "[2]", "[0,8]"), 8);
	p = bd_read_file("a.safetensors", &n);
	for (size_t i = 0; i < n; i++) {
		bd_write_file("bad.safetensors", p, i);
		child_dies(open_path, "bad.safetensors", BD_DATA, "bad.safetensors: ");
	}
	memset(p, 0xff, 8); /* a header of 2^64 - 1 bytes */
	bd_write_file("bad.safetensors", p, n);
	child_dies(open_path, "bad.safetensors", BD_DATA, "no safetensors header fits");
	bd_free(p);
}

#define INDEX "model.safetensors.index.json"

static void index_says(const char *map)
{
	char *text = bd_sprintf("{\"metadata\":{\"total_size\":12},\"weight_map\":%s}", map);

	bd_write_file(INDEX, text, strlen(text));
	bd_free(text);
}

static void shards(void **state)
{
	static const struct {
		const char *map, *text;
	} bad[] = {
	    {"{}", "missing or empty"},
	    {"{\"x\":\"../one.safetensors\"}", "a shard must be the name of a file"},
	    {"{\"x\":\"/etc/passwd\"}", "a shard must be the name of a file"},
	    {"{\"x\":\"..\"}", "a shard must be the name of a file"},
	    {"{\"x\":\"\"}", "a shard must be the name of a file"},
	    {"{\"x\":4}", "a shard must be the name of a file"},
	    {"{\"x\":\"none.safetensors\"}", "none of the files that it names is there"},
	    {"{\"x\":\"one.safetensors\",\"y\":\"copy.safetensors\"}", "stored twice"},
	};

	(void)state;
	craft("one.safetensors", X("\"F32\"", "[2]", "[0,8]"), 8);
	craft("copy.safetensors", X("\"F32\"", "[2]", "[0,8]"), 8);
	craft("two.safetensors", "{\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4);
	index_says("{\"x\":\"one.safetensors\",\"y\":\"two.safetensors\"}");
	for (int i = 0; i < 2; i++) {
		struct bd_st *s = bd_st_open(i == 0 ? "." : INDEX);

		assert_int_equal(bd_st_count(s), 2);
		assert_int_equal(bd_st_find(s, "x")->bytes, 8);
		assert_memory_equal(bd_st_find(s, "y")->data, "\0\1\2\3", 4);
		assert_non_null(strstr(bd_st_find(s, "y")->file, "two.safetensors"));
		bd_st_close(s);
	}
	/* what is absent is missed by whoever needs it */
	index_says("{\"x\":\"one.safetensors\",\"z\":\"one.safetensors\",\"mtp\":\"mtp.safetensors\"}");
	struct bd_st *s = bd_st_open(".");
	static const char *const lost[][2] = {
	    {"z", "the index names one.safetensors, which does not have it"},
	    {"mtp", "the index names mtp.safetensors, which is absent; download it"}};
	for (size_t i = 0; i < 2; i++) {
		char *why = bd_st_lost(s, lost[i][0]);

		assert_null(bd_st_find(s, lost[i][0]));
		assert_string_equal(why, lost[i][1]);
		bd_free(why);
	}
	assert_null(bd_st_lost(s, "w"));
	bd_st_close(s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		index_says(bad[i].map);
		child_dies(open_path, ".", BD_DATA, bad[i].text);
	}
}

static void directories(void **state)
{
	(void)state;
	child_dies(open_path, ".", BD_DATA, "contains neither model.safetensors nor");
	bd_write_file("pytorch_model.bin", "x", 1);
	child_dies(open_path, ".", BD_DATA, "convert it to safetensors");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(writer_round_trip, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(missing_data_is_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(conversion, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hostile_headers, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_truncation, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(shards, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(directories, set_up, tear_down),
	};

	bd_msg_tool("test_safetensors");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
