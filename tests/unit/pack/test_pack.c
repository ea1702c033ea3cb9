/* Packed files: the same bits as the directory they come from, for every type, batch, thread count and
 * kernel, and with a cache; altered or truncated files are detected or refused. */
#include "base/digest.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "device.h"
#include "eval/eval.h"
#include "format/gguf.h"
#include "machine/quant.h"
#include "math/op_embed.h"
#include "model/ckpt.h"
#include "net/net_ckpt.h"
#include "net/net_model.h"
#include "pack/pack.h"
#include "pack/packed.h"
#include "run/infer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { V = 96, T = 37 };

/* Widths that are not multiples of 128 or 256, key/value heads shared, attention wider than the hidden size;
 * every family, windows shorter than the sequence, scaled rope. */
static const char *const config[] = {
    "{\"model_type\": \"qwen3\", \"hidden_size\": 96, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
    " \"num_key_value_heads\": 2, \"head_dim\": 40, \"intermediate_size\": 172, \"vocab_size\": 96,"
    " \"max_position_embeddings\": 64, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-6, \"rope_theta\": "
    "10000.0,"
    " \"tie_word_embeddings\": true, \"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\","
    " \"golden\": [[1, 2, 3], [5, 8, 13, 21, 34, 55]]}}",
    "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 3, \"num_attention_heads\": 8,"
    " \"num_key_value_heads\": 4, \"intermediate_size\": 300, \"vocab_size\": 96, "
    "\"max_position_embeddings\": 64,"
    " \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"attention_bias\": true,"
    " \"tie_word_embeddings\": false, \"bitdistill\": {\"norms\": \"all\", \"weights\": \"ternary\"}}",
    "{\"model_type\": \"gemma3_text\", \"hidden_size\": 96, \"num_hidden_layers\": 3, "
    "\"num_attention_heads\": 4,"
    " \"num_key_value_heads\": 1, \"head_dim\": 40, \"intermediate_size\": 172, \"vocab_size\": 96, "
    "\"max_position_embeddings\": 64,"
    " \"sliding_window\": 9, \"sliding_window_pattern\": 2, \"query_pre_attn_scalar\": 50, \"rope_theta\": "
    "1000000.0,"
    " \"rope_local_base_freq\": 10000.0, \"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\"}}",
    "{\"model_type\": \"qwen2\", \"hidden_size\": 64, \"num_hidden_layers\": 3, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2,"
    " \"intermediate_size\": 140, \"vocab_size\": 96, \"max_position_embeddings\": 64, "
    "\"use_sliding_window\": true,"
    " \"sliding_window\": 12, \"max_window_layers\": 2, \"tie_word_embeddings\": true,"
    " \"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\"}}",
    "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, "
    "\"intermediate_size\": 130,"
    " \"vocab_size\": 96, \"max_position_embeddings\": 64, \"rope_theta\": 10000.0, \"rope_scaling\": "
    "{\"rope_type\": \"yarn\","
    " \"factor\": 4.0, \"beta_fast\": 8.0, \"original_max_position_embeddings\": 256},"
    " \"bitdistill\": {\"norms\": \"none\", \"weights\": \"ternary\"}}",
    "{\"model_type\": \"bitnet\", \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2,"
    " \"intermediate_size\": 130, \"vocab_size\": 96, \"max_position_embeddings\": 64, \"bitdistill\": "
    "{\"weights\": \"ternary\"}}",
};
enum { CONFIGS = sizeof(config) / sizeof(*config) };

static char root[] = "/tmp/bd-test-pack-XXXXXX";
static char *dir[CONFIGS], *file;
static uint32_t ids[T];

/* Random weights, gains around one, biases around zero. */
static struct bd_model *model_of(const char *text)
{
	json_t *json = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(json, "test");
	struct bd_model *m = bd_model_new(&c);

