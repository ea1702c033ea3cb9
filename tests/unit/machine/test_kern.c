/* Every kernel table against the reference, bit by bit, with the last byte of each input and output against
 * an unmapped page; and the reference against definitions computed another way. A check returns the number of
 * wrong results, so that it can itself be checked with a wrong kernel. */
#include "base/msg.h"
#include "base/rng.h"
#include "machine/cpu.h"
#include "machine/kern.h"
#include "machine/kern/poly.h"
#include "machine/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Memory that ends where the process's ends */

struct guarded {
	char *map;
	size_t size;
	void *p;
};

static struct guarded guarded(size_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct guarded g = {.size = (bytes + page - 1) / page * page + page};

	g.map = mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(g.map != MAP_FAILED);
	assert_int_equal(mprotect(g.map + g.size - page, page, PROT_NONE), 0);
	g.p = g.map + g.size - page - bytes;
	return g;
}

static void release(struct guarded g)
{
	munmap(g.map, g.size);
}

/* Results */

static uint32_t bits_of(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

/* Number of places where a and b differ in any bit; one NaN is as good as another. */
static size_t differ(const float *a, const float *b, size_t n)
{
	size_t bad = 0;

	for (size_t i = 0; i < n; i++)
		bad += bits_of(a[i]) != bits_of(b[i]) && !(isnan(a[i]) && isnan(b[i]));
	return bad;
}

/* Inputs */

enum fill { NORMAL, WIDE, TINY, TIES, BROKEN, FILLS };

static float value(enum fill f, uint64_t stream, size_t i)
{
	const float z = (float)bd_rng_normal(7, stream, i);

	switch (f) {
	case WIDE:
		return ldexpf(z, (int)bd_rng_below(8, stream, i, 100) - 50);
	case TINY:
		return i % 5 == 0 ? -0.0f : ldexpf(z, -140);
	case TIES: /* 127 / max = 1: halves stay halves */
		return i == 0 ? 127.0f : (float)((int)bd_rng_below(8, stream, i, 508) - 254) / 2.0f;
	case BROKEN:
		return i % 37 == 5 ? (i % 2 ? NAN : -INFINITY) : z;
	default:
		return z;
	}
}

static void fill(float *x, size_t n, enum fill f, uint64_t stream)
{
	for (size_t i = 0; i < n; i++)
		x[i] = value(f, stream, i);
}

static const size_t sizes[] = {1,  2,  3,  7,   8,   9,   15,  16,  17,  31,  32,  33,   63,   64,
                               65, 95, 96, 127, 128, 129, 191, 192, 255, 256, 300, 1000, 1024, 1057};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

/* Checks of one table */

static size_t check_dots(const struct bd_kern *k)
{
	size_t bad = 0;

	for (size_t s = 0; s < SIZES; s++)
		for (enum fill f = 0; f < FILLS; f++) {
			const size_t n = sizes[s];
			struct guarded x = guarded(4 * n), y = guarded(4 * n), h = guarded(2 * n);
			float a[3] = {0}, b[3] = {0};

			fill(x.p, n, f, 1);
			fill(y.p, n, f == BROKEN ? NORMAL : f, 2);
			a[0] = k->dot(x.p, y.p, n);
			b[0] = bd_kern_ref.dot(x.p, y.p, n);
			bd_f16_row(h.p, y.p, n);
			a[1] = k->dot_f16(x.p, h.p, n);
			b[1] = bd_kern_ref.dot_f16(x.p, h.p, n);
			for (size_t i = 0; i < n; i++)
				((uint16_t *)h.p)[i] = bd_f32_to_bf16(((float *)y.p)[i]);
			a[2] = k->dot_bf16(x.p, h.p, n);
			b[2] = bd_kern_ref.dot_bf16(x.p, h.p, n);
			bad += differ(a, b, 3);
			k->wide_bf16(x.p, h.p, n); /* h has bf16 now */
			bd_kern_ref.wide_bf16(y.p, h.p, n);
			bad += differ(x.p, y.p, n);
			k->wide_f16(x.p, h.p, n);
			bd_kern_ref.wide_f16(y.p, h.p, n);
			bad += differ(x.p, y.p, n);
			release(x), release(y), release(h);
		}
	return bad;
}

/* Elementwise and row functions, out of place and in place */
static size_t check_rows(const struct bd_kern *k)
{
	size_t bad = 0;

	for (size_t s = 0; s < SIZES; s++)
		for (enum fill f = 0; f < FILLS; f++) {
			const size_t n = sizes[s];
			struct guarded g[5];
			float *x, *y, *gain, *a, *b, ra, rb;

			for (int i = 0; i < 5; i++)
				g[i] = guarded(4 * n);
			x = g[0].p, y = g[1].p, gain = g[2].p, a = g[3].p, b = g[4].p;
			fill(x, n, f, 3);
			fill(y, n, f, 4);
			fill(gain, n, NORMAL, 5);

			memcpy(a, y, 4 * n), memcpy(b, y, 4 * n);
			k->axpy(a, 0.3f, x, n), bd_kern_ref.axpy(b, 0.3f, x, n);
			bad += differ(a, b, n);
			ra = k->rmsnorm(a, x, gain, 1e-6f, n), rb = bd_kern_ref.rmsnorm(b, x, gain, 1e-6f, n);
			bad += differ(a, b, n) + differ(&ra, &rb, 1);
			memcpy(a, x, 4 * n), memcpy(b, x, 4 * n);
			ra = k->rmsnorm(a, a, NULL, 1e-6f, n), rb = bd_kern_ref.rmsnorm(b, b, NULL, 1e-6f, n);
			bad += differ(a, b, n) + differ(&ra, &rb, 1);
			memcpy(a, x, 4 * n), memcpy(b, x, 4 * n);
			ra = k->softmax(a, n), rb = bd_kern_ref.softmax(b, n);
			bad += differ(a, b, n) + differ(&ra, &rb, 1);
			k->silu_mul(a, x, y, n), bd_kern_ref.silu_mul(b, x, y, n);
			bad += differ(a, b, n);
			k->vexp(a, x, n), bd_kern_ref.vexp(b, x, n);
			bad += differ(a, b, n);
			for (int i = 0; i < 5; i++)
				release(g[i]);
		}
	return bad;
}

static size_t check_vexp_sweep(const struct bd_kern *k)
{
	enum { N = 4096 };
	static float x[N], a[N], b[N];
	size_t bad = 0;

	for (uint32_t top = 0; top < 256; top++) { /* every sign and exponent */
		for (uint32_t i = 0; i < N; i++) {
			const uint32_t u = top << 24 | i << 12 | (i * 2654435761u >> 20);

			memcpy(&x[i], &u, sizeof(u));
		}
		k->vexp(a, x, N);
		bd_kern_ref.vexp(b, x, N);
		bad += differ(a, b, N);
	}
	return bad;
}

static size_t check_head(const struct bd_kern *k)
{
	static const size_t ks[] = {1, 16, 63, 64, 100, 256}, Ts[] = {1, 2, 3, 4, 5, 9},
	                    Ns[] = {1, 2, 3, 5, 6, 7, 13};
	size_t bad = 0;

	for (size_t c = 0; c < 6 * 6 * 7; c++) {
		const size_t n = ks[c % 6], T = Ts[c / 6 % 6], N = Ns[c / 36], ldo = N + 2;
		struct guarded x = guarded(4 * T * n), w = guarded(4 * N * n),
		               o = guarded(4 * ((T - 1) * ldo + N));
		float *out = o.p;

		fill(x.p, T * n, NORMAL, 9);
		fill(w.p, N * n, NORMAL, 10);
		fill(out, (T - 1) * ldo + N, NORMAL, 11);
		k->head_f32(out, ldo, x.p, T, w.p, N, n);
		for (size_t i = 0; i < (T - 1) * ldo + N; i++) {
			const size_t t = i / ldo, j = i % ldo;
			const float want =
			    j < N ? bd_kern_ref.dot((float *)x.p + t * n, (float *)w.p + j * n, n)
			          : value(NORMAL, 11, i);

			bad += differ(&out[i], &want, 1);
		}
		release(x), release(w), release(o);
	}
	return bad;
}

/* scores, exps and mix: T queries, m keys of D numbers, in rows that are further apart. */
static size_t check_attention_shape(const struct bd_kern *k, size_t T, size_t m, size_t D, enum fill f)
{
	const size_t ld = D + 5, lds = m + 2, n_k = (m - 1) * ld + D, n_s = (T - 1) * lds + m;
	struct guarded q = guarded(4 * T * D), key = guarded(4 * n_k), s = guarded(4 * n_s),
	               o = guarded(4 * T * D);
	float *want_s = calloc(n_s, 4), *want_o = calloc(T * D, 4), a[2], b[2];
	size_t bad;

	fill(q.p, T * D, f, 40);
	fill(key.p, n_k, f, 41);
	fill(s.p, n_s, NORMAL, 42);
	fill(want_s, n_s, NORMAL, 42);
	k->scores(s.p, lds, q.p, T, key.p, ld, m, D);
	bd_kern_ref.scores(want_s, lds, q.p, T, key.p, ld, m, D);
	bad = differ(s.p, want_s, n_s);
	fill(o.p, T * D, f, 43);
	fill(want_o, T * D, f, 43);
	k->mix(o.p, want_s, lds, T, key.p, ld, m, D);
	bd_kern_ref.mix(want_o, want_s, lds, T, key.p, ld, m, D);
	bad += differ(o.p, want_o, T * D);
	a[0] = k->exps(s.p, m, &a[1]);
	b[0] = bd_kern_ref.exps(want_s, m, &b[1]);
	bad += differ(a, b, 2) + differ(s.p, want_s, m);
	release(q), release(key), release(s), release(o);
	free(want_s), free(want_o);
	return bad;
}

static size_t check_attention(const struct bd_kern *k)
{
	static const size_t Ts[] = {1, 2, 3, 4, 5, 16}, ms[] = {1, 2, 3, 4, 7, 64, 66},
	                    Ds[] = {1, 7, 8, 16, 20, 31, 32, 64, 80, 128, 192};
	size_t bad = 0;

	for (size_t t = 0; t < 6; t++)
		for (size_t m = 0; m < 7; m++)
			for (size_t d = 0; d < 11; d++)
				for (enum fill f = 0; f < FILLS; f++)
					bad += check_attention_shape(k, Ts[t], ms[m], Ds[d], f);
	return bad;
}

static size_t check_quant_row(const struct bd_kern *k)
{
	size_t bad = 0;

	for (size_t s = 0; s < SIZES; s++)
		for (enum fill f = 0; f < FILLS; f++) {
			const size_t n = sizes[s], kpad = bd_ternary_cols(n) + (s % 2 ? 128 : 0);
			struct guarded x = guarded(4 * n), qa = guarded(kpad), qb = guarded(kpad);
			int32_t sa = -1, sb = -2;

			fill(x.p, n, f, 12);
			memset(qa.p, 99, kpad), memset(qb.p, 98, kpad);
			const float a = k->quant_row(qa.p, &sa, x.p, n, kpad);
			const float b = bd_kern_ref.quant_row(qb.p, &sb, x.p, n, kpad);
			bad += differ(&a, &b, 1) + (sa != sb) + (memcmp(qa.p, qb.p, kpad) != 0);
			release(x), release(qa), release(qb);
		}
	return bad;
}

/* How q and codes are made: at random, or such that sums are as large as they get. Code 3 is never packed,
 * but may be read. */
enum extreme { RANDOM, HIGH, LOW, CODE_3, EXTREMES };

static size_t check_ternary_shape(const struct bd_kern *k, size_t T, size_t N, size_t kpad, enum extreme e)
{
	const size_t ldo = N + 3, n_out = (T - 1) * ldo + N, stride = kpad / 4;
	struct guarded o = guarded(4 * n_out), q = guarded(T * kpad), c = guarded(N * stride),
	               st = guarded(4 * T), su = guarded(4 * T);
	float *out = o.p, *step = st.p;
	int32_t *sum = su.p;
	int8_t *qp = q.p;
	uint8_t *codes = c.p;
	const float scale = 0.0371f;
	size_t bad = 0;

	for (size_t i = 0; i < N * stride; i++) {
		const uint64_t r = bd_rng_u64(20, 1, i);

		codes[i] =
		    e == CODE_3 ? 0xff
		    : e == HIGH ? 0xaa
		    : e == LOW
		        ? 0x00
		        : (uint8_t)(r % 3 << 6 | (r >> 8) % 3 << 4 | (r >> 16) % 3 << 2 | (r >> 24) % 3);
	}
	for (size_t t = 0; t < T; t++) {
		sum[t] = 0;
		step[t] = 0.01f + (float)t / 1000.0f;
		for (size_t i = 0; i < kpad; i++) {
			qp[t * kpad + i] = e == RANDOM ? (int8_t)((int)bd_rng_below(21, t, i, 255) - 127)
			                   : e == HIGH ? 127
			                               : -128;
			sum[t] += qp[t * kpad + i];
		}
	}
	fill(out, n_out, NORMAL, 22);
	k->ternary(&(struct bd_kern_product){out, ldo, qp, step, sum, T, codes, N, kpad, scale});
	for (size_t i = 0; i < n_out; i++) {
		const size_t t = i / ldo, n = i % ldo;
		float want = value(NORMAL, 22, i); /* between the rows: untouched */

		if (n < N) {
			int64_t acc = 0;

			for (size_t j = 0; j < kpad; j++) {
				const uint8_t byte = codes[n * stride + j / 128 * 32 + j % 32];

				acc += ((byte >> (6 - j % 128 / 32 * 2) & 3) - 1) * (int64_t)qp[t * kpad + j];
			}
			want = (float)acc * (step[t] * scale);
		}
		bad += differ(&out[i], &want, 1);
	}
	release(o), release(q), release(c), release(st), release(su);
	return bad;
}

static size_t check_ternary(const struct bd_kern *k)
{
	static const size_t Ts[] = {1, 2, 3, 4, 5, 11, 12, 13, 17, 28},
	                    Ns[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 66},
	                    ks[] = {128, 256, 384, 1152};
	size_t bad = 0;

	for (size_t t = 0; t < 10; t++)
		for (size_t n = 0; n < 13; n++)
			for (size_t i = 0; i < 4; i++)
				bad += check_ternary_shape(k, Ts[t], Ns[n], ks[i], RANDOM);
	for (enum extreme e = 0; e < EXTREMES; e++) {
		bad += check_ternary_shape(k, 1, 5, 131072, e);
		bad += check_ternary_shape(k, 5, 5, 131072, e);
		bad += check_ternary_shape(k, 4, 33, 4224, e);
	}
	bad += check_ternary_shape(k, 270, 17, 128, RANDOM); /* more tokens than are taken at a time */
	return bad;
}

/* Tables of quantised rows: bytes at random, integers such that sums are as large as they get, scales that
 * are not finite. */
struct table {
	const char *name;
	size_t block, bytes, d; /* columns and bytes of a block; where its f16 scale is */
	size_t at;              /* the product in a struct bd_kern */
};
static const struct table tables[] = {
    {"q8_0", 32, BD_Q8_0_BYTES, 0, offsetof(struct bd_kern, table_q8_0)},
    {"q4_0", 32, BD_Q4_0_BYTES, 0, offsetof(struct bd_kern, table_q4_0)},
    {"q6_k", BD_Q6_K_BLOCK, BD_Q6_K_BYTES, 208, offsetof(struct bd_kern, table_q6_k)},
};
enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

typedef void table_fn(const struct bd_kern_table *);

static table_fn *product_of(const struct bd_kern *k, const struct table *y)
{
	table_fn *fn;

	memcpy(&fn, (const char *)k + y->at, sizeof(fn));
	return fn;
}

enum rows { ANY, LOWEST, HIGHEST, NO_NUMBER, ROWS };

static void fill_rows(uint8_t *w, const struct table *y, size_t blocks, enum rows r)
{
	for (size_t b = 0; b < blocks; b++, w += y->bytes) {
		const float d = r == NO_NUMBER && b % 3 == 1 ? (b % 2 ? NAN : INFINITY)
		                                             : (float)bd_rng_normal(31, 2, b) / 64;
		uint16_t half = bd_f32_to_f16(d);

		for (size_t i = 0; i < y->bytes; i++)
			w[i] = r == LOWEST ? 0x80 : r == HIGHEST ? 0x7f : (uint8_t)bd_rng_u64(30, b, i);
		memcpy(w + y->d, &half, sizeof(half));
	}
}

/* Activations of T tokens of k columns, with zeros up to kpad. */
static void fill_tokens(int8_t *q, float *step, size_t T, size_t k, enum rows r)
{
	const size_t kpad = bd_table_cols(k);

	memset(q, 0, T * kpad);
	memset(step, 0, T * (kpad / 4) * sizeof(*step));
	for (size_t t = 0; t < T; t++) {
		for (size_t i = 0; i < k; i++)
			q[t * kpad + i] = r == LOWEST    ? -127
			                  : r == HIGHEST ? 127
			                                 : (int8_t)((int)bd_rng_below(32, t, i, 255) - 127);
		for (size_t i = 0; i < k / 4; i++)
			step[t * (kpad / 4) + i] = (float)fabs(bd_rng_normal(33, t, i / 8)) / 100;
	}
}

static size_t check_table(const struct bd_kern *k, const struct table *y, size_t T, size_t N, size_t cols,
                          enum rows r)
{
	const size_t ldo = N + 3, n_out = (T - 1) * ldo + N, blocks = cols / y->block,
	             kpad = bd_table_cols(cols);
	struct guarded q = guarded(T * kpad), st = guarded(T * (kpad / 4) * 4),
	               w = guarded(N * blocks * y->bytes), o = guarded(4 * n_out), want = guarded(4 * n_out);
	struct bd_kern_table x = {o.p, ldo, q.p, st.p, T, w.p, N, cols};
	size_t bad;

	fill_rows(w.p, y, N * blocks, r);
	fill_tokens(q.p, st.p, T, cols, r);
	fill(o.p, n_out, NORMAL, 34); /* between the rows: untouched */
	fill(want.p, n_out, NORMAL, 34);
	product_of(k, y)(&x);
	x.out = want.p;
	product_of(&bd_kern_ref, y)(&x);
	bad = differ(o.p, want.p, n_out);
	release(q), release(st), release(w), release(o), release(want);
	return bad;
}

static size_t check_tables(const struct bd_kern *k)
{
	static const size_t Ts[] = {1, 2, 4, 5, 9}, Ns[] = {1, 2, 5}, blocks[] = {1, 2, 3, 4, 7, 32};
	size_t bad = 0;

	for (size_t y = 0; y < TABLES; y++)
		for (size_t t = 0; t < 5; t++)
			for (size_t n = 0; n < 3; n++)
				for (size_t b = 0; b < 6; b++)
					for (enum rows r = 0; r < ROWS; r++)
						bad += check_table(k, &tables[y], Ts[t], Ns[n],
						                   blocks[b] * tables[y].block, r);
	return bad;
}

/* The tests */

typedef size_t check_fn(const struct bd_kern *);

static void all_tables(check_fn *check)
{
	for (const struct bd_kern *const *k = bd_kern_all(); *k != NULL; k++) {
		const size_t bad = check(*k);

		if (bad)
			fail_msg("%s: %zu results differ", (*k)->name, bad);
	}
}

static void test_dots(void **state)
{
	(void)state;
	all_tables(check_dots);
}

static void test_rows(void **state)
{
	(void)state;
	all_tables(check_rows);
}

static void test_vexp_sweep(void **state)
{
	(void)state;
	all_tables(check_vexp_sweep);
}

static void test_head(void **state)
{
	(void)state;
	all_tables(check_head);
}

static void test_quant_row(void **state)
{
	(void)state;
	all_tables(check_quant_row);
}

static void test_ternary(void **state)
{
	(void)state;
	all_tables(check_ternary);
}

static void test_attention(void **state)
{
	(void)state;
	all_tables(check_attention);
}

/* In a score a product is not rounded: (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24. 1e8 swallows a 1 in its lane,
 * and lanes meet by halves; in mix, in the order of the keys. */
static void test_attention_by_hand(void **state)
{
	float q[32] = {0}, k[32] = {0}, s, v[3] = {1e8f, 1, -1e8f}, p[3] = {1, 1, 1}, out;

	(void)state;
	for (const struct bd_kern *const *kern = bd_kern_all(); *kern != NULL; kern++) {
		memset(q, 0, sizeof(q));
		for (int i = 0; i < 32; i++)
			k[i] = 1;
		q[0] = k[0] = 1.0f + 0x1p-12f;
		q[16] = -1.0f - 0x1p-11f;
		(*kern)->scores(&s, 1, q, 1, k, 32, 1,
		                32); /* the first is added last: rounded with the sum */
		assert_true(s == (float)((1 + 0x1p-12) * (1 + 0x1p-12)) - (1.0f + 0x1p-11f));
		q[0] = -1.0f - 0x1p-11f, k[0] = 1;
		q[16] = k[16] = 1.0f + 0x1p-12f;
		(*kern)->scores(&s, 1, q, 1, k, 32, 1, 32);
		assert_true(s == 0x1p-24f);
		memset(q, 0, sizeof(q));
		q[0] = 1e8f, q[16 % 16 + 8] = -1e8f, q[4] = 1, k[16] = 1;
		(*kern)->scores(&s, 1, q, 1, k, 32, 1, 16); /* lanes 0 and 8 meet before 4 joins */
		assert_true(s == 1);
		q[4] = 0, q[16] = 1; /* in lane 0 */
		(*kern)->scores(&s, 1, q, 1, k, 32, 1, 32);
		assert_true(s == 0);
		out = 0;
		(*kern)->mix(&out, p, 3, 1, v, 1, 3, 1);
		assert_true(out == 0);
	}
}

static void test_tables(void **state)
{
	(void)state;
	all_tables(check_tables);
}

/* One block by hand, and the order of lanes: 1e8 swallows a 1 in its own lane, in the next pair of blocks,
 * not elsewhere. */
static void test_table_by_hand(void **state)
{
	const uint16_t one = bd_f32_to_f16(1);
	uint8_t w[4 * BD_Q8_0_BYTES] = {0};
	int8_t q[128] = {0};
	float step[32], z;

	(void)state;
	for (size_t b = 0; b < 4; b++)
		memcpy(w + b * BD_Q8_0_BYTES, &one, sizeof(one));
	for (const struct bd_kern *const *k = bd_kern_all(); *k != NULL; k++) {
		struct bd_kern_table x = {&z, 1, q, step, 1, w, 1, 128};

		memset(q, 0, sizeof(q));
		for (size_t i = 0; i < 32; i++)
			step[i] = i < 8 ? 0.5f : 1;
		for (size_t i = 0; i < 32; i++)
			w[2 + i] = 3;
		q[0] = 7, q[4] = -2, q[31] = 100; /* 3 (7 - 2 + 100) / 2 */
		x.k = 32;
		(*k)->table_q8_0(&x);
		assert_true(z == 157.5f);
		x.k = 128;
		for (size_t b = 0; b < 4; b++)
			memset(w + b * BD_Q8_0_BYTES + 2, 1, 32);
		memset(q, 0, sizeof(q));
		for (size_t i = 0; i < 32; i++)
			step[i] = i < 16 ? 1e8f : 1;
		q[0] = 1, q[64] = 1, q[1 + 64] = 1, q[32] = -1;
		(*k)->table_q8_0(&x); /* lane 0: 1e8 + 2 = 1e8; lane 8: -1e8 */
		assert_true(z == 0);
		q[64] = q[65] = 0, q[68] = q[69] = 1; /* lane 1 */
		(*k)->table_q8_0(&x);
		assert_true(z == 2);
	}
}

/* The order of a sum, seen in its result: 1e8 swallows a 1 in its own lane and before the lanes meet, not
 * elsewhere. */
static void test_order(void **state)
{
	float x[256], y[256];

	(void)state;
	for (const struct bd_kern *const *k = bd_kern_all(); *k != NULL; k++) {
		for (int i = 0; i < 256; i++)
			x[i] = 0.0f, y[i] = 1.0f;
		x[0] = 1e8f, x[64] = 1.0f, x[128] = -1e8f;
		assert_true((*k)->dot(x, y, 256) == 0.0f);
		x[64] = 0.0f, x[65] = 1.0f;
		assert_true((*k)->dot(x, y, 256) == 1.0f);
		x[128] = 0.0f, x[65] = 0.0f, x[16] = 1.0f, x[32] = -1e8f; /* (1e8 + 1) + (-1e8 + 0) */
		assert_true((*k)->dot(x, y, 256) == 0.0f);
		x[16] = 0.0f, x[32] = 0.0f, x[8] = 1.0f, x[40] = -1e8f; /* lanes 0 and 8: 1e8 + (1 - 1e8) */
		assert_true((*k)->dot(x, y, 256) == 0.0f);

		/* (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 exactly, and 0 if the product is rounded */
		for (int i = 0; i < 256; i++)
			x[i] = y[i] = 0.0f;
		x[0] = y[0] = 1.0f + 0x1p-12f;
		x[64] = -1.0f - 0x1p-11f, y[64] = 1.0f;
		assert_true((*k)->dot(x, y, 256) == 0.0f);
	}
}

static double ulps(float got, double want)
{
	int e;

	frexp(want, &e);
	return fabs((double)got - want) / ldexp(1.0, e - 24);
}

static void test_exp_and_log(void **state)
{
	const struct bd_kern *k = bd_kern();
	const float edge[] = {-INFINITY, -87.4f, INFINITY, 88.8f, NAN, 0.0f, -0.0f, 1000.0f, -1000.0f};
	float y[9];
	double worst = 0.0, worst_log = 0.0;

	(void)state;
	k->vexp(y, edge, 9);
	assert_true(y[0] == 0.0f && y[1] == 0.0f && y[2] == INFINITY && y[3] == INFINITY && isnan(y[4]));
	assert_true(y[5] == 1.0f && y[6] == 1.0f && y[7] == INFINITY && y[8] == 0.0f);
	for (int i = 0; i <= 1000000; i++) {
		const float x = -87.3f + 176.0f * (float)i / 1e6f;
		float e;

		k->vexp(&e, &x, 1);
		worst = fmax(worst, ulps(e, exp((double)x)));
		if (e != 1.0f)
			worst_log = fmax(worst_log, ulps(kern_log(e), log((double)e)));
	}
	assert_true(worst < 1.2);
	assert_true(worst_log < 0.501);
	assert_true(kern_log(1.0f) == 0.0f && kern_log(0.0f) == -INFINITY && kern_log(INFINITY) == INFINITY);
	assert_true(isnan(kern_log(-1.0f)) && isnan(kern_log(NAN)) && kern_log(0x1p-149f) == -103.27893f);
}

static void test_softmax(void **state)
{
	(void)state;
	for (const struct bd_kern *const *k = bd_kern_all(); *k != NULL; k++) {
		float x[70];

		for (int i = 0; i < 70; i++)
			x[i] = i < 2 ? 5.0f : i == 69 ? 5.0f + logf(2.0f) : -INFINITY;
		const float lse = (*k)->softmax(x, 70);
		assert_true(fabsf(lse - (5.0f + logf(4.0f))) < 1e-6f);
		assert_true(fabsf(x[0] - 0.25f) < 1e-7f && fabsf(x[69] - 0.5f) < 1e-7f && x[1] == x[0]);
		for (int i = 2; i < 69; i++)
			assert_true(x[i] == 0.0f);
	}
}

static void test_norm_and_silu(void **state)
{
	(void)state;
	for (const struct bd_kern *const *k = bd_kern_all(); *k != NULL; k++) {
		const float x[4] = {1, -1, 1, 1}, gain[4] = {1, 2, 3, 4}, gate[3] = {0, 2, -200},
		            up[3] = {3, 0.5f, 1};
		float y[4];

		assert_true((*k)->rmsnorm(y, x, gain, 3.0f, 4) == 0.5f);
		assert_true(y[0] == 0.5f && y[1] == -1.0f && y[2] == 1.5f && y[3] == 2.0f);
		(*k)->silu_mul(y, gate, up, 3);
		assert_true(y[0] == 0.0f && fabsf(y[1] - 0.8807971f) < 1e-6f && y[2] == 0.0f);
	}
}

/* Hand-computed: a = 127, so q = rint(x), half to even. */
static void test_quant_by_hand(void **state)
{
	const float x[8] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -126.6f};
	const int8_t want[8] = {127, 0, 2, 2, 0, -2, -2, -127};

	(void)state;
	for (const struct bd_kern *const *k = bd_kern_all(); *k != NULL; k++) {
		int8_t q[128];
		int32_t sum;
		float y[3] = {0, -0.0f, 0};

		assert_true((*k)->quant_row(q, &sum, x, 8, 128) == 1.0f);
		assert_memory_equal(q, want, 8);
		assert_int_equal(sum, 0);
		for (int i = 8; i < 128; i++)
			assert_int_equal(q[i], 0);
		assert_true((*k)->quant_row(q, &sum, y, 3, 128) == 1e-5f / 127.0f && sum == 0 && q[0] == 0);
		y[1] = NAN, y[2] = 1.0f;
		assert_true(isnan((*k)->quant_row(q, &sum, y, 3, 128)) && sum == 0 && q[1] == 0 && q[2] == 0);
		y[1] = -INFINITY;
		assert_true(isinf((*k)->quant_row(q, &sum, y, 3, 128)) && sum == 0 && q[1] == 0 && q[2] == 0);
	}
}

