/* bds streams: what is read is what was written; all damage is detected and reported with its place. */
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "data/stream.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { VOCAB = 50, TOKENS = 7, WIDTH = 6 };

static char dir[] = "/tmp/bd-test-stream.XXXXXX";

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

/* ---- a stream to write, and what it must give back ---- */

enum kind { EXAMPLES, FULL, TOP_K, STATES_ONLY, SAMPLE };

static struct bd_stream_head head_of(enum kind kind)
{
	struct bd_stream_head h = {.vocab = VOCAB, .layer = -1, .n_choice = 2};

	strcpy(h.tokenizer, "0123456789abcdef0123456789abcdef");
	h.choice = bd_alloc(2, sizeof(*h.choice));
	h.choice[0] = 3;
	h.choice[1] = VOCAB - 1;
	h.template_ = json_pack("{s:s, s:[s, s], s:{s:n, s:b, s:f, s:i}}", "name", "t\xc3\xa4st", "labels",
	                        " a", " b", "deep", "null", "true", 1, "real", 0.1, "int", -5);
	h.history = json_pack("[s]", "bd-data 1");
	if (kind == EXAMPLES)
		return h;
	h.teacher = h.after_rope = true;
	strcpy(h.teacher_digest, "ffffffffffffffff0000000000000000");
	h.teacher_layers = 4;
	h.layer = kind == FULL ? -1 : 2;
	h.states_f16 = h.layer >= 0;
	for (int i = 0; i < 3; i++) {
		h.width[i] = WIDTH;
		h.heads[i] = i == 0 ? 3 : 1;
	}
	h.logits = kind != STATES_ONLY;
	h.top_k = kind == TOP_K ? 5 : 0;
	h.sample = kind == SAMPLE ? 6 : 0;
	h.tau = kind == TOP_K || kind == SAMPLE ? 2.5 : 1;
	h.all_positions = kind == TOP_K;
	return h;
}

static void *noise(uint64_t stream, size_t bytes)
{
	unsigned char *p = bd_alloc(bytes + 1, 1);

	for (size_t i = 0; i < bytes; i++)
		p[i] =
		    (unsigned char)bd_rng_below(1, stream, i, i % 2 ? 120 : 256); /* finite, as f16 and f32 */
	return p;
}

/* Record i: 1 to 7 tokens, a label except every third, a reference every second. */
static struct bd_record record_of(const struct bd_stream_head *h, uint64_t i)
{
	struct bd_record r = {.index = i, .n = 1 + i % TOKENS, .label = i % 3 == 0 ? -1 : (int32_t)(i % 2)};
	size_t cols = h->top_k ? h->top_k : h->sample ? 0 : h->vocab, listed = h->top_k + h->sample;

	r.ids = bd_alloc(r.n, sizeof(*r.ids));
	r.target = bd_zalloc(r.n, 1);
	for (size_t t = 0; t < r.n; t++) {
		r.ids[t] = (uint32_t)bd_rng_below(2, i, t, VOCAB);
		r.target[t] = t > 0 && (t + i) % 2;
		r.positions += r.target[t];
	}
	if (h->all_positions)
		r.positions = r.n - 1;
	r.ref = i % 2 ? bd_sprintf("reference %d", (int)i) : NULL;
	if (h->logits)
		r.z = cols > 0 ? noise(100 + i, r.positions * cols * 2) : NULL;
	if (listed > 0) {
		r.zi = bd_zalloc(r.positions * listed + 1, sizeof(*r.zi));
		r.zr = noise(300 + i, r.positions * 4);
		for (size_t k = 0; k < r.positions * listed; k++)
			r.zi[k] = (uint32_t)bd_rng_below(3, i, k, VOCAB);
	}
	for (int s = 0; s < 3 && h->layer >= 0; s++)
		r.state[s] = noise(500 + i * 3 + (uint64_t)s, r.n * WIDTH * 2);
	return r;
}

static void write_stream(const char *path, int level, enum kind kind, size_t records)
{
	struct bd_stream_head h = head_of(kind);
	struct bd_sink *s = bd_sink_open(path, level, &h);

	for (size_t i = 0; i < records; i++) {
		struct bd_record r = record_of(&h, i);

		bd_sink_put(s, &r);
		bd_record_free(&r);
	}
	bd_sink_close(s);
	bd_stream_head_free(&h);
}