	bd_model_init(m, 5);
	for (size_t i = 0; i < m->n_param; i++) {
		const struct bd_param *p = &m->param[i];

		for (size_t j = 0; p->rows == 1 && j < p->cols; j++)
			m->data[p->off + j] += 0.1f * (float)bd_rng_normal(9, i, j);
	}
	bd_config_free(&c);
	json_decref(json);
	return m;
}

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(root) == NULL)
		return -1;
	bd_msg_tool("test_pack");
	for (size_t i = 0; i < CONFIGS; i++) {
		struct bd_model *m = model_of(config[i]);
		struct bd_outdir *out;

		dir[i] = bd_sprintf("%s/model%zu", root, i);
		out = bd_outdir_open(dir[i], false);
		bd_model_save(m, bd_outdir_path(out), BD_F32, NULL);
		bd_outdir_commit(out);
		bd_model_free(m);
	}
	file = bd_sprintf("%s/packed.gguf", root);
	for (size_t i = 0; i < T; i++)
		ids[i] = (uint32_t)bd_rng_below(3, 0, i, V);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bd_remove_tree(root);
	for (size_t i = 0; i < CONFIGS; i++)
		bd_free(dir[i]);
	bd_free(file);
	return 0;
}

/* z[T,V] of ids[T] in one sequence. */
static float *logits(struct bd_net *net)
{
	return logits_of(net, ids, T);
}

static void assert_same(const float *a, const float *b, size_t n)
{
	assert_memory_equal(a, b, n * sizeof(*a));
	for (size_t i = 0; i < n; i++)
		assert_true(isfinite(a[i]));
}

/* ---- the same bits ---- */

static void test_student_is_the_trained_net(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONFIGS; i++) {
		struct bd_model *m = bd_model_load(dir[i]);
		struct bd_net *trained = bd_net_from_model(m, cpu(), true);
		struct bd_net *student = bd_net_from_ckpt(bd_ckpt_open(dir[i]), cpu(), true);
		float *a = logits(trained), *b = logits(student);

		assert_same(a, b, T * V);
		bd_free(a);
		bd_free(b);
		bd_net_free(trained);
		bd_net_free(student);
		bd_model_free(m);
	}
}

static void check_scales(const struct bd_net *net, const char *d)
{
	struct bd_model *m = bd_model_load(d);

	for (int l = 0; l < net->cfg.layers; l++)
		for (int i = 0; i < BD_LINS; i++) {
			const struct bd_linear *w = &net->block[l].lin[i];
			float scale =
			    bd_absmean(bd_model_data(m, (enum bd_slot)(BD_W + i), l), w->out, w->in);

			assert_memory_equal(&w->scale, &scale, sizeof(scale));
		}
	bd_model_free(m);
}

static void test_packed_is_the_student(void **state)
{
	static const enum bd_ggml_type type[] = {BD_GGML_I2_S, BD_GGML_TQ2_0};

	(void)state;
	for (size_t i = 0; i < CONFIGS; i++)
		for (size_t k = 0; k < 2; k++) {
			struct bd_pack_opt o = {.ternary = type[k], .embd = BD_GGML_F32};
			struct bd_net *student = bd_net_from_ckpt(bd_ckpt_open(dir[i]), cpu(), true), *packed;
			float *a = logits(student), *b;

			bd_pack_write(dir[i], file, &o, cpu());
			packed = bd_packed_open(file, cpu());
			b = logits(packed);
			assert_same(a, b, T * V);
			check_scales(packed, dir[i]);
			bd_free(a);
			bd_free(b);
			bd_net_free(student);
			bd_net_free(packed);
		}
}

/* Rounded tables: exactly what rounding the table by hand gives, if quantised rows, too, are multiplied as
 * floats. */
static void test_tables(void **state)
{
	static const enum bd_ggml_type type[] = {BD_GGML_F16, BD_GGML_Q8_0};
	size_t n, prompts;

	(void)state;
	for (size_t i = 0; i < CONFIGS; i++)
		for (size_t k = 0; k < 2; k++) {
			struct bd_pack_opt o = {.ternary = BD_GGML_I2_S, .embd = type[k]};
			struct bd_net *packed;
			struct bd_model *m = bd_model_load(dir[i]);
			struct bd_net *rounded;
			float *a, *b;

			bd_pack_write(dir[i], file, &o, cpu());
			assert_int_equal(bd_packed_check(file, &n), 0);
			assert_int_equal(bd_packed_verify(file, cpu(), &prompts), 0);
			assert_int_equal(prompts, i == 0 ? 2 : 4); /* of the config; our own */
			assert_true(n > 20);
			packed = bd_packed_open(file, cpu());
			assert_int_equal(packed->head.type, type[k]);
			for (int head = 0; head < 2; head++) {
				const char *name = head ? "output.weight" : "token_embd.weight";
				float *w = bd_model_data(m, head ? BD_HEAD : BD_EMBED, -1);

				for (size_t r = 0; w != NULL && r < V; r++)
					bd_gguf_f32(bd_gguf_find(packed->release_arg, name), r,
					            w + r * packed->embed.cols);
			}
			rounded = bd_net_from_model(m, cpu(), false);
			rounded->first = packed->first = true;
			a = logits(rounded);
			b = logits(packed);
			assert_same(a, b, T * V);
			bd_free(a);
			bd_free(b);
			bd_net_free(rounded);
			bd_net_free(packed);
			bd_model_free(m);
		}
}

