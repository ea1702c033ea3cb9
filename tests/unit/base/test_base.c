/* Layer 0 without files: messages, memory, numbers, command lines, random numbers, JSON, digests, logs. */
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/num.h"
#include "base/opt.h"
#include "base/opt_identity.h"
#include "base/rng.h"
#include "base/word.h"
#include "child.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* ---- msg ---- */

static void note(void *text)
{
	fputs(text, stderr);
}

static void die_in_cleanup(void *unused)
{
	(void)unused;
	bd_die(BD_DATA, "died again");
}

static void die_with_cleanups(void *unused)
{
	(void)unused;
	bd_msg_tool("/usr/bin/bd-x");
	bd_msg_cleanup(note, "first.");
	bd_msg_cleanup(note, "removed.");
	bd_msg_cleanup(note, "last.");
	bd_msg_undo(note, "removed.");
	dup2(STDERR_FILENO, STDOUT_FILENO);
	printf("half a result"); /* must stay in the buffer */
	errno = ENOENT;
	bd_die(BD_SYS, "%s: cannot open:", "f");
}

static void exit_with_cleanups(void *unused)
{
	(void)unused;
	bd_msg_cleanup(note, "first.");
	bd_msg_cleanup(note, "last.");
	exit(0);
}

static void die_twice(void *unused)
{
	(void)unused;
	bd_msg_cleanup(note, "other.");
	bd_msg_cleanup(die_in_cleanup, NULL);
	bd_die(BD_SYS, "died");
}

static void die_long(void *unused)
{
	static char name[20000];

	(void)unused;
	memset(name, 'x', sizeof(name) - 1);
	errno = ENOENT;
	bd_die(BD_NO, "%s:", name);
}

static void test_msg(void **state)
{
	struct child c = child_run(die_with_cleanups, NULL);

	(void)state;
	assert_int_equal(c.status, BD_SYS);
	assert_string_equal(c.err, "last.first.bd-x: f: cannot open: No such file or directory\n");
	c = child_run(exit_with_cleanups, NULL);
	assert_int_equal(c.status, 0);
	assert_string_equal(c.err, "last.first.");
	child_dies(die_twice, NULL, BD_DATA, "died again");
	c = child_run(die_long, NULL);
	assert_int_equal(c.status, BD_NO);
	assert_int_equal(c.err[strlen(c.err) - 1], '\n');
}

/* ---- mem ---- */

static void multiply(void *unused)
{
	(void)unused;
	bd_alloc(SIZE_MAX / 2, 3);
}

static void allocate_all(void *unused)
{
	(void)unused;
	bd_alloc(SIZE_MAX / 4, 1);
}

static void take_too_much(void *unused)
{
	struct bd_arena a = {0};

	(void)unused;
	bd_arena_take(&a, 100, 1);
	bd_arena_place(&a, bd_zalloc(a.n, 1));
	bd_arena_take(&a, 101, 1);
}

static void test_mem(void **state)
{
	unsigned char *p = bd_zalloc(3, 5);

	(void)state;
	assert_int_equal((uintptr_t)p % 64, 0);
	for (int i = 0; i < 15; i++)
		assert_int_equal(p[i], 0);
	memset(p, 7, 15);
	p = bd_resize(p, 3, 1000, 5);
	assert_int_equal((uintptr_t)p % 64, 0);
	assert_int_equal(p[14], 7);
	p = bd_resize(p, 1000, 2, 5);
	assert_int_equal(p[9], 7);
	bd_free(p);
	bd_free(NULL);
	p = bd_alloc(0, 8);
	assert_non_null(p);
	bd_free(p);
	child_dies(multiply, NULL, BD_SYS, "out of memory");
	child_dies(allocate_all, NULL, BD_SYS, "out of memory");
}

