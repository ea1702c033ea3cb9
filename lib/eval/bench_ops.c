/* The operations of a forward pass, each in the shapes of the model. */
#include "eval/bench_ops.h"

#include "base/mem.h"
#include "eval/bench_op.h"
#include "machine/cpu.h"
#include "machine/quant.h"
#include "math/devices.h"
#include "math/op_attention.h"
#include "math/op_embed.h"
#include "math/op_rmsnorm.h"
#include "format/gguf_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TOGETHER = 512 /* tokens of a prompt that run together (infer.c) */ };

/* ---- linears ---- */

static void run_ternary(const struct bd_timing *x, const struct bd_timed *o)
{
	bd_ternary_forward(x->dev, &(struct bd_ternary){o->out, o->q, o->w + o->copy * o->size, 0.01f, NULL,
	                                                o->T, o->N, o->K});
}

static void run_dense(const struct bd_timing *x, const struct bd_timed *o)
{
	const uint8_t *w = o->w + o->copy * o->size;
	bool half = x->shape.stored != BD_GGML_F32;

	bd_dense_forward(x->dev, &(struct bd_dense){.y = o->out,
	                                            .x = o->in,
	                                            .w = half ? NULL : (const float *)w,
	                                            .T = o->T,
	                                            .N = o->N,
	                                            .K = o->K,
	                                            .half = half ? (const uint16_t *)w : NULL,
	                                            .bf16 = x->shape.stored == BD_GGML_BF16});
}

/* "linear k v": those of this shape, of which l is the first; false: it is not. */
static bool linear_name(const struct bd_config *c, enum bd_lin l, char *name, size_t n)
{
	static const char *const word[BD_LINS] = {"q", "k", "v", "o", "gate", "up", "down"};
	size_t used = (size_t)snprintf(name, n, "linear");

	for (enum bd_lin i = 0; i < BD_LINS; i++) {
		if (bd_lin_in(c, i) != bd_lin_in(c, l) || bd_lin_out(c, i) != bd_lin_out(c, l))
			continue;
		if (i < l)
			return false;
		used += (size_t)snprintf(name + used, n - used, " %s", word[i]);
	}
	return true;
}

static void linear(const struct bd_timing *x, enum bd_lin l, size_t T)
{
	const struct bd_config *c = &x->shape.cfg;
	struct bd_timed o = {.T = T, .K = bd_lin_in(c, l), .N = bd_lin_out(c, l)};
	size_t row = c->ternary ? bd_ternary_stride(o.K) : bd_ggml_bytes(x->shape.stored, 1, o.K);
	float *host;
	uint8_t *stored;

	if (!linear_name(c, l, o.name, sizeof(o.name)))
		return;
	host = bd_timed_host(o.K);
	stored = bd_alloc(row, 1);
	snprintf(o.shape, sizeof(o.shape), "%zu x %zu", o.N, o.K);
	o.type = c->ternary ? "ternary" : bd_ggml_name(x->shape.stored);
	o.roof = c->ternary ? BD_ROOF_INT8 : BD_ROOF_F32;
	o.run = c->ternary ? run_ternary : run_dense;
	o.size = o.N * row;
	o.bytes = (double)o.size;
	o.operations = 2.0 * (double)o.N * (double)o.K * (double)T;
	o.in = bd_timed_numbers(x, T * o.K);
	o.out = bd_dev_alloc(x->dev, T * o.N, sizeof(float));
	o.q = bd_timed_int8(x, T, o.K);
	bd_int8_forward(x->dev, &(struct bd_quantise){o.q, o.in, T, o.K});
	if (c->ternary)
		bd_ternary_pack(stored, host, 1, o.K, 0.25f);
	else
		bd_table_store(x->shape.stored, stored, host, o.K);
	bd_timed_place(x, &o, stored, row);
	bd_timed_run(x, &o);
	bd_free(stored);
	bd_free(host);
}

/* ---- the head ---- */

static void run_head(const struct bd_timing *x, const struct bd_timed *o)
{
	struct bd_table table = {x->shape.stored, o->N, o->K, o->w + o->copy * o->size};

	bd_lm_head_forward(x->dev, &(struct bd_lm_head){.z = o->out, .h = o->in, .table = table, .P = o->T});
}