static void open_file(void *path)
{
	bd_net_free(bd_packed_open(path, cpu()));
}

/* A file of version 1, of ternary-gemma3 with a head in q8_0, has golden prompts that this program's
 * arithmetic does not give, and that of its version does. */
static void test_first_version(void **state)
{
	size_t n, prompts, at = strlen("bd.version") + 4; /* the value follows its type */
	const char *golden = getenv("BD_GOLDEN");
	char *first = bd_sprintf("%s/packed-first.gguf", golden != NULL ? golden : "tests/golden"),
	     *bytes = bd_read_file(first, &n), *key = memmem(bytes, n, "bd.version", strlen("bd.version"));

	(void)state;
	assert_int_equal(bd_packed_check(first, &prompts), 0);
	assert_int_equal(bd_packed_verify(first, cpu(), &prompts), 0);
	assert_int_equal(prompts, 4);
	assert_non_null(key);
	assert_int_equal(key[at], 1);
	bd_verify(false); /* its digest is that of the file as it was */
	key[at] = 2;
	bd_write_file(file, bytes, n);
	assert_true(bd_packed_verify(file, cpu(), &prompts) > 0);
	key[at] = 3;
	bd_write_file(file, bytes, n);
	child_dies(open_file, file, BD_DATA, "bd.version 3; this program reads versions 1 to 2");
	bd_verify(true);
	bd_free(bytes);
	bd_free(first);
}

static void collect(void *ctx, size_t s, size_t P, const size_t *row, float *z)
{
	float *all = ctx; /* [T - 1, V]: the logits that predict ids[1 ..] */

	(void)s;
	for (size_t j = 0; j < P; j++)
		memcpy(all + (row[j] - 1) * V, z + j * V, V * sizeof(*z));
}

/* Whole, in a batch of others, in pieces over the cache, token by token, again after a
 * rewind; threads; kernels. */
static void test_invariance(void **state)
{
	const struct bd_kern *const *kern;

	(void)state;
	for (size_t i = 0; i < CONFIGS; i++) {
		struct bd_pack_opt o = {.ternary = BD_GGML_I2_S, .embd = BD_GGML_F16};
		struct bd_infer *m;
		struct bd_seq *s;
		float *whole, *all = bd_zalloc(T * V, sizeof(*all));
		uint8_t target[T];

		bd_pack_write(dir[i], file, &o, cpu());
		m = bd_infer_open(file, cpu(), false);
		whole = logits(m->net);
		s = bd_seq_new(m, T);
		for (size_t t = 0; t < T; t++)
			assert_same(bd_seq_feed(s, ids + t, 1), whole + t * V, V);
		bd_seq_rewind(s, 5);
		assert_int_equal(bd_seq_length(s), 5);
		assert_same(bd_seq_feed(s, ids + 5, 12), whole + 16 * V, V);
		assert_same(bd_seq_feed(s, ids + 17, T - 17), whole + (T - 1) * V, V);
		bd_seq_free(s);
		memset(target, 1, T);
		target[0] = 0;
		for (int threads = 1; threads <= 3; threads++) {
			struct bd_dev *dev = bd_dev_threads(threads);
			struct bd_infer *p = bd_infer_open(file, dev, false);
			struct bd_record r[3] = {{.n = 7, .ids = ids + 9, .target = target},
			                         {.n = T, .ids = ids, .target = target},
			                         {.n = 2, .ids = ids + 3, .target = target}};
			struct bd_record last = r[2];

			r[2] = r[1]; /* the last record collected is the long one */
			r[1] = last;
			bd_infer_batch(p, r, 3, collect, all);
			assert_same(all, whole, (T - 1) * V);
			memset(all, 0, T * V * sizeof(*all));
			bd_infer_close(p);
			bd_dev_close(dev);
		}
		{ /* tensors are touched through the device only */
			struct bd_dev *dev = locked_new(NULL);
			struct bd_infer *p = bd_infer_open(file, dev, false);
			struct bd_seq *q = bd_seq_new(p, 4);

			for (size_t t = 0; t < T; t++)
				assert_same(bd_seq_feed(q, ids + t, 1), whole + t * V, V);
			bd_seq_free(q);
			bd_infer_close(p);
			bd_dev_close(dev);
		}
		for (kern = bd_kern_all(); *kern != NULL; kern++) {
			struct bd_dev *dev = bd_dev_cpu(NULL, *kern);
			struct bd_net *net = bd_packed_open(file, dev);
			float *z = logits(net);

			assert_same(z, whole, T * V);
			bd_free(z);
			bd_net_free(net);
			bd_dev_close(dev);
		}
		bd_free(all);
		bd_free(whole);
		bd_infer_close(m);
	}
}