static void test_buf(void **state)
{
	struct bd_buf b = {0};
	char *s;

	(void)state;
	bd_buf_add(&b, "ab\0c", 4);
	bd_buf_fmt(&b, "%d-%s", 42, "x");
	assert_int_equal(b.n, 8);
	assert_memory_equal(b.p, "ab\0c42-x", 9);
	for (int i = 0; i < 1000; i++)
		bd_buf_str(&b, "0123456789");
	assert_int_equal(b.n, 10008);
	assert_int_equal(b.p[10008], 0);
	assert_memory_equal(b.p + 9998, "0123456789", 10);
	bd_buf_clear(&b);
	assert_string_equal(b.p, "");
	bd_buf_free(&b);
	s = bd_sprintf("%s/%03d", "dir", 7);
	assert_string_equal(s, "dir/007");
	bd_free(s);
	s = bd_strndup("abcdef", 3);
	assert_string_equal(s, "abc");
	bd_free(s);
}

static void test_arena(void **state)
{
	struct bd_arena a = {0};
	float *x;
	char *y, *z;

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		x = bd_arena_take(&a, 33, sizeof(float));
		y = bd_arena_take(&a, 1, 1);
		z = bd_arena_take(&a, 0, 1);
		if (pass == 0) {
			assert_null(x);
			bd_arena_place(&a, bd_zalloc(a.n, 1));
		}
	}
	assert_int_equal((uintptr_t)x % 64, 0);
	assert_int_equal((uintptr_t)y % 64, 0);
	assert_true(y >= (char *)(x + 33) && z > y);
	for (int i = 0; i < 33; i++)
		assert_true(x[i] == 0);
	x[32] = 1;
	*y = 1;
	bd_free(bd_arena_leave(&a));
	assert_null(a.p);
	child_dies(take_too_much, NULL, BD_SYS, "arena");
}

/* ---- num ---- */

struct number {
	const char *text;
	double min, max, value;
};

static void parse_int(void *arg)
{
	const struct number *t = arg;

	bd_num_int(t->text, (int64_t)t->min, (int64_t)t->max, "--steps");
}

static void parse_real(void *arg)
{
	const struct number *t = arg;

	bd_num_real(t->text, t->min, t->max, "--lr");
}

