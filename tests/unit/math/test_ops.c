/* The operations against naive ones in double: forward values, and gradients as central differences of the
 * naive forward. What the headers promise bit by bit (prefixes, batches, threads, instruction sets) is
 * compared bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "near.h"
#include "math/op_attention.h"
#include "math/op_embed.h"
#include "math/op_glu.h"
#include "math/op_linear.h"
#include "math/op_rmsnorm.h"
#include "math/op_rope.h"
#include "math/ops.h"
#include "format/gguf_table.h"
#include "machine/quant.h"

/* A call with `dev`, a device of these threads and kernels. */
#define ON(par, kern, ...)                                                                                   \
	do {                                                                                                 \
		struct bd_dev *dev = bd_dev_cpu(par, kern);                                                  \
		__VA_ARGS__;                                                                                 \
		bd_dev_close(dev);                                                                           \
	} while (0)

#define EACH_KERN(k) for (const struct bd_kern *const *each = bd_kern_all(), *k = *each; k; k = *++each)

/* RMSNorm */

struct norm {
	double *x, *gain, *dy, eps;
	size_t T, n;
};

static double norm_at(const struct norm *c, size_t t, size_t i)
{
	double ss = 0;
	for (size_t j = 0; j < c->n; j++)
		ss += c->x[t * c->n + j] * c->x[t * c->n + j];
	return (c->gain ? c->gain[i] : 1) * c->x[t * c->n + i] / sqrt(ss / (double)c->n + c->eps);
}

static double norm_loss(void *ctx)
{
	const struct norm *c = ctx;
	double sum = 0;
	for (size_t t = 0; t < c->T; t++)
		for (size_t i = 0; i < c->n; i++)
			sum += c->dy[t * c->n + i] * norm_at(c, t, i);
	return sum;
}

static void norm_case(const struct bd_kern *k, size_t T, size_t n, bool gained)
{
	float *x = normal(T * n, 2), *gain = gained ? normal(n, 1) : NULL, *dy = normal(T * n, 1),
	      eps = 1e-2f;
	float *y = normal(T * n, 1), *r = normal(T, 1), *dx = normal(T * n, 1), *dgain = normal(n, 1);
	struct norm c = {
	    doubles(x, T * n), gained ? doubles(gain, n) : NULL, doubles(dy, T * n), (double)eps, T, n};
	double *want = doubles(NULL, T * n), *want_r = doubles(NULL, T);
	for (size_t t = 0; t < T; t++) {
		double ss = 0;
		for (size_t i = 0; i < n; i++) {
			want[t * n + i] = norm_at(&c, t, i);
			ss += c.x[t * n + i] * c.x[t * n + i];
		}
		want_r[t] = 1 / sqrt(ss / (double)n + c.eps);
	}
	ON(NULL, k, bd_rmsnorm_forward(dev, &(struct bd_rmsnorm){y, r, x, gain, eps, T, n}));
	assert_near("norm", y, want, T * n, 1e-6);
	assert_near("norm r", r, want_r, T, 1e-6);
	float *in_place = copy_of(x, T * n);
	ON(NULL, k, bd_rmsnorm_forward(dev, &(struct bd_rmsnorm){in_place, NULL, in_place, gain, eps, T, n}));
	assert_same("norm in place", in_place, y, T * n);

	double *want_dx = gradient(norm_loss, &c, c.x, T * n, dx),
	       *want_dx0 = gradient(norm_loss, &c, c.x, T * n, NULL);
	ON(NULL, k,
	   bd_rmsnorm_backward(dev, &(struct bd_rmsnorm_grad){dx, NULL, dy, x, r, gain, T, n, false}));
	assert_near("norm dx", dx, want_dx, T * n, 2e-6);
	double *want_dgain = NULL;
	if (gained)
		want_dgain = gradient(norm_loss, &c, c.gain, n, dgain);
	ON(NULL, k,
	   bd_rmsnorm_backward(
	       dev, &(struct bd_rmsnorm_grad){dy, gained ? dgain : NULL, dy, x, r, gain, T, n, true}));
	assert_near("norm dx over dy", dy, want_dx0, T * n, 2e-6);
	if (gained)
		assert_near("norm dgain", dgain, want_dgain, n, 2e-6);
	void *all[] = {x,      gain, dy,   y,      r,        dx,      dgain,    c.x,
	               c.gain, c.dy, want, want_r, in_place, want_dx, want_dx0, want_dgain};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_free(all[i]);
}

static void test_norm(void **state)
{
	(void)state;
	EACH_KERN(k)
	{
		norm_case(k, 3, 37, true);
		norm_case(k, 2, 64, true);
		norm_case(k, 2, 5, false);
	}
}

/* Rotary embedding */

static struct bd_rope rope(enum bd_rope_kind kind)
{
	return (struct bd_rope){.kind = kind,
	                        .theta = 500000,
	                        .factor = 32,
	                        .low = 1,
	                        .high = 4,
	                        .original = 8192,
	                        .attention = 1};
}

