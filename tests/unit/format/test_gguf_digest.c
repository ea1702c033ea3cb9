/* Digests of GGUF files: nothing of what they cover changes unnoticed; without them, codes are still
 * codes. */
#include "base/digest.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/gguf_digest.h"
#include "format/gguf_ternary.h"

#include <stdlib.h>

static char dir[] = "/tmp/bd-test-digest.XXXXXX";
static uint8_t codes[64 + BD_TAIL_BYTES];
static const float table[40] = {1, 2, 3};

static int set_up(void **state)
{
	static const float scale = 0.5f;

	(void)state;
	for (size_t i = 0; i < 64; i++)
		codes[i] = (uint8_t)(i % 3 << 6 | 1 << 4 | 2 << 2 | i / 3 % 3);
	memcpy(codes + 64, &scale, sizeof(scale));
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

/* A file of two tensors; header, tensors: which digests it has. */
static void write_file(const char *path, bool header, bool tensors)
{
	struct bd_gguf_writer *w = bd_gguf_create(path);
	char hex[2][17];
	const char *list[] = {hex[0], hex[1]};

	snprintf(hex[0], sizeof(hex[0]), "%016llx", (unsigned long long)bd_hash64(codes, sizeof(codes)));
	snprintf(hex[1], sizeof(hex[1]), "%016llx", (unsigned long long)bd_hash64(table, sizeof(table)));
	bd_gguf_put_str(w, "general.architecture", "test");
	bd_gguf_put_u32(w, "number", 7);
	if (tensors)
		bd_gguf_put_strs(w, BD_GGUF_TENSOR_DIGESTS, list, 2);
	if (header)
		bd_gguf_put_digest(w, BD_GGUF_DIGEST);
	bd_gguf_declare(w, "codes", BD_GGML_I2_S, 128, 2);
	bd_gguf_declare(w, "table", BD_GGML_F32, 40, 0);
	bd_gguf_data(w, codes, sizeof(codes));
	bd_gguf_data(w, table, sizeof(table));
	bd_gguf_finish(w);
}

static void read_all(void *path)
{
	struct bd_gguf *g = bd_gguf_open(path);
	struct bd_par *par = bd_par_new(2);

	bd_gguf_verify(g, par);
	bd_par_free(par);
	bd_gguf_close(g);
}

static size_t damaged(const char *path)
{
	struct bd_gguf *g = bd_gguf_open(path);
	const struct bd_gguf_tensor *first = NULL;
	size_t n = bd_gguf_damaged(g, NULL, &first);

	if (n > 0)
		assert_string_equal(first->name, "codes");
	bd_gguf_close(g);
	return n;
}

/* Without waiting for a disk. */
static void put(const char *path, const char *p, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* A bit of every byte. Only 3 as version 2, which is read as 3 is, goes through, and what lies between the
 * tensors. */
static void every_byte(void **state)
{
	struct bd_gguf *g;
	char *p;
	size_t n, between[2], passed = 0;

	(void)state;
	write_file("a.gguf", true, true);
	read_all("a.gguf");
	g = bd_gguf_open("a.gguf");
	p = bd_read_file("a.gguf", &n);
	between[0] = (size_t)((char *)memmem(p, n, codes, sizeof(codes)) - p);
	between[1] = (size_t)((char *)memmem(p, n, table, sizeof(table)) - p);
	assert_int_equal(between[1] + sizeof(table), n);
	for (size_t i = 0; i < n; i++) {
		char was = p[i];

		p[i] ^= (char)(1 << (i + 4) % 8);
		put("bad.gguf", p, n);
		struct child c = child_run(read_all, "bad.gguf");
		assert_int_equal(c.signal, 0);
		if (c.status == BD_OK) {
			assert_true(i == 4 || i < between[0]);
			passed++;
		} else {
			assert_int_equal(c.status, BD_DATA);
		}
		p[i] = was;
	}
	assert_in_range(passed, 1, 1 + 31); /* at most the padding before the tensors */
	bd_gguf_close(g);
	bd_free(p);
}

static void counted(void **state)
{
	size_t n, at;
	char *p;

	(void)state;
	write_file("a.gguf", true, true);
	assert_int_equal(damaged("a.gguf"), 0);
	p = bd_read_file("a.gguf", &n);
	at = (size_t)((char *)memmem(p, n, codes, sizeof(codes)) - p);
	p[at + sizeof(codes) - 1] ^= 1;
	bd_write_file("bad.gguf", p, n);
	assert_int_equal(damaged("bad.gguf"), 1);
	child_dies(read_all, "bad.gguf", BD_DATA, "bad.gguf: tensor codes: damaged");
	p[n - 1] ^= 1;
	bd_write_file("bad.gguf", p, n);
	assert_int_equal(damaged("bad.gguf"), 2);
	bd_verify(false);
	read_all("bad.gguf");
	bd_verify(true);
	bd_free(p);
}

/* The digest of an old file's header, and of a stranger's file. */
static void fewer(void **state)
{
	struct bd_gguf *g;
	char *p, *key;
	size_t n;

	(void)state;
	write_file("old.gguf", false, true);
	read_all("old.gguf");
	g = bd_gguf_open("old.gguf");
	assert_false(bd_gguf_digested(g));
	assert_string_equal(bd_gguf_identity(g), "");
	bd_gguf_close(g);
	write_file("a.gguf", true, true);
	g = bd_gguf_open("a.gguf");
	assert_true(bd_gguf_digested(g));
	assert_int_equal(strlen(bd_gguf_identity(g)), 16);
	bd_verify(false);
	assert_string_equal(bd_gguf_identity(g), "");
	bd_verify(true);
	bd_gguf_close(g);
	p = bd_read_file("a.gguf", &n);
	key = memmem(p, n, "bd.digest", 9);
	memcpy(key, "xd.digest", 9); /* a file that has no digest of its header looks otherwise */
	bd_write_file("bad.gguf", p, n);
	child_dies(read_all, "bad.gguf", BD_DATA, "bad.gguf: its keys are not what was written");
	bd_free(p);
}

/* Code 3 at every place of a byte, with digests that it was stored with, and without. */
static void code_3(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		for (size_t at = 5; at < 64; at += 29) {
			uint8_t was = codes[at];

			codes[at] |= (uint8_t)(3 << 2 * i);
			write_file("bad.gguf", false, i % 2 == 0);
			child_dies(read_all, "bad.gguf", BD_DATA,
			           "bad.gguf: tensor codes: has a code other than -1, 0 and 1");
			bd_verify(false); /* not a matter of digests */
			child_dies(read_all, "bad.gguf", BD_DATA, "tensor codes: has a code other than");
			bd_verify(true);
			codes[at] = was;
		}
	for (size_t n = 0; n < 40; n++) { /* ends of any length */
		uint8_t c[40] = {0};

		memset(c, 0x66, n);
		assert_true(bd_i2_s_valid(c, n));
		for (size_t i = 0; i < n; i++) {
			c[i] = 0xc0;
			assert_false(bd_i2_s_valid(c, n));
			assert_true(bd_i2_s_valid(c, i));
			c[i] = 0x66;
		}
	}
	write_file("good.gguf", false, false);
	read_all("good.gguf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_byte),
	    cmocka_unit_test(counted),
	    cmocka_unit_test(fewer),
	    cmocka_unit_test(code_3),
	};

	bd_msg_tool("test_gguf_digest");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