static void head(const struct bd_timing *x, size_t P)
{
	const struct bd_config *c = &x->shape.cfg;
	struct bd_timed o = {.name = "head", .T = P, .K = (size_t)c->hidden, .N = (size_t)c->vocab};
	size_t row = bd_ggml_bytes(x->shape.stored, 1, o.K);
	float *host = bd_timed_host(o.K);
	uint8_t *stored = bd_alloc(row, 1);

	bd_table_store(x->shape.stored, stored, host, o.K);
	snprintf(o.shape, sizeof(o.shape), "%zu x %zu", o.N, o.K);
	o.type = bd_ggml_name(x->shape.stored);
	o.roof = x->shape.stored == BD_GGML_F32 || bd_ggml_half(x->shape.stored) ? BD_ROOF_F32 : BD_ROOF_INT8;
	o.run = run_head;
	o.size = o.N * row;
	o.bytes = (double)o.size;
	o.operations = 2.0 * (double)o.N * (double)o.K * (double)P;
	o.in = bd_timed_numbers(x, P * o.K);
	o.out = bd_dev_alloc(x->dev, P * o.N, sizeof(float));
	bd_timed_place(x, &o, stored, row);
	bd_timed_run(x, &o);
	bd_free(stored);
	bd_free(host);
}

/* ---- attention ---- */

static struct bd_heads heads(const struct bd_config *c)
{
	return (struct bd_heads){(size_t)c->heads, (size_t)c->kv_heads, (size_t)c->head_dim, 0,
	                         c->attn_scale};
}

static void run_attention(const struct bd_timing *x, const struct bd_timed *o)
{
	const struct bd_config *c = &x->shape.cfg;
	const float *key = (const float *)(o->w + o->copy * o->size),
	            *val = key + o->size / sizeof(float) / 2;
	size_t start[2] = {0, o->T};

	bd_attention_forward(x->dev, &(struct bd_attention){.heads = heads(c),
	                                                    .n_seq = 1,
	                                                    .start = start,
	                                                    .past = &o->depth,
	                                                    .key = &key,
	                                                    .val = &val,
	                                                    .q = o->in,
	                                                    .out = o->out,
	                                                    .lse = o->out + o->T * o->N});
}

/* Keys and values lie behind each other, as those of a layer. */
static void attention(const struct bd_timing *x, size_t T, size_t depth)
{
	const struct bd_config *c = &x->shape.cfg;
	struct bd_timed o = {.name = "attention", .type = "f32", .T = T, .depth = depth, .roof = BD_ROOF_F32};
	size_t H = (size_t)c->heads, row = (size_t)(c->kv_heads * c->head_dim);
	double seen = (double)T * ((double)depth + ((double)T + 1) / 2); /* keys of all queries */
	float *host = bd_timed_host(row);

	o.N = o.K = H * (size_t)c->head_dim;
	snprintf(o.shape, sizeof(o.shape), "%d of %d x %d", c->heads, c->kv_heads, c->head_dim);
	o.run = run_attention;
	o.size = 2 * (depth + T) * row * sizeof(float);
	o.bytes = (double)o.size;
	o.operations = 4 * seen * (double)o.N;
	o.in = bd_timed_numbers(x, T * o.N);
	o.out = bd_dev_alloc(x->dev, T * (o.N + H), sizeof(float));
	bd_timed_place(x, &o, host, row * sizeof(*host));
	bd_timed_run(x, &o);
	bd_free(host);
}

/* ---- norm and quantiser ---- */

static void run_norm(const struct bd_timing *x, const struct bd_timed *o)
{
	bd_rmsnorm_forward(x->dev,
	                   &(struct bd_rmsnorm){o->out, NULL, o->in, NULL, x->shape.cfg.eps, o->T, o->K});
	if (x->shape.cfg.ternary)
		bd_int8_forward(x->dev, &(struct bd_quantise){o->q, o->out, o->T, o->K});
}

static void norm(const struct bd_timing *x, size_t K, size_t T)
{
	struct bd_timed o = {.type = "f32", .run = run_norm, .T = T, .K = K, .roof = BD_ROOF_F32};

	snprintf(o.name, sizeof(o.name), x->shape.cfg.ternary ? "norm, quantise" : "norm");
	snprintf(o.shape, sizeof(o.shape), "%zu", K);
	o.bytes = (double)(T * K * sizeof(float));
	o.operations = 4.0 * (double)(T * K); /* square, sum, factor, gain */
	o.in = bd_timed_numbers(x, T * K);
	o.out = bd_dev_alloc(x->dev, T * K, sizeof(float));
	o.q = bd_timed_int8(x, T, K);
	bd_timed_run(x, &o);
}

/* ---- all of them ---- */

static size_t weight_bytes(const struct bd_shape *s)
{
	const struct bd_config *c = &s->cfg;
	size_t n = bd_ggml_bytes(s->stored, (size_t)c->vocab, (size_t)c->hidden);

	for (enum bd_lin l = 0; l < BD_LINS; l++)
		n += (size_t)c->layers * bd_lin_out(c, l) *
		     (c->ternary ? bd_ternary_stride(bd_lin_in(c, l))
		                 : bd_ggml_bytes(s->stored, 1, bd_lin_in(c, l)));
	return n;
}