static void same_bytes(const void *a, const void *b, size_t n)
{
	assert_true((a == NULL) == (b == NULL));
	if (a != NULL && n > 0)
		assert_memory_equal(a, b, n);
}

static void same_record(const struct bd_stream_head *h, const struct bd_record *a, const struct bd_record *b)
{
	size_t cols = h->top_k ? h->top_k : h->vocab, listed = h->top_k + h->sample;

	assert_int_equal(a->index, b->index);
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->label, b->label);
	assert_int_equal(a->positions, b->positions);
	assert_true((a->ref == NULL) == (b->ref == NULL));
	if (a->ref != NULL)
		assert_string_equal(a->ref, b->ref);
	same_bytes(a->ids, b->ids, a->n * 4);
	same_bytes(a->target, b->target, a->n);
	same_bytes(a->z, b->z, a->positions * cols * 2);
	same_bytes(a->zi, b->zi, a->positions * listed * 4);
	same_bytes(a->zr, b->zr, a->positions * 4);
	for (int i = 0; i < 3; i++)
		same_bytes(a->state[i], b->state[i], a->n * WIDTH * 2);
}

static void same_head(const struct bd_stream_head *a, const struct bd_stream_head *b)
{
	assert_int_equal(a->teacher, b->teacher);
	assert_string_equal(a->tokenizer, b->tokenizer);
	assert_int_equal(a->vocab, b->vocab);
	assert_true(json_equal(a->template_, b->template_));
	assert_true(json_equal(a->history, b->history));
	assert_int_equal(a->n_choice, b->n_choice);
	same_bytes(a->choice, b->choice, a->n_choice * 4);
	assert_string_equal(a->teacher_digest, b->teacher_digest);
	assert_int_equal(a->layer, b->layer);
	assert_int_equal(a->teacher_layers, b->teacher_layers);
	assert_memory_equal(a->width, b->width, sizeof(a->width));
	assert_memory_equal(a->heads, b->heads, sizeof(a->heads));
	assert_int_equal(a->states_f16, b->states_f16);
	assert_int_equal(a->after_rope, b->after_rope);
	assert_int_equal(a->top_k, b->top_k);
	assert_int_equal(a->sample, b->sample);
	assert_true(a->tau == b->tau);
	assert_int_equal(a->logits, b->logits);
	assert_int_equal(a->all_positions, b->all_positions);
}

static void read_back(struct bd_source *s, const struct bd_stream_head *h, size_t records)
{
	struct bd_record got = {0};

	for (size_t i = 0; i < records; i++) {
		struct bd_record want = record_of(h, i);

		assert_true(bd_source_next(s, &got));
		same_record(h, &want, &got);
		bd_record_free(&want);
	}
	assert_false(bd_source_next(s, &got));
	assert_false(bd_source_next(s, &got)); /* and stays at the end */
	bd_record_free(&got);
}

static void round_trip(void **state)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 200};

	(void)state;
	for (enum kind kind = EXAMPLES; kind <= SAMPLE; kind++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (int level = -1; level <= 1; level++) {
				struct bd_stream_head h = head_of(kind);

				write_stream("a.bds", level, kind, sizes[i]);
				struct bd_source *s = bd_source_open("a.bds");
				same_head(&h, bd_source_head(s));
				read_back(s, &h, sizes[i]);
				assert_true(bd_source_seekable(s));
				bd_source_rewind(s);
				read_back(s, &h, sizes[i]);
				bd_source_close(s);
				bd_stream_head_free(&h);
			}
}

/* ---- an independent look at the bytes, with nothing but msgpack-c ---- */