/* Inverse frequencies of Llama 3.2 1B (transformers' ROPE_INIT_FUNCTIONS["llama3"], evaluated in double):
 * kept up to pair 14, blended at 15, 16 and 17, divided by 32 from 18 on. */
static void test_rope_llama3(void **state)
{
	static const struct {
		size_t i;
		double inv;
	} known[] = {{0, 1.0},
	             {5, 0.12868737343265052},
	             {14, 0.003211445994752591},
	             {15, 0.001290547928209264},
	             {16, 0.00042955679655936815},
	             {17, 9.70828780262767e-05},
	             {18, 1.9461638184831125e-05},
	             {20, 8.570255889481878e-06},
	             {31, 9.41830672543491e-08}};
	enum { N = 3001 };
	struct bd_rope r = rope(BD_ROPE_LLAMA3);
	float *co = bd_alloc(N * 32, sizeof(*co)), *si = bd_alloc(N * 32, sizeof(*si));
	(void)state;
	bd_rope_table(co, si, &r, 64, N);
	for (size_t j = 0; j < sizeof(known) / sizeof(*known); j++)
		for (size_t t = 0; t < N; t += 1000) {
			assert_near1("llama3 cos", (double)co[t * 32 + known[j].i],
			             cos((double)t * known[j].inv), 1e-6);
			assert_near1("llama3 sin", (double)si[t * 32 + known[j].i],
			             sin((double)t * known[j].inv), 1e-6);
		}
	bd_free(co);
	bd_free(si);
}

/* YaRN over 32768 positions stretched by 4, theta 1e6, head 64 (transformers' ROPE_INIT_FUNCTIONS["yarn"],
 * evaluated in double): as Qwen publishes it, and with bounds of its own between whole pairs. And with a ramp
 * that would end beyond the head, at 83.2 or 84: it ends at 63. */
static void test_rope_yarn(void **state)
{
	static const size_t pair[] = {0, 11, 14, 17, 18, 19, 20, 31};
	static const struct {
		struct bd_rope r;
		double inv[sizeof(pair) / sizeof(*pair)];
	} known[] = {
	    {{BD_ROPE_YARN, 1e6, 4, 1, 32, 32768, 1.138629436111989, true},
	     {1.0, 0.008659643233600653, 0.0017785302792462413, 0.0003246908157881056, 0.00017570687642857595,
	      9.128065447547873e-05, 4.445698525097307e-05, 3.84981631514873e-07}},
	    {{BD_ROPE_YARN, 1e6, 4, 2, 16, 32768, 0.75, false},
	     {1.0, 0.008659643233600653, 0.0021510983562511698, 0.00028570487589714823,
	      0.00011986686741615794, 6.846049085660904e-05, 4.445698525097307e-05, 3.84981631514873e-07}},
	    {{BD_ROPE_YARN, 100, 4, 1, 40000, 1e6, 1, true},
	     {1.0, 0.19964826646111145, 0.1240915777151982, 0.07697460652089469, 0.06561574331658988,
	      0.05591897383017376, 0.04764280671751569, 0.008019319338121236}},
	    {{BD_ROPE_YARN, 100, 4, 1, 40000, 1e6, 1, false},
	     {1.0, 0.20130389478700902, 0.12510468534124058, 0.07759222081120977, 0.06613894847627377,
	      0.056361982454433815, 0.048017717525075956, 0.00807661338284788}},
	};
	enum { N = 3001 };
	float *co = bd_alloc(N * 32, sizeof(*co)), *si = bd_alloc(N * 32, sizeof(*si));
	(void)state;
	for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++) {
		bd_rope_table(co, si, &known[k].r, 64, N);
		for (size_t j = 0; j < sizeof(pair) / sizeof(*pair); j++)
			for (size_t t = 0; t < N; t += 1000) {
				double a = (double)t * known[k].inv[j], f = known[k].r.attention;
				assert_near1("yarn cos", (double)co[t * 32 + pair[j]], f * cos(a), 1e-6);
				assert_near1("yarn sin", (double)si[t * 32 + pair[j]], f * sin(a), 1e-6);
			}
	}
	bd_free(co);
	bd_free(si);
}

static void test_rope_default_linear(void **state)
{
	enum { N = 50, H = 32 };
	float co[2][N * H], si[2][N * H];
	struct bd_rope r = rope(BD_ROPE_DEFAULT);
	(void)state;
	bd_rope_table(co[0], si[0], &r, 64, N);
	r.kind = BD_ROPE_LINEAR, r.factor = 4;
	bd_rope_table(co[1], si[1], &r, 64, N);
	for (size_t t = 0; t < N; t++)
		for (size_t i = 0; i < H; i++) {
			double a = (double)t / pow(500000, (double)i / 32);
			assert_near1("cos", (double)co[0][t * H + i], cos(a), 1e-6);
			assert_near1("sin", (double)si[0][t * H + i], sin(a), 1e-6);
			assert_near1("linear cos", (double)co[1][t * H + i], cos(a / 4), 1e-6);
			assert_near1("linear sin", (double)si[1][t * H + i], sin(a / 4), 1e-6);
		}
}