/* Packing and unpacking on the locked device: the same files. */
static void test_locked_device(void **state)
{
	static const enum bd_ggml_type type[] = {BD_GGML_I2_S, BD_GGML_TQ2_0};
	struct bd_dev *dev = locked_new(NULL);
	char *other = bd_sprintf("%s/other.gguf", root), *to = bd_sprintf("%s/locked", root),
	     *weights = bd_path(to, "model.safetensors");

	(void)state;
	for (size_t i = 0; i < CONFIGS; i++)
		for (size_t k = 0; k < 2; k++) {
			struct bd_pack_opt o = {.ternary = type[k],
			                        .embd = k == 0 ? BD_GGML_F16 : BD_GGML_F32};
			size_t n[4];
			char *text[4];

			bd_pack_write(dir[i], file, &o, cpu());
			bd_pack_write(dir[i], other, &o, dev);
			text[0] = bd_read_file(file, &n[0]);
			text[1] = bd_read_file(other, &n[1]);
			bd_packed_unpack(file, to, true, BD_F32, cpu());
			text[2] = bd_read_file(weights, &n[2]);
			bd_packed_unpack(file, to, true, BD_F32, dev);
			text[3] = bd_read_file(weights, &n[3]);
			for (int j = 0; j < 4; j += 2) {
				assert_int_equal(n[j], n[j + 1]);
				assert_memory_equal(text[j], text[j + 1], n[j]);
			}
			for (int j = 0; j < 4; j++)
				bd_free(text[j]);
		}
	bd_dev_close(dev);
	bd_free(other);
	bd_free(to);
	bd_free(weights);
}

static void test_unpack(void **state)
{
	struct bd_pack_opt o = {.ternary = BD_GGML_TQ2_0, .embd = BD_GGML_F32};
	char *to = bd_sprintf("%s/unpacked", root);

	(void)state;
	for (size_t i = 0; i < CONFIGS; i++) {
		struct bd_model *m, *back;

		bd_pack_write(dir[i], file, &o, cpu());
		bd_packed_unpack(file, to, true, BD_F32, cpu());
		m = bd_model_load(dir[i]);
		back = bd_model_load(to);
		assert_false(back->cfg.ternary);
		assert_int_equal(back->n_param, m->n_param);
		for (size_t j = 0; j < m->n_param; j++) {
			const struct bd_param *p = &m->param[j];
			const float *w = m->data + p->off, *u = back->data + back->param[j].off;
			bool linear = bd_slot_info(p->slot)->kind == BD_KIND_LINEAR;
			float D = bd_absmean(w, p->rows, p->cols);

			for (size_t k = 0; k < p->rows * p->cols; k++) {
				float want = linear ? D * fmaxf(-1, fminf(1, rintf(w[k] / D))) : w[k];

				assert_true(u[k] == want);
			}
		}
		bd_model_free(m);
		bd_model_free(back);
	}
	bd_free(to);
}