static const msgpack_object *field(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object *k = &map->via.map.ptr[i].key;

		if (k->via.str.size == strlen(key) && memcmp(k->via.str.ptr, key, k->via.str.size) == 0)
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

static void checks_cover_all(void **state)
{
	size_t n, at = 0, begin = 0, records = 0, checks = 0, since = 0;
	msgpack_unpacked u;
	char *p;

	(void)state;
	write_stream("a.bds", 0, FULL, 200);
	p = bd_read_file("a.bds", &n);
	msgpack_unpacked_init(&u);
	for (; msgpack_unpack_next(&u, p, n, &at) == MSGPACK_UNPACK_SUCCESS; begin = at) {
		const msgpack_object *check = field(&u.data, "check");

		assert_int_equal(u.data.type, MSGPACK_OBJECT_MAP);
		if (begin == 0)
			assert_int_equal(field(&u.data, "version")->via.u64, 1);
		else if (check == NULL)
			since++;
		if (check == NULL)
			continue;
		assert_int_equal(check->via.u64, bd_hash64(p, begin));
		assert_true(since <= 64);
		records += since;
		assert_int_equal(field(&u.data, "records")->via.u64, records);
		since = 0;
		checks++;
	}
	assert_int_equal(at, n);
	assert_int_equal(records, 200);
	assert_int_equal(checks, 4);
	msgpack_unpacked_destroy(&u);
	bd_free(p);
}

/* ---- damage ---- */

static void read_all(void *path)
{
	struct bd_source *s = bd_source_open(path);
	struct bd_record r = {0};

	while (bd_source_next(s, &r))
		for (size_t i = 0; i < r.n; i++)
			if (r.ids[i] >= VOCAB) /* a caller would index a table with it */
				_exit(9);
	bd_record_free(&r);
	bd_source_close(s);
}

static void dies_on(const char *bytes, size_t n, const char *text)
{
	bd_write_file("bad.bds", bytes, n);
	child_dies(read_all, "bad.bds", BD_DATA, text);
}

static void every_truncation(void **state)
{
	size_t n;
	char *p;

	(void)state;
	write_stream("a.bds", 0, TOP_K, 3);
	p = bd_read_file("a.bds", &n);
	for (size_t i = 0; i < n; i++)
		dies_on(p, i, "the stream ends");
	bd_write_file("bad.bds", p, n);
	assert_int_equal(child_run(read_all, "bad.bds").status, 0);
	bd_free(p);
}

static void every_flipped_bit(void **state)
{
	size_t n;
	char *p;

	(void)state;
	write_stream("a.bds", 0, TOP_K, 2);
	p = bd_read_file("a.bds", &n);
	for (size_t i = 0; i < n; i++) {
		p[i] ^= (char)(1 << i % 8);
		dies_on(p, n, "bad.bds: byte ");
		p[i] ^= (char)(1 << i % 8);
	}
	bd_free(p);
}

static void trailing_bytes(void **state)
{
	size_t n;
	char *p;

	(void)state;
	write_stream("a.bds", 0, EXAMPLES, 2);
	p = bd_read_file("a.bds", &n); /* the NUL after the text serves as the extra byte */
	dies_on(p, n + 1, "continues after its end record");
	bd_free(p);
}

/* The replacement is as long as what it replaces. */
static void patched(enum kind kind, const char *from, const char *to, size_t len, const char *text)
{
	size_t n;
	char *p, *hit;

	write_stream("a.bds", 0, kind, 2);
	p = bd_read_file("a.bds", &n);
	hit = memmem(p, n, from, len);
	assert_non_null(hit);
	memcpy(hit, to, len);
	dies_on(p, n, text);
	bd_free(p);
}

static void wrong_values(void **state)
{
	(void)state;
	patched(EXAMPLES, "version\x01", "version\x02", 8, "version 2 of the stream format is not supported");
	patched(EXAMPLES, "examples", "exbmples", 8, "`bd' has an unknown value");
	patched(EXAMPLES, "vocab2", "vocab1", 6,
	        "`choices' has an element that is not an integer from 0 to 48");
	patched(EXAMPLES, "0123456789abcdef", "0123456789ABCDEF", 16, "not a digest");
	patched(EXAMPLES, "choices", "choicez", 7, "checksum");
	patched(EXAMPLES, "target", "tarhet", 6, "`target' is missing");
	patched(EXAMPLES, "target\xc4\x01", "target\xd9\x01", 8, "`target' has the wrong type");
	patched(EXAMPLES, "t\xc3\xa4st", "t\xff\xa4st", 5, "must be UTF-8");
	patched(TOP_K, "layer\x02", "layer\x04", 6, "`layer' is not an integer from -1 to 3");
	patched(TOP_K, "tau\xcb\x40", "tau\xcb\xff", 5, "`tau' is not a number from 1e-06 to 1e+06");
	patched(TOP_K, "tau\xcb\x40\x04", "tau\xcb\x7f\xf8", 6, "`tau' is not a number from 1e-06 to 1e+06");
	patched(TOP_K, "heads\x93\x03", "heads\x93\x05", 7, "cannot be divided into 5 heads");
}

static void write_broken(void *arg)
{
	struct bd_stream_head h = head_of(TOP_K);
	struct bd_sink *s = bd_sink_open("broken.bds", 0, &h);
	struct bd_record good = record_of(&h, 6), r = record_of(&h, 6); /* 7 tokens, 6 positions */

	bd_sink_put(s, &good);
	switch (*(int *)arg) {
	case 0:
		r.z[6 * 5 - 1] = 0x7e00; /* NaN */
		break;
	case 1:
		r.zr[5] = NAN;
		break;
	default:
		r.state[*(int *)arg - 2][7 * WIDTH - 1] = 0xfc00; /* -infinity */
	}
	bd_sink_put(s, &r);
}

/* A number that is not finite is refused by the writer, and by a reader of a stream from elsewhere. */
static void not_finite(void **state)
{
	static const char *const text[] = {"example 1: the teacher's \"z\"",
	                                   "example 1: the teacher's \"zr\"",
	                                   "example 1: the teacher's \"q\"", "example 1: the teacher's \"k\"",
	                                   "example 1: the teacher's \"v\""};
	struct bd_stream_head h = head_of(TOP_K);
	struct bd_record r = record_of(&h, 6);
	size_t n;

	(void)state;
	for (int i = 0; i < 5; i++)
		child_dies(write_broken, &i, BD_DATA, text[i]);
	r.zr[2] = -INFINITY; /* of nothing */
	assert_null(bd_record_broken(&h, &r));
	bd_record_free(&r);
	bd_stream_head_free(&h);

	write_stream("a.bds", 0, TOP_K, 3);
	char *p = bd_read_file("a.bds", &n),
	     *v = memmem(p, n, "\xa1v\xc4", 3); /* of the first record: one token */
	assert_non_null(v);
	v[5] = 0x7c; /* the first element's high byte */
	dies_on(p, n, "example 0: `v' has a number that is not finite");
	bd_free(p);
}

/* A digest is 32 digits, no more: one is put behind them, and counted. */
static void long_digest(void **state)
{
	static const char digest[] = "0123456789abcdef0123456789abcdef";
	size_t n;

	(void)state;
	write_stream("a.bds", 0, EXAMPLES, 2);
	char *p = bd_read_file("a.bds", &n), *at = memmem(p, n, digest, 32), *longer = bd_alloc(n + 1, 1);
	assert_non_null(at);
	size_t before = (size_t)(at - p) + 32;
	assert_int_equal(at[-1], 32);
	at[-1] = 33;
	memcpy(longer, p, before);
	longer[before] = '0';
	memcpy(longer + before + 1, p + before, n - before);
	dies_on(longer, n + 1, "`tokenizer' is not a digest of 32 hex digits");
	bd_free(longer);
	bd_free(p);
}

static void id_beyond_vocabulary(void **state)
{
	struct bd_stream_head h = head_of(EXAMPLES);
	struct bd_record r = record_of(&h, 3);
	struct bd_sink *s = bd_sink_open("bad.bds", 0, &h);

	(void)state;
	r.ids[1] = VOCAB;
	bd_sink_put(s, &r);
	bd_sink_close(s);
	bd_record_free(&r);
	bd_stream_head_free(&h);
	child_dies(read_all, "bad.bds", BD_DATA, "token id 50 is outside the vocabulary of 50");
}

static void hostile(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *text;
	} bad[] = {
	    {"", 0, "the stream ends before its end record"},
	    {"hello", 5, "this is not a bds stream"},
	    {"\x80", 1, "this is not a bds stream"},
	    {"\x81\xa1x\xc6\xff\xff\xff\xff", 8, "over 1 GiB"},
	    {"\x81\xa1x\xc6\x30\x00\x00\x00", 8, "the stream ends inside a record"},
	    {"\xdf\xff\xff\xff\xff", 5, "values"},
	    {"\x81\xa1x\xdd\xff\xff\xff\xff", 8, "values"},
	    {"\x81\xa1x\xc1", 4, "type 0xc1"},
	    {"\x81\xa1x\xd4\x01\x01", 6, "type 0xd4"},
	};
	char deep[3000];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		dies_on(bad[i].bytes, bad[i].n, bad[i].text);
	memset(deep, 0x91, sizeof(deep)); /* arrays in arrays */
	memcpy(deep, "\x81\xa1x", 3);
	deep[sizeof(deep) - 1] = '\xc0';
	dies_on(deep, sizeof(deep), "that can be unpacked");
}