/* Wrong kernels, which the checks must find */

static float wrong_dot(const float *x, const float *y, size_t n)
{
	float s = 0.0f;

	for (size_t i = 0; i < n; i++)
		s += x[i] * y[i];
	return s;
}

static void wrong_ternary(const struct bd_kern_product *o)
{
	float *last = o->out + (o->T - 1) * o->ldo + o->N - 1;

	bd_kern_ref.ternary(o);
	*last = nextafterf(*last, 1e9f);
}

static void wrong_exp(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (float)exp((double)x[i]);
}

static float wrong_softmax(float *x, size_t n)
{
	float m = bd_kern_ref.softmax(x, n);

	x[n - 1] += 0x1p-20f;
	return m;
}

static float wrong_quant_row(int8_t *q, int32_t *sum, const float *x, size_t k, size_t kpad)
{
	const float step = bd_kern_ref.quant_row(q, sum, x, k, kpad);

	for (size_t i = 0; i < k; i++)
		if (isfinite(step))
			q[i] = (int8_t)roundf(x[i] * (127.0f / (step * 127.0f))); /* half away from zero */
	return step;
}

static void wrong_head(float *out, size_t ldo, const float *x, size_t T, const float *w, size_t N, size_t k)
{
	bd_kern_ref.head_f32(out, ldo, x, T, w, N, k);
	if (T > 1)
		out[ldo - 1] = 0.0f; /* between the rows */
}