static void test_num(void **state)
{
	static const struct number ints[] = {{"0", 0, 9, 0},       {"-5", -9, 9, -5},   {"+7", 0, 9, 7},
	                                     {"2k", 0, 1e6, 2000}, {"3M", 0, 1e9, 3e6}, {"4G", 0, 1e12, 4e9}};
	static const struct number reals[] = {{"1e-6", 0, 1, 1e-6}, {".5", 0, 1, .5}, {"-2", -3, 0, -2}};
	static struct number bad_ints[] = {{"", 0, 9, 0},
	                                   {" 1", 0, 9, 0},
	                                   {"1 ", 0, 9, 0},
	                                   {"1x", 0, 9, 0},
	                                   {"k", 0, 9, 0},
	                                   {"1kk", 0, 9, 0},
	                                   {"1.5", 0, 9, 0},
	                                   {"10", 0, 9, 0},
	                                   {"-1", 0, 9, 0},
	                                   {"9223372036854775808", 0, 0x1p62, 0},
	                                   {"9223372036854775807k", 0, 0x1p62, 0},
	                                   {"-9223372036854775807G", -0x1p63, 0, 0}};
	static struct number bad_reals[] = {{"", 0, 1, 0},      {"nan", 0, 1, 0},  {"inf", 0, 1, 0},
	                                    {"1e400", 0, 1, 0}, {"0.5x", 0, 1, 0}, {"-0.1", 0, 1, 0},
	                                    {" 1", 0, 1, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(ints) / sizeof(*ints); i++)
		assert_int_equal(bd_num_int(ints[i].text, (int64_t)ints[i].min, (int64_t)ints[i].max, "n"),
		                 (int64_t)ints[i].value);
	for (size_t i = 0; i < sizeof(reals) / sizeof(*reals); i++)
		assert_true(bd_num_real(reals[i].text, reals[i].min, reals[i].max, "n") == reals[i].value);
	for (size_t i = 0; i < sizeof(bad_ints) / sizeof(*bad_ints); i++)
		child_dies(parse_int, &bad_ints[i], BD_USAGE, "--steps: ");
	for (size_t i = 0; i < sizeof(bad_reals) / sizeof(*bad_reals); i++)
		child_dies(parse_real, &bad_reals[i], BD_USAGE, "--lr: ");
}

/* ---- opt ---- */

static struct {
	bool force;
	int64_t steps;
	double lr;
	const char *output;
	int type;
} o;

static const struct bd_opt opts[] = {
    {"output", 'o', BD_STR, &o.output, "FILE", "where to", 0, 0},
    {"steps", 0, BD_INT, &o.steps, "N", "how many", 1, 1000},
    {"lr", 0, BD_REAL, &o.lr, "X", "learning rate", 0, 1},
    {"type", 0, BD_ENUM, &o.type, "i2_s|tq1_0|tq2_0", "format", 0, 0},
    {"force", 'f', BD_FLAG, &o.force, NULL, "replace", 0, 0},
    {NULL, 0, BD_FLAG, NULL, NULL, NULL, 0, 0},
};

static const struct bd_tool tool = {"bd-x", "does x", "[options] MODEL -o FILE", opts, 1, 2};

/* Parses a command line given as words separated by '|'. */
static int parse(const char *line, struct bd_common *common)
{
	static char words[500], *argv[50];
	int argc = 0;

	o.force = false;
	o.steps = 10;
	o.lr = 1e-4;
	o.output = NULL;
	o.type = 1;
	strcpy(words, line);
	for (char *w = strtok(words, "|"); w != NULL; w = strtok(NULL, "|"))
		argv[argc++] = w;
	argv[argc] = NULL;
	return bd_opt_parse(&tool, common, argc, argv);
}

static void parse_line(void *line)
{
	struct bd_common common;

	dup2(STDERR_FILENO, STDOUT_FILENO); /* --help into the captured text */
	parse(line, &common);
}

static void test_opt(void **state)
{
	struct bd_common common;

	(void)state;
	assert_int_equal(parse("bd-x|m", &common), 1);
	assert_true(common.threads >= 1 && common.seed == 1 && !common.quiet);
	assert_false(bd_opt_given("steps"));
	assert_int_equal(parse("bd-x|m|-o|it's|--type=tq2_0|-fqt3|--steps|1k|--lr=.5|n", &common), 8);
	assert_true(o.force && common.quiet && o.lr == .5);
	assert_int_equal(common.threads, 3);
	assert_int_equal(o.steps, 1000);
	assert_int_equal(o.type, 2);
	assert_string_equal(o.output, "it's");
	assert_true(bd_opt_given("steps") && bd_opt_given("threads") && !bd_opt_given("seed"));
	assert_string_equal(bd_opt_command(), "bd-x m -o 'it'\\''s' --type=tq2_0 -fqt3 --steps 1k --lr=.5 n");
}

static void test_words(void **state)
{
	size_t n = 0;

	(void)state;
	assert_int_equal(bd_word_find("f32|bf16|f16", "bf16"), 1);
	assert_int_equal(bd_word_find("f32|bf16|f16", "f16"), 2);
	assert_int_equal(bd_word_find("f32|bf16|f16", "f"), -1);
	assert_int_equal(bd_word_find("f32|bf16|f16", "f32|bf16"), -1);
	assert_string_equal(bd_word_at("a|bc|", 1, &n), "bc|");
	assert_int_equal(n, 2);
	assert_non_null(bd_word_at("a|bc|", 2, &n));
	assert_int_equal(n, 0);
	assert_null(bd_word_at("a|bc", 2, &n));
	assert_null(bd_word_at("a|bc", -1, &n));
}

static void test_opt_identity(void **state)
{
	static struct bd_list list = {{"x", "y=1\n"}, 2};
	static const struct bd_opt rows[] = {
	    {"output", 'o', BD_STR | BD_APART, &o.output, "FILE", "where to", 0, 0},
	    {"steps", 0, BD_INT, &o.steps, "N", "how many", 1, 1000},
	    {"lr", 0, BD_REAL, &o.lr, "X", "learning rate", 0, 1},
	    {"type", 0, BD_ENUM, &o.type, "i2_s|tq1_0|tq2_0", "format", 0, 0},
	    {"force", 'f', BD_FLAG, &o.force, NULL, "replace", 0, 0},
	    {"name", 'n', BD_STR, &o.output, "NAME", "name", 0, 0},
	    {"stop", 0, BD_LIST, &list, "TEXT", "stop", 0, 0},
	    {NULL, 0, BD_FLAG, NULL, NULL, NULL, 0, 0},
	};
	struct bd_common common;
	struct bd_buf b = {0};

	(void)state;
	parse("bd-x|m|--lr|.1", &common);
	bd_opt_identity(&b, rows);
	assert_string_equal(
	    b.p, "steps=10\nlr=0.10000000000000001\ntype=tq1_0\nforce=0\nname=\nstop=1:x4:y=1\n\n");
	bd_buf_clear(&b);
	o.output = "";
	bd_opt_identity(&b, rows);
	assert_non_null(strstr(b.p, "name=0:\n")); /* not the same as none */
	bd_buf_free(&b);
}

static void test_opt_refuses(void **state)
{
	static const char *const cases[][2] = {
	    {"bd-x|m|--nonsense", "--nonsense: unknown"},
	    {"bd-x|m|-Z", "-Z: unknown"},
	    {"bd-x|m|-v", "-v: unknown"},
	    {"bd-x|m|--verbose", "--verbose: unknown"},
	    {"bd-x|m|--s=1", "--s=1: unknown or ambiguous"},
	    {"bd-x|m|--force=1", "--force takes no argument"},
	    {"bd-x|m|--steps", "--steps needs an argument (N)"},
	    {"bd-x|m|-o", "--output needs an argument (FILE)"},
	    {"bd-x|m|--steps|0", "--steps: 0 is out of range; 1 to 1000"},
	    {"bd-x|m|--steps|2k", "--steps: 2k is out of range"},
	    {"bd-x|m|--lr|2", "--lr: 2 is out of range; 0 to 1"},
	    {"bd-x|m|--type|q8", "\"q8\" is unknown; choose one of i2_s|tq1_0|tq2_0"},
	    {"bd-x|m|--type|tq", "choose one of"},
	    {"bd-x|m|-t|0", "--threads: "},
	    {"bd-x", "operand missing; usage: bd-x [options] MODEL -o FILE"},
	    {"bd-x|a|b|c", "c: one operand too many"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		child_dies(parse_line, (void *)cases[i][0], BD_USAGE, cases[i][1]);
}

static void test_help(void **state)
{
	(void)state;
	child_dies(parse_line, "bd-x|--version", 0, "bd-x " BD_VERSION "\n");
	child_dies(parse_line, "bd-x|-h", 0, "Usage: bd-x [options] MODEL -o FILE\n\ndoes x\n\n");
	child_dies(parse_line, "bd-x|-h", 0, "  -o, --output FILE           where to\n");
	child_dies(parse_line, "bd-x|-h", 0, "      --lr X                  learning rate [0.0001]\n");
	child_dies(parse_line, "bd-x|-h", 0, "      --type i2_s|tq1_0|tq2_0\n");
	child_dies(parse_line, "bd-x|-h", 0, "                              format [tq1_0]\n");
	child_dies(parse_line, "bd-x|-h", 0,
	           "  -s, --seed N                seed for everything random [1]\n");
}

/* ---- rng ---- */

static void test_rng_moments(void **state)
{
	enum { N = 200000 };
	double sum = 0, square = 0, fourth = 0, lag = 0, last = 0, u = 0;

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		double x = bd_rng_normal(1, 2, i);

		sum += x;
		square += x * x;
		fourth += x * x * x * x;
		lag += x * last;
		last = x;
		u += bd_rng_uniform(1, 3, i);
	}
	/* five standard errors each: 1, sqrt 2, sqrt 96, 1 and sqrt 1/12 over sqrt N */
	assert_true(fabs(sum / N) < 5 / sqrt(N));
	assert_true(fabs(square / N - 1) < 5 * sqrt(2. / N));
	assert_true(fabs(fourth / N - 3) < 5 * sqrt(96. / N));
	assert_true(fabs(lag / N) < 5 / sqrt(N));
	assert_true(fabs(u / N - .5) < 5 * sqrt(1. / 12 / N));
}

/* The quantiles are the inverse of the distribution, and a piece of a row is that piece. */
static void test_rng_normals(void **state)
{
	enum { N = 4000 };
	float *q = bd_rng_quantiles(), all[N], piece[N];
	double sum = 0, square = 0;

	(void)state;
	for (size_t i = 0; i < 65536; i++) {
		double phi = erfc(-(double)q[i] / sqrt(2)) / 2;

		assert_true(fabs(phi - ((double)i + .5) / 65536) < 1e-7);
		assert_true(i == 0 || q[i] > q[i - 1]);
	}
	bd_rng_normals(all, N, 3, q, 5, 2, 0);
	for (size_t i = 0; i < N; i++) {
		sum += (double)all[i];
		square += (double)all[i] * (double)all[i];
	}
	assert_true(fabs(sum / N) < 5 * 3 / sqrt(N));
	assert_true(fabs(square / N / 9 - 1) < 5 * sqrt(2. / N));
	for (size_t from = 0; from < 9; from++) {
		bd_rng_normals(piece, N - 20, 3, q, 5, 2, from);
		assert_memory_equal(piece, all + from, (N - 20) * sizeof(*all));
	}
	bd_free(q);
}

/* Chi-squared of the bytes of consecutive counters, of consecutive streams and of consecutive seeds. */
static void test_rng_bytes(void **state)
{
	enum { N = 1 << 16 };

	(void)state;
	for (int way = 0; way < 3; way++)
		for (int byte = 0; byte < 8; byte++) {
			size_t count[256] = {0};
			double chi = 0, expected = N / 256.;

			for (uint64_t i = 0; i < N; i++)
				count[bd_rng_u64(way == 0 ? i : 7, way == 1 ? i : 8, way == 2 ? i : 9) >>
				          (8 * byte) &
				      255]++;
			for (int v = 0; v < 256; v++)
				chi +=
				    ((double)count[v] - expected) * ((double)count[v] - expected) / expected;
			/* 255 degrees of freedom: mean 255, standard deviation sqrt(510) = 22.6 */
			assert_true(chi > 255 - 5 * 22.6 && chi < 255 + 5 * 22.6);
		}
}

/* A flipped bit of any of the three inputs flips half of the output. */
static void test_rng_avalanche(void **state)
{
	enum { N = 200 };

	(void)state;
	for (int bit = 0; bit < 3 * 64; bit++) {
		uint64_t one = (uint64_t)1 << bit % 64, flips = 0;

		for (uint64_t i = 0; i < N; i++)
			flips += (uint64_t)__builtin_popcountll(
			    bd_rng_u64(1, 2, i) ^ bd_rng_u64(bit < 64 ? 1 ^ one : 1,
			                                     bit >= 64 && bit < 128 ? 2 ^ one : 2,
			                                     bit >= 128 ? i ^ one : i));
		assert_true(fabs((double)flips - 32. * N) < 6 * sqrt(16. * N));
	}
}

static void below_zero(void *unused)
{
	(void)unused;
	bd_rng_below(1, 2, 3, 0);
}

static void test_rng_below(void **state)
{
	enum { N = 60000 };
	size_t count[6] = {0}, orders[6] = {0};
	uint64_t p[100], seen[100] = {0};

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		uint64_t v = bd_rng_below(5, 6, i, 6);

		assert_true(v < 6);
		count[v]++;
		bd_rng_permutation(i, 0, 3, p); /* 6 orders of 3 things, numbered by their first two */
		orders[p[0] * 2 + (p[1] > p[2])]++;
	}
	for (int v = 0; v < 6; v++) {
		assert_true(fabs((double)count[v] - N / 6.) < 5 * sqrt(N * 5. / 36));
		assert_true(fabs((double)orders[v] - N / 6.) < 5 * sqrt(N * 5. / 36));
	}
	assert_int_equal(bd_rng_below(5, 6, 7, 1), 0);
	/* 2^64 / n = 4/3: without rejection a third of the values would come twice as often */
	memset(count, 0, sizeof(count));
	for (uint64_t i = 0; i < N; i++)
		count[bd_rng_below(5, 6, i, (uint64_t)3 << 62) % 3]++;
	for (int v = 0; v < 3; v++)
		assert_true(fabs((double)count[v] - N / 3.) < 5 * sqrt(N * 2. / 9));
	bd_rng_permutation(1, 2, 100, p);
	for (int i = 0; i < 100; i++)
		seen[p[i]]++;
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
	bd_rng_permutation(1, 2, 0, p);
	child_dies(below_zero, NULL, BD_SYS, "below 0");
}

/* Checkpoints depend on these values: they must never change. */
static void test_rng_values(void **state)
{
	(void)state;
	assert_int_equal(bd_rng_u64(0, 0, 0), 0x195ad44b598ff026);
	assert_int_equal(bd_rng_u64(1, 2, 3), 0x4753cbe05f804744);
}

/* ---- json ---- */

static void parse_json(void *text)
{
	bd_json_parse(text, strlen(text), "f.json");
}

static void get_wrong(void *key)
{
	static const char text[] = "{\"s\": \"x\", \"n\": 5, \"r\": 1.5, \"b\": true}";
	json_t *j = bd_json_parse(text, strlen(text), "f.json");

	switch (*(char *)key) {
	case 's':
		bd_json_int(j, "s", 0, 0, 9, "f.json");
		break;
	case 'n':
		bd_json_int(j, "n", 0, 0, 4, "f.json");
		break;
	case 'r':
		bd_json_int(j, "r", 0, 0, 9, "f.json");
		break;
	case 'b':
		bd_json_real(j, "b", 0, "f.json");
		break;
	case 'N':
		bd_json_bool(j, "n", 0, "f.json");
		break;
	case 'B':
		bd_json_str(j, "b", NULL, "f.json");
		break;
	}
}

static void test_json(void **state)
{
	static const char text[] =
	    "{\"z\": 3, \"a\": [1e-06, 0.1, -2.5], \"n\": null, \"t\": true, \"s\": \"\\u0000\xc3\xa9\"}";
	json_t *j = bd_json_parse(text, strlen(text), "f.json");
	char *s = bd_json_text(j, false);

	(void)state;
	assert_int_equal(bd_json_int(j, "z", 0, 0, 3, "f"), 3);
	assert_int_equal(bd_json_int(j, "missing", -7, 0, 3, "f"), -7);
	assert_int_equal(bd_json_int(j, "n", -7, 0, 3, "f"), -7);
	assert_true(bd_json_real(j, "z", 0, "f") == 3);
	assert_true(bd_json_bool(j, "t", false, "f"));
	assert_string_equal(bd_json_str(j, "none", "def", "f"), "def");
	assert_int_equal(json_string_length(bd_json_get(j, "s")), 3);
	assert_null(bd_json_get(j, "n"));
	assert_string_equal(
	    s, "{\"z\":3,\"a\":[1e-6,0.1,-2.5],\"n\":null,\"t\":true,\"s\":\"\\u0000\xc3\xa9\"}");
	bd_free(s);
	json_decref(j);
}

/* A written number is read back as the same number. */
static void test_json_numbers(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		double v = bd_rng_normal(1, 1, i);
		json_t *j = json_pack("[f]", v);
		char *s = bd_json_text(j, false);

		json_decref(j);
		j = bd_json_parse(s, strlen(s), "f");
		assert_true(json_real_value(json_array_get(j, 0)) == v);
		json_decref(j);
		bd_free(s);
	}
}