static void test_rope_rotation(void **state)
{
	enum { T = 4, HEADS = 3, D = 10, N = T * HEADS * D };
	const uint32_t pos[T] = {7, 0, 39, 2};
	struct bd_rope r = {.theta = 10000, .attention = 1};
	float co[40 * D / 2], si[40 * D / 2], *x = normal(N, 1), *y = copy_of(x, N);
	double *x0 = doubles(x, N), *want = doubles(NULL, N);
	struct bd_rope_turn turn;
	(void)state;
	for (size_t t = 0; t < T; t++)
		for (size_t i = 0; i < D / 2; i++) {
			double a = pos[t] * pow(10000, -2.0 * (double)i / D);
			for (size_t h = 0; h < HEADS; h++) {
				const double *p = x0 + (t * HEADS + h) * D;
				want[(t * HEADS + h) * D + i] = p[i] * cos(a) - p[i + D / 2] * sin(a);
				want[(t * HEADS + h) * D + i + D / 2] = p[i] * sin(a) + p[i + D / 2] * cos(a);
			}
		}
	bd_rope_table(co, si, &r, D, 40);
	turn = (struct bd_rope_turn){y, NULL, co, si, pos, T, HEADS, 0, D};
	ON(NULL, NULL, bd_rope_forward(dev, &turn));
	assert_near("rope", y, want, N, 1e-6);
	ON(NULL, NULL, bd_rope_backward(dev, &turn)); /* a rotation's transpose is its inverse */
	assert_near("rope back", y, x0, N, 1e-6);
	bd_free(x), bd_free(y), bd_free(x0), bd_free(want);
}

/* Gated units */

struct glu {
	double *gate, *up, *dout;
	size_t n;
	enum bd_act act;
};

