/* Packed files, reading: every size and name is checked against the config inside before a byte is used. */
#include "packed.h"

#include "gguf.h"
#include "hash.h"
#include "history.h"
#include "io.h"
#include "mem.h"
#include "msg.h"
#include "quant.h"
#include "student.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 96 };

static _Noreturn void die_shape(const char *path, const struct bd_gguf_tensor *t, size_t rows, size_t cols)
{
	bd_die(BD_DATA, "%s: %s: %s of %zu x %zu where the config wants %zu x %zu; pack the model again", path,
	       t->name, bd_ggml_name(t->type), t->rows, t->cols, rows, cols);
}

static const struct bd_gguf_tensor *tensor(const struct bd_gguf *g, const char *name)
{
	const struct bd_gguf_tensor *t = bd_gguf_find(g, name);

	if (t == NULL)
		bd_die(BD_DATA, "%s: tensor %s is missing; pack the model again", bd_gguf_path(g), name);
	return t;
}

static void want_type(const struct bd_gguf *g, const struct bd_gguf_tensor *t, bool fits, const char *wanted)
{
	if (!fits)
		bd_die(BD_DATA, "%s: %s: type %s where %s is wanted; pack the model again", bd_gguf_path(g), t->name,
		       bd_ggml_name(t->type), wanted);
}

static const float *vector(const struct bd_gguf *g, const char *name, size_t n)
{
	const struct bd_gguf_tensor *t = tensor(g, name);

	want_type(g, t, t->type == BD_GGML_F32, "F32");
	if (t->rows != 1 || t->cols != n)
		die_shape(bd_gguf_path(g), t, 1, n);
	return t->data;
}

static struct bd_table table(const struct bd_gguf *g, const char *name, size_t rows, size_t cols)
{
	const struct bd_gguf_tensor *t = tensor(g, name);

	want_type(g, t, t->type == BD_GGML_F32 || t->type == BD_GGML_F16 || t->type == BD_GGML_Q8_0,
	          "F32, F16 or Q8_0");
	if (t->rows != rows || t->cols != cols)
		die_shape(bd_gguf_path(g), t, rows, cols);
	return (struct bd_table){.type = (enum bd_ggml_type)t->type, .rows = rows, .cols = cols, .p = t->data};
}

/* I2_S codes [out, stride(in)] of TQ2_0 blocks whose own scale is 1; the net owns them. */
static const uint8_t *codes_of_tq2_0(struct bd_net *net, const struct bd_gguf *g, const struct bd_gguf_tensor *t,
                                     size_t out, size_t in)
{
	size_t stride = bd_ternary_stride(in), from = bd_tq2_0_stride(in);
	uint8_t *codes = bd_net_own(net, bd_alloc(bd_mul(out, stride), 1));

	for (size_t n = 0; n < out; n++)
		if (bd_tq2_0_to_i2_s(codes + n * stride, (const uint8_t *)t->data + n * from, in) != 1.0f)
			bd_die(BD_DATA, "%s: %s: row %zu: block scales other than 1; pack the model again",
			       bd_gguf_path(g), t->name, n);
	return codes;
}

static void fill_linear(struct bd_net *net, const struct bd_gguf *g, const char *name, struct bd_linear *lin,
                        size_t out, size_t in)
{
	const struct bd_gguf_tensor *t = tensor(g, name);
	size_t block = t->type == BD_GGML_TQ2_0 ? 256 : 128, cols = (in + block - 1) / block * block;
	char scale[NAME];

	want_type(g, t, t->type == BD_GGML_I2_S || t->type == BD_GGML_TQ2_0, "I2_S or TQ2_0");
	if (t->rows != out || t->cols != cols)
		die_shape(bd_gguf_path(g), t, out, cols);
	lin->in = in;
	lin->out = out;
	if (t->type == BD_GGML_I2_S) {
		lin->codes = t->data;
		memcpy(&lin->scale, lin->codes + out * bd_ternary_stride(in), sizeof(float));
	} else {
		lin->codes = codes_of_tq2_0(net, g, t, out, in);
		snprintf(scale, sizeof(scale), "%.*s.scale", (int)(strlen(name) - strlen(".weight")), name);
		lin->scale = *vector(g, scale, 1);
	}
	if (!isfinite(lin->scale) || lin->scale <= 0)
		bd_die(BD_DATA, "%s: %s: scale %g; a positive number is wanted", bd_gguf_path(g), t->name,
		       (double)lin->scale);
}

static void close_gguf(void *g)
{
	bd_gguf_close(g);
}