static void test_json_refuses(void **state)
{
	(void)state;
	child_dies(parse_json, "{\n\"a\": 1,\n}", BD_DATA, "f.json: line 3, column 1: not valid JSON");
	child_dies(parse_json, "{\"a\": 1, \"a\": 2}", BD_DATA, "duplicate");
	child_dies(parse_json, "{} x", BD_DATA, "f.json: line 1");
	child_dies(parse_json, "", BD_DATA, "f.json: line 1");
	child_dies(get_wrong, "s", BD_DATA, "f.json: \"s\" is not a whole number");
	child_dies(get_wrong, "n", BD_DATA, "f.json: \"n\" is 5; it must be 0 to 4");
	child_dies(get_wrong, "r", BD_DATA, "f.json: \"r\" is not a whole number");
	child_dies(get_wrong, "b", BD_DATA, "f.json: \"b\" is not a number");
	child_dies(get_wrong, "N", BD_DATA, "f.json: \"n\" is not true or false");
	child_dies(get_wrong, "B", BD_DATA, "f.json: \"b\" is not a string");
}

/* ---- hash ---- */

static void test_hash(void **state)
{
	struct bd_hash *h = bd_hash_new();
	unsigned char data[5000];
	char hex[BD_HEX];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	/* the published values for no input */
	assert_int_equal(bd_hash64(NULL, 0), 0x2d06800538d394c2);
	assert_int_equal(bd_hash_value(h), 0x2d06800538d394c2);
	bd_hash128_hex("", 0, hex);
	assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
	for (size_t i = 0, n; i < sizeof(data); i += n) {
		n = 1 + i % 97 < sizeof(data) - i ? 1 + i % 97 : sizeof(data) - i;
		bd_hash_add(h, data + i, n);
		assert_int_equal(bd_hash_value(h), bd_hash64(data, i + n));
	}
	bd_hash_free(h);
	bd_hash_free(NULL);
}