/* Numbers of tokens to be timed: those of decoding, then those of prompts. Returns how many are of the
 * former. */
static size_t token_counts(const struct bd_bench_plan *p, struct bd_ints *out)
{
	struct bd_ints all = p->sequences;
	size_t decoding = 0;

	for (size_t i = 0; i < p->prefill.n && all.n < sizeof(all.v) / sizeof(*all.v); i++)
		all.v[all.n++] = p->prefill.v[i] < TOGETHER ? p->prefill.v[i] : TOGETHER;
	out->n = 0;
	for (size_t i = 0; i < all.n; i++) {
		bool known = all.v[i] == 0;

		for (size_t j = 0; j < out->n; j++)
			known |= out->v[j] == all.v[i];
		if (!known)
			out->v[out->n++] = all.v[i];
		decoding = i < p->sequences.n ? out->n : decoding;
	}
	return decoding;
}

static void time_all(const struct bd_timing *x, const struct bd_bench_plan *p)
{
	const struct bd_config *c = &x->shape.cfg;
	struct bd_ints tokens;
	size_t decoding = token_counts(p, &tokens);

	for (enum bd_lin l = 0; l < BD_LINS; l++)
		for (size_t i = 0; i < tokens.n; i++)
			linear(x, l, (size_t)tokens.v[i]);
	for (size_t i = 0; i < decoding; i++)
		head(x, (size_t)tokens.v[i]);
	for (size_t d = 0; d < p->depth.n; d++) {
		attention(x, 1, (size_t)p->depth.v[d]);
		for (size_t i = decoding; i < tokens.n; i++)
			attention(x, (size_t)tokens.v[i], (size_t)p->depth.v[d]);
	}
	for (size_t i = 0; i < tokens.n; i++) {
		norm(x, (size_t)c->hidden, (size_t)tokens.v[i]);
		norm(x, (size_t)c->ffn, (size_t)tokens.v[i]);
	}
}

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void print_row(const json_t *o)
{
	char span[48];

	snprintf(span, sizeof(span), "(%.1f-%.1f)", 1e6 * number(o, "seconds_min"),
	         1e6 * number(o, "seconds_max"));
	printf("%-16s %-8s %-18s %6.0f %7.0f %7.0f %10.1f %-21s %9.1f %8.2f %6.1f%% %s\n",
	       json_string_value(json_object_get(o, "operation")),
	       json_string_value(json_object_get(o, "type")), json_string_value(json_object_get(o, "shape")),
	       number(o, "n_tokens"), number(o, "n_depth"), number(o, "n_threads"),
	       1e6 * number(o, "seconds"), span, number(o, "operations_per_second") / 1e9,
	       number(o, "bytes_per_second") / 1e9, 100 * number(o, "of_peak"),
	       json_string_value(json_object_get(o, "peak")));
}

static void print_rows(const json_t *rows)
{
	const json_t *o;
	size_t i;

	printf("\n%-16s %-8s %-18s %6s %7s %7s %10s %-21s %9s %8s %s\n", "operation", "type", "shape",
	       "tokens", "depth", "threads", "us", "(min-max)", "GOP/s", "GB/s", "of the peak");
	json_array_foreach(rows, i, o)
		print_row(o);
}

static void print(const json_t *rows, enum bd_bench_format f)
{
	json_t *all = json_pack("{s:o, s:s, s:O}", "cpu", bd_json_string(bd_cpu_name()), "kernels",
	                        bd_kern()->name, "operations", rows);
	char *text = bd_json_text(all, true);

	if (f == BD_BENCH_JSON)
		puts(text);
	else if (f == BD_BENCH_CSV)
		bd_bench_csv(rows);
	else
		print_rows(rows);
	bd_free(text);
	json_decref(all);
}

void bd_bench_ops(const struct bd_bench_plan *p, enum bd_bench_format f)
{
	struct bd_timing x = {
	    .shape = bd_shape_open(p->model), .reps = (size_t)p->reps, .rows = json_array()};

	x.weights = weight_bytes(&x.shape);
	if (f == BD_BENCH_TABLE)
		printf("%s, %s kernels\n", bd_cpu_name(), bd_kern()->name);
	for (size_t g = 0; g < p->threads.n; g++) {
		x.threads = p->threads.v[g];
		x.dev = bd_dev_open((int)x.threads);
		x.roof = bd_roofline_measure(x.dev->par, p->roofline);
		if (f == BD_BENCH_TABLE)
			bd_bench_print_roof(&x.roof, x.threads);
		time_all(&x, p);
		bd_dev_close(x.dev);
	}
	print(x.rows, f);
	json_decref(x.rows);
	bd_shape_close(&x.shape);
}