static void wrong_mix(float *out, const float *p, size_t ldp, size_t T, const float *v, size_t ldv, size_t m,
                      size_t D)
{
	bd_kern_ref.mix(out, p, ldp, T, v, ldv, m, D);
	if (T == 16 && m == 66 && D == 20)
		out[7] = nextafterf(out[7], 0);
}

static void wrong_table(const struct bd_kern_table *o)
{
	bd_kern_ref.table_q6_k(o);
	if (o->N == 5 && o->T == 9)
		o->out[8 * o->ldo + 4] = nextafterf(o->out[8 * o->ldo + 4], 1e9f);
}

static void test_checks_can_fail(void **state)
{
	struct bd_kern bad = bd_kern_ref;
	const float one = 1.0f, next = 1.0f + 0x1p-23f, nan = NAN, zero = 0.0f, minus = -0.0f;

	(void)state;
	assert_int_equal(differ(&one, &next, 1), 1);
	assert_int_equal(differ(&zero, &minus, 1), 1);
	assert_int_equal(differ(&nan, &one, 1), 1);
	assert_int_equal(differ(&nan, &nan, 1), 0);
	bad.dot = wrong_dot;
	assert_true(check_dots(&bad) > 0);
	bad.ternary = wrong_ternary;
	assert_true(check_ternary_shape(&bad, 3, 5, 128, RANDOM) == 1);
	bad.vexp = wrong_exp;
	assert_true(check_vexp_sweep(&bad) > 0);
	bad.softmax = wrong_softmax;
	assert_true(check_rows(&bad) > 0);
	bad.quant_row = wrong_quant_row;
	assert_true(check_quant_row(&bad) > 0);
	bad.mix = wrong_mix;
	assert_true(check_attention(&bad) > 0);
	bad.table_q6_k = wrong_table;
	assert_true(check_tables(&bad) > 0);
	bad.head_f32 = wrong_head;
	assert_true(check_head(&bad) > 0);
}