json_t *bd_packed_history(const struct bd_gguf *g)
{
	json_t *list = json_array();
	const void *data;
	uint32_t type;
	size_t n;

	if (!bd_gguf_has(g, "bd.history"))
		return list;
	n = bd_gguf_array(g, "bd.history", &type, &data);
	for (size_t i = 0; type == BD_GGUF_STR && i < n; i++)
		json_array_append_new(list, json_string(((const char *const *)data)[i]));
	return list;
}

static struct bd_config config(const struct bd_gguf *g)
{
	const char *path = bd_gguf_path(g), *text;
	struct bd_config c;
	json_t *json;
	char *name;
	size_t n;

	if (!bd_gguf_has(g, "bd.version"))
		bd_die(BD_DATA, "%s: a GGUF file that bd-pack did not write (no key bd.version)", path);
	if (bd_gguf_uint(g, "bd.version") != BD_PACKED_VERSION)
		bd_die(BD_DATA, "%s: bd.version %llu; this program reads version %d", path,
		       (unsigned long long)bd_gguf_uint(g, "bd.version"), BD_PACKED_VERSION);
	text = bd_gguf_str(g, "bd.config", &n);
	name = bd_sprintf("%s: bd.config", path);
	json = bd_json_parse(text, n, name);
	c = bd_config_parse(json, name);
	json_decref(json);
	bd_free(name);
	c.ternary = true;
	json_object_set_new(bd_config_bitdistill(&c), "history", bd_packed_history(g));
	if ((size_t)c.layers > bd_gguf_tensors(g) / BD_LINS) /* before anything of that size is allocated */
		bd_die(BD_DATA, "%s: %zu tensors are too few for the %d layers of its config", path, bd_gguf_tensors(g),
		       c.layers);
	return c;
}

struct bd_net *bd_packed_open(const char *path, struct bd_par *par)
{
	struct bd_gguf *g = bd_gguf_open(path);
	struct bd_config c = config(g);
	struct bd_net *net = bd_net_new(&c, par);
	size_t n;
	struct bd_part *part = bd_net_parts(net, &n);
	char name[NAME];

	for (size_t i = 0; i < n; i++) {
		const struct bd_part *p = &part[i];

		bd_slot_gguf_name(p->slot, p->layer, name, sizeof(name));
		if (p->kind == BD_KIND_TABLE)
			*p->table = table(g, name, p->rows, p->cols);
		else if (p->kind == BD_KIND_LINEAR)
			fill_linear(net, g, name, p->linear, p->rows, p->cols);
		else
			*p->vector = vector(g, name, p->cols);
	}
	bd_free(part);
	bd_config_free(&c);
	if (net->cfg.tied)
		net->head = net->embed;
	net->release = close_gguf;
	net->release_arg = g;
	return net;
}

const char *bd_packed_digest(const struct bd_net *net)
{
	return bd_gguf_str_or(net->release_arg, BD_PACKED_DIGEST, "");
}

/* ---- checks ---- */

size_t bd_packed_check(const char *path, size_t *n)
{
	struct bd_gguf *g = bd_gguf_open(path);
	size_t bad = 0, stored;
	const char *const *digest;
	const void *data;
	uint32_t type;
	char hex[17];

	*n = bd_gguf_tensors(g);
	bad += bd_gguf_has(g, BD_PACKED_DIGEST) && !bd_gguf_digest_ok(g, BD_PACKED_DIGEST);
	stored = bd_gguf_array(g, "bd.tensor_digests", &type, &data);
	if (type != BD_GGUF_STR || stored != *n)
		bd_die(BD_DATA, "%s: bd.tensor_digests: %zu entries for %zu tensors", path, stored, *n);
	digest = data;
	for (size_t i = 0; i < *n; i++) {
		const struct bd_gguf_tensor *t = bd_gguf_tensor_at(g, i);

		snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)bd_hash64(t->data, t->bytes));
		bad += strcmp(hex, digest[i]) != 0;
	}
	bd_gguf_close(g);
	return bad;
}