/* ---- the rest of the contract ---- */

static void fits(void *arg)
{
	struct bd_source *s = bd_source_open("a.bds");

	bd_source_fits(s, arg, VOCAB, "model");
	bd_source_close(s);
}

static void fits_less(void *arg)
{
	struct bd_source *s = bd_source_open("a.bds");

	bd_source_fits(s, arg, VOCAB - 1, "model");
	bd_source_close(s);
}

static void other_tokenizer(void **state)
{
	(void)state;
	write_stream("a.bds", 0, EXAMPLES, 1);
	assert_int_equal(child_run(fits, "0123456789abcdef0123456789abcdef").status, 0);
	child_dies(fits, "1123456789abcdef0123456789abcdef", BD_DATA,
	           "run bd-data with this model's tokenizer");
	child_dies(fits_less, "0123456789abcdef0123456789abcdef", BD_DATA, "a vocabulary of 50");
}

/* A consumer must be able to work while the producer still writes: 64 records arrive although the
 * writer then waits. */
static void pipe_is_flushed(void **state)
{
	struct bd_stream_head h = head_of(STATES_ONLY);
	struct bd_record got = {0};
	struct bd_source *s;
	int go[2];
	pid_t pid;

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct bd_sink *sink = bd_sink_open("fifo", -1, &h);
		char c;

		for (size_t i = 0; i < 70; i++) {
			struct bd_record r = record_of(&h, i);

			if (i == 65 && read(go[0], &c, 1) != 1)
				_exit(1);
			bd_sink_put(sink, &r);
			bd_record_free(&r);
		}
		bd_sink_close(sink);
		_exit(0);
	}
	alarm(20);
	s = bd_source_open("fifo");
	for (size_t i = 0; i < 64; i++)
		assert_true(bd_source_next(s, &got));
	assert_int_equal(write(go[1], "x", 1), 1);
	for (size_t i = 64; i < 70; i++)
		assert_true(bd_source_next(s, &got));
	assert_false(bd_source_next(s, &got));
	assert_false(bd_source_seekable(s));
	alarm(0);
	bd_record_free(&got);
	bd_source_close(s);
	bd_stream_head_free(&h);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void put_giant(void *arg)
{
	struct bd_stream_head h = head_of(FULL);
	struct bd_record r = {.n = 3000, .positions = 3000, .label = -1};
	uint16_t z = 0;

	(void)arg;
	h.vocab = 1 << 20;
	r.ids = bd_zalloc(r.n, sizeof(*r.ids));
	r.target = bd_zalloc(r.n, 1);
	r.z = &z; /* refused before it is looked at */
	bd_sink_put(bd_sink_open("giant.bds", 0, &h), &r);
}

static void too_large_is_refused(void **state)
{
	(void)state;
	child_dies(put_giant, NULL, BD_DATA, "over 1 GiB");
	assert_false(bd_exists("giant.bds"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(checks_cover_all, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_truncation, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_flipped_bit, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(trailing_bytes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(wrong_values, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(not_finite, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(long_digest, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(id_beyond_vocabulary, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hostile, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(other_tokenizer, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(pipe_is_flushed, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(too_large_is_refused, set_up, tear_down),
	};

	bd_msg_tool("test_stream");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