/* ---- log ---- */

static void log_to_full(void *unused)
{
	struct bd_log *l = bd_log_open("/dev/full", true);

	(void)unused;
	bd_log_json(l, json_pack("{s:i}", "step", 1));
}

static void test_log(void **state)
{
	char path[] = "/tmp/bd-test-log.XXXXXX", text[100] = "";
	int fd = mkstemp(path);
	struct bd_log *l;

	(void)state;
	assert_true(fd >= 0);
	for (int i = 1; i <= 2; i++) {
		l = bd_log_open(path, true);
		bd_log_json(l, json_pack("{s:i,s:f}", "step", i, "loss", 0.5));
		bd_log_progress(l, i, 2, "loss 0.5");
		bd_log_close(l);
	}
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.5}\n");
	l = bd_log_open(path, true);
	assert_int_equal(bd_log_bytes(l), 44);
	bd_log_cut(l, 44);
	bd_log_cut(l, 22);
	bd_log_json(l, json_pack("{s:i}", "step", 3));
	assert_int_equal(bd_log_bytes(l), 33);
	bd_log_close(l);
	assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 33);
	assert_memory_equal(text, "{\"step\":1,\"loss\":0.5}\n{\"step\":3}\n", 33);
	close(fd);
	unlink(path);
	l = bd_log_open(NULL, true);
	bd_log_json(l, json_pack("{}"));
	bd_log_close(l);
	bd_log_close(NULL);
	child_dies(log_to_full, NULL, BD_SYS, "/dev/full: cannot write: No space left");
	assert_true(bd_rss_mib() > 0.5 && bd_rss_mib() < 1e6);
	assert_true(bd_seconds() <= bd_seconds());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_msg),           cmocka_unit_test(test_mem),
	    cmocka_unit_test(test_buf),           cmocka_unit_test(test_arena),
	    cmocka_unit_test(test_num),           cmocka_unit_test(test_opt),
	    cmocka_unit_test(test_opt_refuses),   cmocka_unit_test(test_help),
	    cmocka_unit_test(test_rng_moments),   cmocka_unit_test(test_rng_bytes),
	    cmocka_unit_test(test_rng_avalanche), cmocka_unit_test(test_rng_below),
	    cmocka_unit_test(test_rng_normals),   cmocka_unit_test(test_rng_values),
	    cmocka_unit_test(test_json),          cmocka_unit_test(test_json_numbers),
	    cmocka_unit_test(test_json_refuses),  cmocka_unit_test(test_hash),
	    cmocka_unit_test(test_log),           cmocka_unit_test(test_words),
	    cmocka_unit_test(test_opt_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