/* The activations as their papers have them. */
static double act_of(enum bd_act act, double g)
{
	if (act == BD_GELU_TANH)
		return 0.5 * g * (1 + tanh(sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
	return act == BD_SILU ? g / (1 + exp(-g)) : g > 0 ? g * g : 0;
}

static double glu_loss(void *ctx)
{
	const struct glu *c = ctx;
	double sum = 0;
	for (size_t i = 0; i < c->n; i++)
		sum += c->dout[i] * act_of(c->act, c->gate[i]) * c->up[i];
	return sum;
}

static void glu_case(const struct bd_kern *k, enum bd_act act)
{
	enum { N = 1100 }; /* more than one chunk of the implementation */
	float *gate = normal(N, 4), *up = normal(N, 1), *dout = normal(N, 1), *out = normal(N, 1),
	      *dg = normal(N, 1);
	float far = act == BD_RELU2 ? 9 : 200;
	gate[1] = far, gate[2] = -far, gate[3] = 0;
	struct glu c = {doubles(gate, N), doubles(up, N), doubles(dout, N), N, act};
	double *want = doubles(NULL, N);
	for (size_t i = 0; i < N; i++)
		want[i] = act_of(act, c.gate[i]) * c.up[i];
	ON(NULL, k, bd_glu_forward(dev, &(struct bd_glu){act, out, gate, up, 1, N}));
	assert_near("glu", out, want, N, 1e-6);
	double *want_dg = gradient(glu_loss, &c, c.gate, N, NULL),
	       *want_du = gradient(glu_loss, &c, c.up, N, NULL);
	ON(NULL, k,
	   bd_glu_backward(dev,
	                   &(struct bd_glu_grad){act, dg, dout, dout, gate, up, 1, N})); /* dup may be dout */
	assert_near("glu dgate", dg, want_dg, N, 1e-6);
	assert_near("glu dup", dout, want_du, N, 1e-6);
	ON(NULL, k, bd_glu_forward(dev, &(struct bd_glu){act, gate, gate, up, 1, N})); /* out may be gate */
	assert_same("glu in place", gate, out, N);
	void *all[] = {gate, up, dout, out, dg, c.gate, c.up, c.dout, want, want_dg, want_du};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_free(all[i]);
}

static void test_glu(void **state)
{
	(void)state;
	EACH_KERN(k)
	{
		glu_case(k, BD_SILU);
		glu_case(k, BD_GELU_TANH);
		glu_case(k, BD_RELU2);
	}
}

/* Attention */

struct shape {
	size_t n, past; /* queries, and keys before the first one */
	size_t window, H, G, D;
	float scale;
};

static struct bd_heads heads_of(const struct shape *a)
{
	return (struct bd_heads){a->H, a->G, a->D, a->window, a->scale};
}

struct attn {
	struct shape a;
	double *q, *k, *v, *dout, *out, *lse;
};

static void attn_naive(struct attn *c)
{
	const struct shape *a = &c->a;
	size_t D = a->D;
	for (size_t i = 0; i < a->n; i++)
		for (size_t h = 0; h < a->H; h++) {
			size_t g = h / (a->H / a->G), m = a->past + i + 1;
			double *out = c->out + (i * a->H + h) * D, z = 0;
			for (size_t d = 0; d < D; d++)
				out[d] = 0;
			for (size_t j = a->window && m > a->window ? m - a->window : 0; j < m; j++) {
				double s = 0;
				for (size_t d = 0; d < D; d++)
					s += c->q[(i * a->H + h) * D + d] * c->k[(j * a->G + g) * D + d];
				double e = exp(s * (double)a->scale);
				z += e;
				for (size_t d = 0; d < D; d++)
					out[d] += e * c->v[(j * a->G + g) * D + d];
			}
			for (size_t d = 0; d < D; d++)
				out[d] /= z;
			c->lse[i * a->H + h] = log(z);
		}
}

static double attn_loss(void *ctx)
{
	struct attn *c = ctx;
	double sum = 0;
	attn_naive(c);
	for (size_t i = 0; i < c->a.n * c->a.H * c->a.D; i++)
		sum += c->dout[i] * c->out[i];
	return sum;
}

static void attn_forward(const struct bd_kern *kern, const struct shape *a, float *out, float *lse,
                         const float *q, const float *k, const float *v)
{
	const size_t start[2] = {0, a->n};
	struct bd_attention o = {.heads = heads_of(a),
	                         .n_seq = 1,
	                         .start = start,
	                         .past = &a->past,
	                         .key = &k,
	                         .val = &v,
	                         .q = q,
	                         .out = out,
	                         .lse = lse};

	ON(NULL, kern, bd_attention_forward(dev, &o));
}

static void attention_case(const struct bd_kern *kern, struct shape a, bool backward)
{
	size_t nq = a.n * a.H * a.D, nk = (a.past + a.n) * a.G * a.D;
	float *q = normal(nq, 1), *k = normal(nk, 1), *v = normal(nk, 1), *dout = normal(nq, 1);
	float *out = normal(nq, 1), *lse = normal(a.n * a.H, 1), *dq = normal(nq, 1), *dk = normal(nk, 1),
	      *dv = normal(nk, 1);
	struct attn c = {a,
	                 doubles(q, nq),
	                 doubles(k, nk),
	                 doubles(v, nk),
	                 doubles(dout, nq),
	                 doubles(NULL, nq),
	                 doubles(NULL, a.n * a.H)};
	double *want_dq = NULL, *want_dk = NULL, *want_dv = NULL;

	attn_naive(&c);
	attn_forward(kern, &a, out, lse, q, k, v);
	assert_near("attention", out, c.out, nq, 2e-6);
	assert_near("attention lse", lse, c.lse, a.n * a.H, 2e-6);
	if (backward) {
		want_dq = gradient(attn_loss, &c, c.q, nq, dq);
		want_dk = gradient(attn_loss, &c, c.k, nk, dk);
		want_dv = gradient(attn_loss, &c, c.v, nk, dv);
		const size_t start[2] = {0, a.n};
		struct bd_attention_grad o = {heads_of(&a), 1, start, dq, dk, dv, dout, out, lse, q, k, v};
		ON(NULL, kern, bd_attention_backward(dev, &o));
		assert_near("attention dq", dq, want_dq, nq, 4e-6);
		assert_near("attention dk", dk, want_dk, nk, 4e-6);
		assert_near("attention dv", dv, want_dv, nk, 4e-6);
	}
	void *all[] = {q,   k,   v,   dout,   out,   lse,   dq,      dk,      dv,
	               c.q, c.k, c.v, c.dout, c.out, c.lse, want_dq, want_dk, want_dv};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_free(all[i]);
}

static void test_attention(void **state)
{
	(void)state;
	EACH_KERN(kern)
	{
		attention_case(
		    kern, (struct shape){.n = 1, .past = 0, .H = 2, .G = 1, .D = 8, .scale = 0.35f}, true);
		attention_case(kern, (struct shape){.n = 5, .past = 0, .H = 4, .G = 2, .D = 6, .scale = 0.4f},
		               true);
		attention_case(
		    kern, (struct shape){.n = 19, .past = 0, .H = 2, .G = 2, .D = 4, .scale = 0.5f}, true);
		attention_case(kern,
		               (struct shape){.n = 3, .past = 40, .H = 4, .G = 2, .D = 64, .scale = 0.125f},
		               false);
		attention_case(
		    kern, (struct shape){.n = 50, .past = 7, .H = 3, .G = 1, .D = 80, .scale = 0.1f}, false);
		/* Windows of one key, within a tile, over several, and wider than the sequence. */
		for (size_t window = 1; window < 100; window = 3 * window + 1) {
			attention_case(
			    kern,
			    (struct shape){.n = 19, .H = 4, .G = 2, .D = 6, .scale = 0.5f, .window = window},
			    true);
			attention_case(kern,
			               (struct shape){.n = 27,
			                              .past = 11,
			                              .H = 2,
			                              .G = 2,
			                              .D = 80,
			                              .scale = 0.1f,
			                              .window = window},
			               false);
			attention_case(
			    kern,
			    (struct shape){
			        .n = 3, .past = 37, .H = 2, .G = 1, .D = 8, .scale = 0.3f, .window = window},
			    false);
		}
	}
	/* Several blocks of queries. */
	attention_case(bd_kern(), (struct shape){.n = 139, .past = 0, .H = 2, .G = 1, .D = 2, .scale = 0.7f},
	               true);
	attention_case(bd_kern(),
	               (struct shape){.n = 139, .H = 2, .G = 1, .D = 2, .scale = 0.7f, .window = 70}, true);
}

/* The same sequence whole, in chunks over a cache, and with every instruction set: one answer. */
static void attention_bits(size_t window)
{
	enum { N = 300, H = 4, G = 2, D = 64 }; /* more than a block of keys */
	static const size_t chunk[] = {1, 1, 3, 17, 8, 15, 200, 44, 11};
	float *q = normal(N * H * D, 1), *k = normal(N * G * D, 1), *v = normal(N * G * D, 1);
	float *whole = normal(N * H * D, 1), *out = normal(N * H * D, 1), *lse0 = normal(N * H, 1),
	      *lse = normal(N * H, 1);
	struct shape a = {.n = N, .past = 0, .H = H, .G = G, .D = D, .scale = 0.125f, .window = window};
	attn_forward(&bd_kern_ref, &a, whole, lse0, q, k, v);
	EACH_KERN(kern)
	{
		a.past = 0;
		for (size_t i = 0; i < sizeof(chunk) / sizeof(*chunk); i++) {
			a.n = chunk[i];
			attn_forward(kern, &a, out + a.past * H * D, lse + a.past * H, q + a.past * H * D, k,
			             v);
			a.past += a.n;
		}
		assert_int_equal(a.past, N);
		assert_same("attention in chunks", out, whole, N * H * D);
		assert_same("lse in chunks", lse, lse0, N * H);
		memset(out, 0, N * H * D * sizeof(*out));
	}
	bd_free(q), bd_free(k), bd_free(v), bd_free(whole), bd_free(out), bd_free(lse0), bd_free(lse);
}

static void test_attention_bits(void **state)
{
	(void)state;
	attention_bits(0);
	attention_bits(5);
	attention_bits(20);
	attention_bits(270);
}

/* Backward of all heads at once on four threads (the GEMM library is called from each) equals one thread, bit
 * by bit. */
static void test_attention_threads(void **state)
{
	enum { N = 40, H = 8, D = 16, S = N * H * D, THREADS = 4 };
	struct shape a = {.n = N, .past = 0, .H = H, .G = H, .D = D, .scale = 0.25f};
	float *q = normal(S, 1), *k = normal(S, 1), *v = normal(S, 1), *dout = normal(S, 1),
	      *out = normal(S, 1), *lse = normal(N * H, 1);
	float *d = bd_alloc(3 * S, sizeof(*d)), *one = NULL;
	const size_t start[2] = {0, N};
	struct bd_attention_grad o = {heads_of(&a), 1, start, d, d + S, d + 2 * S, dout, out, lse, q, k, v};
	(void)state;
	attn_forward(bd_kern(), &a, out, lse, q, k, v);
	for (int round = 0; round < 50; round++) {
		struct bd_par *par = round ? bd_par_new(THREADS) : NULL;
		memset(d, 0, 3 * S * sizeof(*d));
		ON(par, NULL, bd_attention_backward(dev, &o));
		if (!round)
			one = copy_of(d, 3 * S);
		assert_same("attention on threads", d, one, 3 * S);
		bd_par_free(par);
	}
	bd_free(q), bd_free(k), bd_free(v), bd_free(dout), bd_free(out), bd_free(lse), bd_free(d),
	    bd_free(one);
}

/* Token table */

static void test_embed(void **state)
{
	enum { V = 900, C = 64, T = 5, P = 6 }; /* more than one block of converted rows a slice */
	const uint32_t ids[T] = {899, 0, 3, 3, 899};
	float *f32 = normal(V * C, 1), *q8_values = normal(V * C, 1), *out = normal(T * C, 1),
	      *h = normal(P * C, 1);
	float *z = normal(P * V, 1), *z1 = normal(P * V, 1), *f16_values = normal(V * C, 1);
	uint16_t f16[V * C];
	uint8_t q8[V * C / BD_Q8_0_BLOCK * BD_Q8_0_BYTES];
	uint16_t bf16[V * C];
	float *bf16_values = normal(V * C, 1);
	struct bd_par *par = bd_par_new(3);
	(void)state;
	bd_f16_row(f16, f32, V * C);
	bd_f32_row(f16_values, f16, V * C);
	bd_q8_0_pack(q8, f32, V * C);
	bd_q8_0_unpack(q8_values, q8, V * C);
	bd_table_store(BD_GGML_BF16, bf16, f32, V * C);
	bd_table_load(BD_GGML_BF16, bf16_values, bf16, V * C);
	struct {
		struct bd_table e;
		const float *values;
	} kinds[] = {{{BD_GGML_F32, V, C, f32}, f32},
	             {{BD_GGML_F16, V, C, f16}, f16_values},
	             {{BD_GGML_Q8_0, V, C, q8}, q8_values},
	             {{BD_GGML_BF16, V, C, bf16}, bf16_values}};
	for (size_t i = 0; i < 4; i++) {
		const struct bd_table *e = &kinds[i].e;
		ON(NULL, NULL, bd_embed_forward(dev, &(struct bd_embed){out, *e, 1, ids, T}));
		for (size_t t = 0; t < T; t++)
			assert_same("embedding", out + t * C, kinds[i].values + ids[t] * C, C);
		double *want = doubles(NULL, P * V);
		for (size_t p = 0; p < P; p++)
			for (size_t v = 0; v < V; v++)
				for (size_t c = 0; c < C; c++)
					want[p * V + v] +=
					    (double)h[p * C + c] * (double)kinds[i].values[v * C + c];
		EACH_KERN(k)
		{
			ON(par, k, bd_lm_head_forward(dev, &(struct bd_lm_head){z, h, *e, NULL, 0, P, true}));
			assert_near("head", z, want, P * V, 1e-6);
			for (size_t p = 0; p < P; p++)
				ON(NULL, &bd_kern_ref,
				   bd_lm_head_forward(dev, &(struct bd_lm_head){z1 + p * V, h + p * C, *e,
				                                                NULL, 0, 1, true}));
			assert_same("head by rows", z, z1, P * V);
			ON(par, k, bd_lm_head_forward(dev, &(struct bd_lm_head){z1, h, *e, ids, 2, P, true}));
			for (size_t p = 0; p < P; p++)
				for (size_t j = 0; j < 2; j++)
					assert_same("two rows", z1 + 2 * p + j, z + p * V + ids[j], 1);
		}
		bd_free(want);
	}
	float *scaled = normal(T * C, 1);
	ON(NULL, NULL, bd_embed_forward(dev, &(struct bd_embed){scaled, kinds[3].e, 3.5f, ids, T}));
	for (size_t i = 0; i < T * C; i++)
		assert_true(scaled[i] == 3.5f * out[i]);
	double *want = doubles(f32, V * C);
	for (size_t t = 0; t < T; t++)
		for (size_t c = 0; c < C; c++)
			want[ids[t] * C + c] += 3.5 * (double)out[t * C + c];
	ON(NULL, NULL, bd_embed_backward(dev, &(struct bd_embed_grad){f32, out, 3.5f, ids, T, C}));
	assert_near("embedding gradient", f32, want, V * C, 1e-6);
	bd_par_free(par);
	bd_free(f32), bd_free(q8_values), bd_free(f16_values), bd_free(out), bd_free(h), bd_free(z),
	    bd_free(z1), bd_free(want), bd_free(scaled), bd_free(bf16_values);
}

/* h as the integer head sees it: blocks of 32 rounded to multiples of max / 127. */
static float *in_blocks(const float *h, size_t n)
{
	float *x = bd_alloc(n, sizeof(*x));

	for (size_t b = 0; b < n; b += 32) {
		float max = 0;

		for (size_t i = b; i < b + 32; i++)
			max = fabsf(h[i]) > max ? fabsf(h[i]) : max;
		for (size_t i = b; i < b + 32; i++)
			x[i] = rintf(h[i] * (127 / max)) * (max / 127);
	}
	return x;
}

/* The head of quantised rows against its definition in double, near; by rows, threads and kernels, the same.
 * An odd number of blocks where the type allows it. */
static void test_integer_head(void **state)
{
	enum { V = 70, P = 9 };
	static const enum bd_ggml_type types[] = {BD_GGML_Q8_0, BD_GGML_Q4_0, BD_GGML_Q6_K};
	static const uint32_t some[] = {69, 0, 7};
	struct bd_par *par = bd_par_new(3);
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		size_t C = types[i] == BD_GGML_Q6_K ? 512 : 288;
		float *w = normal(V * C, 1), *h = normal(P * C, 1), *x = in_blocks(h, P * C),
		      *z = normal(P * V, 1), *z1 = normal(P * V, 1);
		uint8_t *rows = bd_alloc(bd_ggml_bytes(types[i], V, C), 1);
		double *want = doubles(NULL, P * V);
		struct bd_table e = {types[i], V, C, rows};
		bd_table_store(types[i], rows, w, V * C);
		bd_table_load(types[i], w, rows, V * C);
		for (size_t p = 0; p < P; p++)
			for (size_t v = 0; v < V; v++)
				for (size_t c = 0; c < C; c++)
					want[p * V + v] += (double)x[p * C + c] * (double)w[v * C + c];
		EACH_KERN(k)
		{
			ON(par, k, bd_lm_head_forward(dev, &(struct bd_lm_head){z, h, e, NULL, 0, P, false}));
			assert_near("integer head", z, want, P * V, 1e-6);
			for (size_t p = 0; p < P; p++)
				ON(NULL, &bd_kern_ref,
				   bd_lm_head_forward(dev, &(struct bd_lm_head){z1 + p * V, h + p * C, e,
				                                                NULL, 0, 1, false}));
			assert_same("integer head by rows", z, z1, P * V);
			ON(par, k,
			   bd_lm_head_forward(dev, &(struct bd_lm_head){z1, h, e, some, 3, P, false}));
			for (size_t p = 0; p < P; p++)
				for (size_t j = 0; j < 3; j++)
					assert_same("some rows", z1 + 3 * p + j, z + p * V + some[j], 1);
		}
		bd_free(w), bd_free(h), bd_free(x), bd_free(z), bd_free(z1), bd_free(rows), bd_free(want);
	}
	bd_par_free(par);
}

/* Rows that are wider than the room they are converted in, for several positions as for one. */
static void test_wide_head(void **state)
{
	enum { V = 5, C = 16384 + 64, P = 3 };
	float *values = normal(V * C, 1), *h = normal(P * C, 1), *z = normal(P * V, 1);
	uint16_t *half = bd_alloc(V * C, sizeof(*half));
	double *want = doubles(NULL, P * V);
	(void)state;
	bd_table_store(BD_GGML_BF16, half, values, V * C);
	bd_table_load(BD_GGML_BF16, values, half, V * C);
	for (size_t p = 0; p < P; p++)
		for (size_t v = 0; v < V; v++)
			for (size_t c = 0; c < C; c++)
				want[p * V + v] += (double)h[p * C + c] * (double)values[v * C + c];
	EACH_KERN(k)
	{
		memset(z, 0, P * V * sizeof(*z));
		ON(NULL, k,
		   bd_lm_head_forward(
		       dev, &(struct bd_lm_head){z, h, {BD_GGML_BF16, V, C, half}, NULL, 0, P, false}));
		assert_near("wide head", z, want, P * V, 1e-6);
	}
	bd_free(values), bd_free(h), bd_free(z), bd_free(half), bd_free(want);
}

/* Linear layers */

static void test_linear(void **state)
{
	enum { T = 5, N = 7, K = 11 };
	float *x = normal(T * K, 1), *w = normal(N * K, 1), *bias = normal(N, 1), *y = normal(T * N, 1),
	      *dy = normal(T * N, 1);
	float *dx = normal(T * K, 1), *dx0 = copy_of(dx, T * K), *dw = normal(N * K, 1), *db = normal(N, 1);
	double *wy = doubles(NULL, T * N), *wdx0 = doubles(NULL, T * K), *wdx1 = doubles(dx, T * K),
	       *wdw = doubles(dw, N * K);
	double *wdb = doubles(db, N), *wyb = doubles(NULL, T * N);
	(void)state;
	for (size_t t = 0; t < T; t++)
		for (size_t n = 0; n < N; n++) {
			double d = (double)dy[t * N + n];
			for (size_t i = 0; i < K; i++) {
				wy[t * N + n] += (double)x[t * K + i] * (double)w[n * K + i];
				wdx0[t * K + i] += d * (double)w[n * K + i];
				wdx1[t * K + i] += d * (double)w[n * K + i];
				wdw[n * K + i] += d * (double)x[t * K + i];
			}
			wdb[n] += d;
			wyb[t * N + n] = wy[t * N + n] + (double)bias[n];
		}
	ON(NULL, NULL,
	   bd_dense_forward(dev, &(struct bd_dense){.y = y, .x = x, .w = w, .T = T, .N = N, .K = K}));
	assert_near("linear", y, wy, T * N, 1e-6);
	ON(NULL, NULL,
	   bd_dense_forward(
	       dev, &(struct bd_dense){.y = y, .x = x, .w = w, .bias = bias, .T = T, .N = N, .K = K}));
	assert_near("linear with bias", y, wyb, T * N, 1e-6);
	ON(NULL, NULL, bd_dense_backward(dev, &(struct bd_dense_grad){dx, 1, dw, db, dy, x, w, T, N, K}));
	assert_near("linear dx", dx, wdx1, T * K, 1e-6);
	assert_near("linear dw", dw, wdw, N * K, 1e-6);
	assert_near("linear dbias", db, wdb, N, 1e-6);
	ON(NULL, NULL, bd_dense_backward(dev, &(struct bd_dense_grad){dx0, 0, dw, NULL, dy, x, w, T, N, K}));
	assert_near("linear dx stored", dx0, wdx0, T * K, 1e-6);
	void *all[] = {x, w, bias, y, dy, dx, dx0, dw, db, wy, wdx0, wdx1, wdw, wdb, wyb};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_free(all[i]);
}

/* Weights of two bytes, for few tokens and for many, in more than one block of rows: as the numbers that they
 * are. */
static void test_half_linear(void **state)
{
	enum { T = 9, N = 900, K = 601 };
	static const size_t tokens[] = {1, 3, 4, 9};
	float *x = normal(T * K, 1), *w = normal(N * K, 1), *bias = normal(N, 1), *y = normal(T * N, 1);
	uint16_t *half = bd_alloc(N * K, sizeof(*half));
	struct bd_par *par = bd_par_new(2);
	(void)state;
	for (int bf16 = 0; bf16 < 2; bf16++) {
		enum bd_ggml_type type = bf16 ? BD_GGML_BF16 : BD_GGML_F16;
		double *want = doubles(NULL, T * N);
		bd_table_store(type, half, w, N * K);
		bd_table_load(type, w, half, N * K);
		for (size_t t = 0; t < T; t++)
			for (size_t n = 0; n < N; n++) {
				for (size_t i = 0; i < K; i++)
					want[t * N + n] += (double)x[t * K + i] * (double)w[n * K + i];
				want[t * N + n] += (double)bias[n];
			}
		for (size_t i = 0; i < 4; i++)
			EACH_KERN(k)
			{
				struct bd_dense o = {y, x, NULL, bias, tokens[i], N, K, half, bf16 == 1};
				ON(par, k, bd_dense_forward(dev, &o));
				assert_near("half linear", y, want, tokens[i] * N, 2e-6);
			}
		bd_free(want);
	}
	bd_par_free(par);
	bd_free(x), bd_free(w), bd_free(bias), bd_free(y), bd_free(half);
}

static void test_ternary(void **state)
{
	enum { T = 70, N = 9, K = 150, KPAD = 256 };
	float *x = normal(T * K, 1), *w = normal(N * K, 1), *bias = normal(N, 1), *what = normal(N * K, 1),
	      *xhat = normal(T * K, 1);
	float *y = normal(T * N, 1), *first = NULL, scale = bd_absmean(w, N, K);
	uint8_t *codes = bd_alloc(N, bd_ternary_stride(K));
	struct bd_int8 q = {bd_alloc(T * KPAD, 1), bd_alloc(T, sizeof(float)), bd_alloc(T, sizeof(int32_t))};
	struct bd_par *par = bd_par_new(2);
	double *want = doubles(NULL, T * N), *want_x = doubles(x, T * K);
	(void)state;
	bd_ternary_pack(codes, w, N, K, scale);
	bd_ternary_unpack(what, codes, N, K, scale);
	for (size_t t = 0; t < T; t++) {
		double a = 0;
		for (size_t i = 0; i < K; i++)
			a = fmax(a, fabs((double)x[t * K + i]));
		for (size_t i = 0; i < K; i++)
			want_x[t * K + i] = a / 127 * rint(127 * (double)x[t * K + i] / a);
		for (size_t n = 0; n < N; n++) {
			want[t * N + n] = (double)bias[n];
			for (size_t i = 0; i < K; i++)
				want[t * N + n] += want_x[t * K + i] * (double)what[n * K + i];
		}
	}
	EACH_KERN(k)
	{
		struct bd_ternary o = {y, q, codes, scale, bias, T, N, K};
		ON(NULL, k, bd_int8_forward(dev, &(struct bd_quantise){q, x, T, K}));
		ON(NULL, k, bd_int8_dequant(dev, &(struct bd_dequantise){xhat, q, T, K}));
		assert_near("int8", xhat, want_x, T * K, 1e-6);
		ON(par, k, bd_ternary_forward(dev, &o)); /* by tokens */
		assert_near("ternary", y, want, T * N, 1e-6);
		if (!first)
			first = copy_of(y, T * N);
		assert_same("ternary of another kernel", y, first, T * N);
		o.T = 7;
		ON(par, k, bd_ternary_forward(dev, &o)); /* by output rows */
		assert_same("ternary of few tokens", y, first, 7 * N);
	}
	bd_par_free(par);
	void *all[] = {x, w, bias, what, xhat, y, first, codes, q.q, q.step, q.sum, want, want_x};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_free(all[i]);
}

/* What another device finds its versions by. */
static void test_list(void **state)
{
	size_t n = 0;

	(void)state;
	for (; bd_ops[n] != NULL; n++) {
		assert_non_null(bd_ops[n]->cpu);
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(bd_ops[i]->name, bd_ops[n]->name);
	}
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_norm),
	    cmocka_unit_test(test_rope_llama3),
	    cmocka_unit_test(test_rope_yarn),
	    cmocka_unit_test(test_rope_default_linear),
	    cmocka_unit_test(test_rope_rotation),
	    cmocka_unit_test(test_glu),
	    cmocka_unit_test(test_attention),
	    cmocka_unit_test(test_attention_bits),
	    cmocka_unit_test(test_attention_threads),
	    cmocka_unit_test(test_embed),
	    cmocka_unit_test(test_integer_head),
	    cmocka_unit_test(test_wide_head),
	    cmocka_unit_test(test_linear),
	    cmocka_unit_test(test_half_linear),
	    cmocka_unit_test(test_ternary),
	    cmocka_unit_test(test_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