/* ---- scores ---- */

/* A stream of labelled examples: class = 0 or 1, choices 10 and 20, the label at the end; one of
 * them lost its answer. */
static void write_stream(const char *path, size_t n)
{
	struct bd_stream_head h = {.vocab = V, .layer = -1, .n_choice = 2};
	struct bd_sink *s;

	strcpy(h.tokenizer, "0123456789abcdef0123456789abcdef");
	h.choice = bd_alloc(2, sizeof(*h.choice));
	h.choice[0] = 10;
	h.choice[1] = 20;
	s = bd_sink_open(path, 0, &h);
	for (size_t i = 0; i < n; i++) {
		struct bd_record r = {.n = 3 + i % 9, .label = (int32_t)(i % 2)};

		r.ids = bd_alloc(r.n, sizeof(*r.ids));
		r.target = bd_zalloc(r.n, 1);
		for (size_t j = 0; j < r.n; j++)
			r.ids[j] = (uint32_t)bd_rng_below(8, i, j, V);
		r.ids[r.n - 1] = h.choice[r.label];
		r.target[r.n - 1] = i != 4;
		bd_sink_put(s, &r);
		bd_record_free(&r);
	}
	bd_sink_close(s);
	bd_stream_head_free(&h);
}

/* The same by the definitions, one example at a time. */
static struct bd_score score_slowly(struct bd_infer *m, const char *path, uint64_t confusion[4])
{
	struct bd_source *src = bd_source_open(path);
	struct bd_record r = {0};
	struct bd_score s = {0};

	while (bd_source_next(src, &r)) {
		struct bd_seq *one = bd_seq_new(m, r.n);
		const float *z = bd_seq_feed(one, r.ids, r.n - 1);
		double sum = 0;
		size_t best = 0, guess = z[20] > z[10];

		s.labelled++;
		for (size_t i = 0; i < V; i++) {
			sum += exp((double)z[i]);
			best = z[i] > z[best] ? i : best;
		}
		if (r.target[r.n - 1]) {
			s.nll += log(sum) - (double)z[r.ids[r.n - 1]];
			s.tokens++;
			s.correct += guess == (size_t)r.label;
			s.exact += best == r.ids[r.n - 1];
			s.invalid += best != 10 && best != 20;
			confusion[2 * (size_t)r.label + guess]++;
		} else {
			s.invalid++;
		}
		s.examples++;
		bd_seq_free(one);
	}
	bd_source_close(src);
	return s;
}

static void test_eval(void **state)
{
	struct bd_pack_opt o = {.ternary = BD_GGML_I2_S, .embd = BD_GGML_F32};
	char *stream = bd_sprintf("%s/stream.bds", root);
	uint64_t want_confusion[4] = {0};
	struct bd_infer *m;
	struct bd_score want;
	size_t batch[] = {1, 40, 100000};

	(void)state;
	write_stream(stream, 60);
	bd_pack_write(dir[1], file, &o, cpu());
	m = bd_infer_open(file, cpu(), false);
	want = score_slowly(m, stream, want_confusion);
	assert_true(want.correct > 0 && want.correct < 59);
	for (size_t i = 0; i < 3; i++) {
		uint64_t confusion[4] = {0};
		struct bd_eval_opts out = {.confusion = confusion};
		struct bd_source *src = bd_source_open(stream);
		struct bd_score s = bd_eval(m->net, src, batch[i], &out);

		assert_int_equal(s.examples, 60);
		assert_int_equal(s.labelled, 60);
		assert_int_equal(s.tokens, 59);
		assert_int_equal(s.correct, want.correct);
		assert_int_equal(s.exact, want.exact);
		assert_int_equal(s.invalid, want.invalid);
		assert_true(fabs(s.nll - want.nll) < 1e-4);
		assert_memory_equal(confusion, want_confusion, sizeof(confusion));
		bd_source_close(src);
	}
	bd_infer_close(m);
	bd_free(stream);
}