/* The choice: in a child, because it is made once and dies on a bad name. */
static int choose(const char *name, const char *want)
{
	int status;
	const pid_t pid = fork();

	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		setenv("BD_KERN", name, 1);
		_exit(strcmp(bd_kern()->name, want) == 0 ? 0 : 98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_choice(void **state)
{
	const struct bd_kern *const *all = bd_kern_all();
	size_t n = 0;

	(void)state;
	for (; all[n] != NULL; n++) {
		assert_int_equal(all[n]->need & ~bd_cpu_bits(), 0);
		assert_int_equal(choose(all[n]->name, all[n]->name), 0);
	}
	assert_ptr_equal(all[n - 1], &bd_kern_ref);
	assert_int_equal(choose("", all[0]->name), 0);
	assert_int_equal(choose("sse9", "ref"), BD_USAGE);
	if (!(bd_cpu_bits() & BD_CPU_AVX512))
		assert_int_equal(choose("avx512vnni", "avx512vnni"), BD_USAGE);
	assert_true(strlen(bd_cpu_name()) > 0);
	print_message("tables on this machine: %zu, best %s\n", n, all[0]->name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_choice),
	    cmocka_unit_test(test_dots),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_vexp_sweep),
	    cmocka_unit_test(test_head),
	    cmocka_unit_test(test_quant_row),
	    cmocka_unit_test(test_ternary),
	    cmocka_unit_test(test_attention),
	    cmocka_unit_test(test_attention_by_hand),
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_table_by_hand),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_exp_and_log),
	    cmocka_unit_test(test_softmax),
	    cmocka_unit_test(test_norm_and_silu),
	    cmocka_unit_test(test_quant_by_hand),
	    cmocka_unit_test(test_checks_can_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