json_t *bd_golden(struct bd_net *net, const uint32_t *ids, size_t n)
{
	size_t V = (size_t)net->cfg.vocab, start[2] = {0, n}, last = n - 1, best = 0;
	struct bd_batch b = {.n_seq = 1, .T = n, .start = start, .ids = (uint32_t *)ids};
	struct bd_acts *a = bd_acts_new(net, false);
	float *z = bd_alloc(V, sizeof(*z));
	json_t *list = json_array(), *golden;
	char hex[17];

	bd_net_logits(net, z, bd_net_forward(net, a, &b, NULL), &last, 1, false);
	for (size_t i = 1; i < V; i++)
		if (z[i] > z[best])
			best = i;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(ids[i]));
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)bd_hash64(z, V * sizeof(*z)));
	golden = json_pack("{s:o, s:I, s:s}", "ids", list, "argmax", (json_int_t)best, "xxh3", hex);
	bd_free(z);
	bd_acts_free(a);
	return golden;
}

/* The "ids" of a golden entry; dies unless they are a few ids of the vocabulary. */
static size_t golden_ids(const json_t *entry, uint32_t vocab, uint32_t **ids, const char *path)
{
	const json_t *list = bd_json_get(entry, "ids");
	size_t n = json_array_size(list);

	if (n == 0)
		bd_die(BD_DATA, "%s: bd.golden: an entry without ids", path);
	*ids = bd_alloc(n, sizeof(**ids));
	for (size_t i = 0; i < n; i++) {
		json_int_t id = json_integer_value(json_array_get(list, i));

		if (!json_is_integer(json_array_get(list, i)) || id < 0 || id >= (json_int_t)vocab)
			bd_die(BD_DATA, "%s: bd.golden: an id outside the vocabulary", path);
		(*ids)[i] = (uint32_t)id;
	}
	return n;
}

size_t bd_packed_verify(const char *path, struct bd_par *par, size_t *n)
{
	struct bd_net *net = bd_packed_open(path, par);
	struct bd_gguf *g = net->release_arg;
	size_t len, bad = 0;
	const char *text = bd_gguf_str(g, "bd.golden", &len);
	json_t *golden = bd_json_parse(text, len, path);

	*n = json_array_size(golden);
	for (size_t i = 0; i < *n; i++) {
		const json_t *stored = json_array_get(golden, i);
		uint32_t *ids;
		size_t n_ids = golden_ids(stored, (uint32_t)net->cfg.vocab, &ids, path);
		json_t *now = bd_golden(net, ids, n_ids);

		bad += !json_equal(stored, now);
		json_decref(now);
		bd_free(ids);
	}
	json_decref(golden);
	bd_net_free(net);
	return bad;
}

/* ---- unpacking ---- */

static void write_text(const struct bd_gguf *g, const char *key, const char *dir, const char *file)
{
	const char *text;
	char *path;
	size_t n;

	if (!bd_gguf_has(g, key))
		return;
	text = bd_gguf_str(g, key, &n);
	path = bd_path(dir, file);
	bd_write_file(path, text, n);
	bd_free(path);
}

void bd_packed_unpack(const char *path, const char *dir, bool force, enum bd_dtype t, struct bd_par *par)
{
	struct bd_net *net = bd_packed_open(path, par);
	struct bd_outdir *out = bd_outdir_open(dir, force);
	struct bd_config c = bd_config_copy(&net->cfg);
	struct bd_model *m;
	struct bd_part *part;
	size_t n;
	char name[NAME];
	json_t *history;

	c.ternary = false; /* absmean of D C is not D: these weights are run as they are, never quantised again */
	m = bd_model_new(&c);
	part = bd_net_parts(net, &n);
	for (size_t i = 0; i < n; i++) {
		const struct bd_part *p = &part[i];
		float *w = bd_model_data(m, p->slot, p->layer);

		if (p->kind == BD_KIND_TABLE) {
			bd_slot_gguf_name(p->slot, p->layer, name, sizeof(name));
			for (size_t r = 0; r < p->rows; r++)
				bd_gguf_f32(tensor(net->release_arg, name), r, w + r * p->cols);
		} else if (p->kind == BD_KIND_LINEAR) {
			bd_ternary_unpack(w, p->linear->codes, p->rows, p->cols, p->linear->scale);
		} else {
			memcpy(w, *p->vector, p->cols * sizeof(*w));
		}
	}
	history = bd_history(&(struct bd_input){"packed file", bd_packed_digest(net), bd_config_history(&net->cfg)}, 1);
	bd_model_save(m, bd_outdir_path(out), t, history);
	write_text(net->release_arg, "tokenizer.huggingface.json", bd_outdir_path(out), "tokenizer.json");
	write_text(net->release_arg, "tokenizer.chat_template", bd_outdir_path(out), "chat_template.jinja");
	bd_outdir_commit(out);
	json_decref(history);
	bd_free(part);
	bd_model_free(m);
	bd_config_free(&c);
	bd_net_free(net);
}