/* Both ends of the interval solve the equation it is defined by. */
static void test_interval(void **state)
{
	struct bd_infer *m = bd_infer_open(dir[0], cpu(), false);
	char *stream = bd_sprintf("%s/interval.bds", root);
	struct bd_source *src;
	struct bd_score s;
	double p, z = 1.959964, n = 20;

	(void)state;
	write_stream(stream, 20);
	src = bd_source_open(stream);
	s = bd_eval(m->net, src, 64, NULL);
	p = (double)s.correct / n;
	/* (p - x)^2 = z^2 x (1 - x) / n */
	assert_true(fabs((p - s.low) * (p - s.low) - z * z * s.low * (1 - s.low) / n) < 1e-6);
	assert_true(fabs((p - s.high) * (p - s.high) - z * z * s.high * (1 - s.high) / n) < 1e-6);
	assert_true(s.low < p && p < s.high);
	bd_source_close(src);
	bd_infer_close(m);
	bd_free(stream);
}

/* ---- bad files ---- */

struct bytes {
	char *p;
	size_t n;
};

static void write_bytes(const struct bytes *b, size_t n)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static struct bytes good_file(size_t i)
{
	struct bd_pack_opt o = {.ternary = i == 0 ? BD_GGML_I2_S : BD_GGML_TQ2_0, .embd = BD_GGML_F16};
	struct bytes b;

	bd_pack_write(dir[i], file, &o, cpu());
	b.p = bd_read_file(file, &b.n);
	return b;
}

/* Opens the file and runs it. */
static void use(void *arg)
{
	struct bd_net *net = bd_packed_open(file, cpu());
	size_t n;

	(void)arg;
	bd_free(logits(net));
	bd_net_free(net);
	bd_packed_check(file, &n);
	bd_packed_verify(file, cpu(), &n);
}

static void test_changed_weights(void **state)
{
	struct bytes b = good_file(0);
	struct bd_gguf *g = bd_gguf_open(file);
	const struct bd_gguf_tensor *t = bd_gguf_find(g, "blk.1.ffn_up.weight"),
	                            *first = bd_gguf_tensor_at(g, 0);
	size_t n, at = (size_t)((const char *)t->data - (const char *)first->data);
	char *data = memmem(b.p, b.n, first->data, first->bytes);

	(void)state;
	assert_non_null(data);
	data[at + 3] ^= 0x40; /* another code */
	write_bytes(&b, b.n);
	assert_int_equal(bd_packed_check(file, &n), 1);
	child_dies(use, NULL, BD_DATA, "tensor blk.1.ffn_up.weight: damaged");
	bd_verify(false);
	assert_int_equal(bd_packed_verify(file, cpu(), &n), 2); /* all of its prompts */
	bd_verify(true);
	data[at + 3] ^= 0x40;
	write_bytes(&b, b.n);
	assert_int_equal(bd_packed_check(file, &n), 0);
	assert_int_equal(bd_packed_verify(file, cpu(), &n), 0);
	bd_gguf_close(g);
	bd_free(b.p);
}

static void test_cut_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONFIGS; i++) {
		struct bytes b = good_file(i);

		for (size_t k = 0; k < 24; k++) {
			write_bytes(&b, k < 12 ? b.n * k / 12 : (size_t)bd_rng_below(4, i, k, b.n - 64));
			child_dies(use, NULL, BD_DATA, file);
		}
		bd_free(b.p);
	}
}

/* Without a look at digests, a changed byte anywhere before the data: refused, or (in a text) without
 * consequence, but never a crash. */
static void test_changed_headers(void **state)
{
	int refused = 0, trials = 150;

	(void)state;
	bd_verify(false);
	for (size_t i = 0; i < CONFIGS; i++) {
		struct bytes b = good_file(i);

		for (int k = 0; k < trials; k++) {
			size_t at = (size_t)bd_rng_below(6, i, 2 * (uint64_t)k, 9000);
			char was = b.p[at];
			struct child c;

			b.p[at] ^= (char)(1 << bd_rng_below(6, i, 2 * (uint64_t)k + 1, 8));
			write_bytes(&b, b.n);
			c = child_run(use, NULL);
			if (c.signal != 0 || (c.status != BD_OK && c.status != BD_DATA))
				fail_msg("byte %zu: exit %d, signal %d: %s", at, c.status, c.signal, c.err);
			refused += c.status == BD_DATA;
			b.p[at] = was;
		}
		bd_free(b.p);
	}
	bd_verify(true);
	assert_true(refused > trials / 4);
}

static void pack_dense(void *arg)
{
	struct bd_pack_opt o = {.ternary = BD_GGML_I2_S, .embd = BD_GGML_F32, .force = arg != NULL};
	char *to = bd_sprintf("%s/unpacked", root), *out = bd_sprintf("%s/dense.gguf", root);

	bd_pack_write(to, out, &o, cpu());
	bd_free(to);
	bd_free(out);
}

static void pack_odd_q8_0(void *arg)
{
	struct bd_pack_opt o = {.ternary = BD_GGML_I2_S, .embd = BD_GGML_Q8_0};

	bd_pack_write(arg, file, &o, cpu());
}

/* A directory whose config has these prompts; the caller frees its path. */
static char *with_prompts(const char *golden)
{
	char *text = bd_sprintf("{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 1,"
	                        " \"num_attention_heads\": 2, \"intermediate_size\": 130, \"vocab_size\": 96,"
	                        " \"bitdistill\": {\"norms\": \"none\", \"weights\": \"ternary\"%s}}",
	                        golden),
	     *path = bd_sprintf("%s/golden", root);
	struct bd_model *m = model_of(text);
	struct bd_outdir *out = bd_outdir_open(path, true);

	bd_model_save(m, bd_outdir_path(out), BD_F32, NULL);
	bd_outdir_commit(out);
	bd_model_free(m);
	bd_free(text);
	return path;
}

static void pack_prompts(void *path)
{
	bd_pack_write(path, file, &(struct bd_pack_opt){.embd = BD_GGML_F32}, cpu());
}

/* A prompt is a list of ids of the vocabulary. */
static void test_golden_refused(void **state)
{
	static const char *const bad[] = {"96", "-1", "1.5", "\"x\"", "null"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *golden = bd_sprintf(", \"golden\": [[7], [95, %s]]", bad[i]),
		     *path = with_prompts(golden);

		child_dies(pack_prompts, path, BD_DATA, "prompt 1 has an id outside the vocabulary");
		bd_free(golden);
		bd_free(path);
	}
	char *path = with_prompts(", \"golden\": [[7], []]");
	child_dies(pack_prompts, path, BD_DATA, "prompt 1 is not a list of ids");
	bd_free(path);
}

/* The likeliest token after the prompt, and the hash of the logits there. */
static void check_golden(struct bd_net *net, const json_t *golden)
{
	const json_t *list = json_object_get(golden, "ids");
	size_t n = json_array_size(list), best = 0;
	uint32_t prompt[32];
	char hex[17];

	assert_in_range(n, 1, 32);
	for (size_t i = 0; i < n; i++)
		prompt[i] = (uint32_t)json_integer_value(json_array_get(list, i));
	float *z = logits_of(net, prompt, n), *last = z + (n - 1) * V;
	for (size_t v = 0; v < V; v++)
		best = last[v] > last[best] ? v : best;
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)bd_hash64(last, V * sizeof(*last)));
	assert_int_equal(json_integer_value(json_object_get(golden, "argmax")), best);
	assert_string_equal(json_string_value(json_object_get(golden, "xxh3")), hex);
	bd_free(z);
}

/* The prompts of the config, however few, are those of the file; four others where it has none. */
static void test_golden_prompts(void **state)
{
	static const struct {
		const char *own;
		size_t n, ids[4]; /* how many prompts, and of how many ids each */
	} cases[] = {
	    {"", 4, {1, 9, 17, 25}},
	    {", \"golden\": []", 4, {1, 9, 17, 25}},
	    {", \"golden\": [[7, 95]]", 1, {2}},
	    {", \"golden\": [[1, 2, 3], [0], [5, 8]]", 3, {3, 1, 2}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *path = with_prompts(cases[i].own);
		size_t len;
		pack_prompts(path);
		struct bd_gguf *g = bd_gguf_open(file);
		const char *stored = bd_gguf_str(g, "bd.golden", &len);
		json_t *golden = bd_json_parse(stored, len, "bd.golden");
		assert_int_equal(json_array_size(golden), cases[i].n);
		struct bd_net *net = bd_net_from_ckpt(bd_ckpt_open(path), cpu(), true);
		for (size_t j = 0; j < cases[i].n; j++) {
			assert_int_equal(json_array_size(json_object_get(json_array_get(golden, j), "ids")),
			                 cases[i].ids[j]);
			check_golden(net, json_array_get(golden, j));
		}
		bd_net_free(net);
		json_decref(golden);
		bd_gguf_close(g);
		bd_free(path);
	}
}

/* ---- looked at before it is kept ---- */

static size_t wrong_at; /* the call that goes wrong, counted from 1 */

/* Spoils a logit. */
static void wrong_logits(struct watcher *w, const struct bd_op *op, const void *operands)
{
	if (op == &bd_op_lm_head_forward && ++w->n == wrong_at)
		*((const struct bd_lm_head *)operands)->z += 1;
}

/* Spoils a byte of what is fetched, if it is a linear's codes. */
static void wrong_codes(struct watcher *w, void *host, size_t size)
{
	if (size > V * sizeof(float) && ++w->n == wrong_at)
		*(char *)host ^= 0x40;
}

static void pack_wrong(void *arg)
{
	struct watcher w = *(struct watcher *)arg;
	struct bd_pack_opt o = {.ternary = BD_GGML_I2_S, .embd = BD_GGML_F32};

	bd_pack_write(dir[0], file, &o, watched_new(&w));
}

/* A file that is not what was meant is not kept. Two prompts are run when they are stored, and again; all
 * linears' codes are fetched for the digests, and again. */
static void test_read_back(void **state)
{
	enum { LINEARS = 2 * 7 };
	struct watcher logits = {.ran = wrong_logits}, codes = {.fetched = wrong_codes}, none = {0};

	(void)state;
	remove(file);
	wrong_at = 4;
	child_dies(pack_wrong, &logits, BD_NO,
	           "1 of 2 golden prompts give logits other than those of the directory; no output was kept");
	wrong_at = 3;
	child_dies(pack_wrong, &logits, BD_NO, "1 of 2 golden prompts");
	wrong_at = 2 * LINEARS;
	child_dies(pack_wrong, &codes, BD_NO, " tensors differ when read back; no output was kept");
	wrong_at = LINEARS + 1;
	child_dies(pack_wrong, &codes, BD_NO, ": 1 of ");
	assert_false(bd_exists(file));
	assert_int_equal(child_run(pack_wrong, &none).status, BD_OK);
	assert_true(bd_exists(file));
}

static void test_refusals(void **state)
{
	static const char odd[] =
	    "{\"model_type\": \"llama\", \"hidden_size\": 52, \"num_hidden_layers\": 1, "
	    "\"num_attention_heads\": 2,"
	    " \"num_key_value_heads\": 1, \"intermediate_size\": 64, \"vocab_size\": 96, "
	    "\"max_position_embeddings\": 64,"
	    " \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true,"
	    " \"bitdistill\": {\"weights\": \"ternary\"}}";
	struct bd_model *m = model_of(odd);
	char *out = bd_sprintf("%s/dense.gguf", root), *to = bd_sprintf("%s/odd", root);
	struct bd_outdir *d = bd_outdir_open(to, false);

	(void)state;
	bd_model_save(m, bd_outdir_path(d), BD_BF16, NULL);
	bd_outdir_commit(d);
	child_dies(pack_odd_q8_0, to, BD_DATA, "multiple of 32");
	child_dies(pack_dense, NULL, BD_DATA, "not trained as a ternary model");
	assert_false(bd_exists(out));
	assert_int_equal(child_run(pack_dense, out).status, BD_OK);
	assert_true(bd_exists(out));
	bd_model_free(m);
	bd_free(out);
	bd_free(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_student_is_the_trained_net),
	    cmocka_unit_test(test_packed_is_the_student),
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_first_version),
	    cmocka_unit_test(test_invariance),
	    cmocka_unit_test(test_unpack),
	    cmocka_unit_test(test_locked_device),
	    cmocka_unit_test(test_eval),
	    cmocka_unit_test(test_interval),
	    cmocka_unit_test(test_changed_weights),
	    cmocka_unit_test(test_cut_files),
	    cmocka_unit_test(test_changed_headers),
	    cmocka_unit_test(test_golden_prompts),
	    cmocka_unit_test(test_golden_refused),
	    cmocka_unit_test(test_read_back),
	    cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
