/* Packed files, writing: the student's net is built from the checkpoint, its parts become the tensors of a GGUF file. */
#include "pack.h"

#include "hash.h"
#include "history.h"
#include "io.h"
#include "mem.h"
#include "msg.h"
#include "pack_tok.h"
#include "packed.h"
#include "quant.h"
#include "rng.h"
#include "student.h"
#include "temp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME = 96, GOLDEN = 4 };

/* ---- tables ---- */

static size_t row_bytes(enum bd_ggml_type type, size_t cols)
{
	return bd_ggml_bytes(type, 1, cols);
}

/* One row of a table as f32. Student tables are F32 or F16. */
static void read_row(float *out, const struct bd_table *t, size_t r)
{
	if (t->type == BD_GGML_F16)
		bd_f32_row(out, (const uint16_t *)t->p + r * t->cols, t->cols);
	else
		memcpy(out, (const float *)t->p + r * t->cols, t->cols * sizeof(*out));
}

static void round_table(struct bd_net *net, struct bd_table *t, enum bd_ggml_type type)
{
	size_t stride = row_bytes(type, t->cols);
	uint8_t *p;
	float *row;

	if (t->type == type)
		return;
	p = bd_net_own(net, bd_alloc(t->rows, stride));
	row = bd_alloc(t->cols, sizeof(*row));
	for (size_t r = 0; r < t->rows; r++) {
		read_row(row, t, r);
		if (type == BD_GGML_F32)
			memcpy(p + r * stride, row, stride);
		else if (type == BD_GGML_F16)
			bd_f16_row((uint16_t *)(void *)(p + r * stride), row, t->cols);
		else
			bd_q8_0_pack(p + r * stride, row, t->cols);
	}
	bd_free(row);
	t->type = type;
	t->p = p;
}

static void round_tables(struct bd_net *net, enum bd_ggml_type type)
{
	round_table(net, &net->embed, type);
	if (net->cfg.tied)
		net->head = net->embed;
	else
		round_table(net, &net->head, type);
}

/* ---- tensors ---- */

struct item {
	char name[NAME];
	enum bd_ggml_type type;
	size_t cols, rows; /* rows 0: one dimension */
	const struct bd_part *part;
	bool scale;        /* the linear's scale by itself */
};

struct items {
	struct item *v;
	size_t n;
};

static void add_item(struct items *l, const struct bd_part *p, enum bd_ggml_type type)
{
	struct item *t = &l->v[l->n++];
	size_t block = type == BD_GGML_TQ2_0 ? 256 : type == BD_GGML_I2_S ? 128 : 1;

	*t = (struct item){.type = type, .part = p, .cols = (p->cols + block - 1) / block * block};
	t->rows = p->kind == BD_KIND_LINEAR || p->kind == BD_KIND_TABLE ? p->rows : 0;
	bd_slot_gguf_name(p->slot, p->layer, t->name, sizeof(t->name));
}

/* "blk.0.attn_q.scale" for the last item added, "blk.0.attn_q.weight". */
static void add_scale(struct items *l)
{
	struct item *t = &l->v[l->n];

	*t = (struct item){.type = BD_GGML_F32, .cols = 1, .part = t[-1].part, .scale = true};
	strcpy(t->name, t[-1].name);
	strcpy(t->name + strlen(t->name) - strlen(".weight"), ".scale");
	l->n++;
}

static struct items items_of(const struct bd_part *part, size_t n, const struct bd_pack_opt *o)
{
	struct items l = {.v = bd_alloc(bd_mul(2, n), sizeof(*l.v))};

	for (size_t i = 0; i < n; i++) {
		if (part[i].kind == BD_KIND_TABLE)
			add_item(&l, &part[i], o->embd);
		else if (part[i].kind != BD_KIND_LINEAR)
			add_item(&l, &part[i], BD_GGML_F32);
		else
			add_item(&l, &part[i], o->ternary);
		if (part[i].kind == BD_KIND_LINEAR && o->ternary == BD_GGML_TQ2_0)
			add_scale(&l);
	}
	return l;
}

typedef void sink_fn(void *to, const void *p, size_t n);

static void to_hash(void *h, const void *p, size_t n)
{
	bd_hash_add(h, p, n);
}

static void to_file(void *w, const void *p, size_t n)
{
	bd_gguf_data(w, p, n);
}

static void send_tq2_0(const struct bd_linear *lin, sink_fn *sink, void *to)
{
	size_t from = bd_ternary_stride(lin->in), stride = bd_tq2_0_stride(lin->in);
	uint8_t *row = bd_alloc(stride, 1);

	for (size_t r = 0; r < lin->out; r++) {
		bd_tq2_0_from_i2_s(row, lin->codes + r * from, lin->in, 1.0f);
		sink(to, row, stride);
	}
	bd_free(row);
}

/* The bytes of a tensor, in pieces. */
static void send(const struct item *t, sink_fn *sink, void *to)
{
	const struct bd_part *p = t->part;
	char tail[32] = {0}; /* I2_S: the scale and 28 zero bytes */

	if (t->scale) {
		sink(to, &p->linear->scale, sizeof(float));
	} else if (t->type == BD_GGML_TQ2_0) {
		send_tq2_0(p->linear, sink, to);
	} else if (t->type == BD_GGML_I2_S) {
		memcpy(tail, &p->linear->scale, sizeof(float));
		sink(to, p->linear->codes, p->rows * bd_ternary_stride(p->cols));
		sink(to, tail, sizeof(tail));
	} else if (p->kind == BD_KIND_TABLE) {
		sink(to, p->table->p, p->rows * row_bytes(t->type, p->cols));
	} else {
		sink(to, *p->vector, p->cols * sizeof(float));
	}
}

static void put_digests(struct bd_gguf_writer *w, const struct items *l)
{
	const char **hex = bd_alloc(l->n, sizeof(*hex));

	for (size_t i = 0; i < l->n; i++) {
		struct bd_hash *h = bd_hash_new();

		send(&l->v[i], to_hash, h);
		hex[i] = bd_sprintf("%016llx", (unsigned long long)bd_hash_value(h));
		bd_hash_free(h);
	}
	bd_gguf_put_strs(w, "bd.tensor_digests", hex, l->n);
	bd_gguf_put_digest(w, BD_PACKED_DIGEST);
	for (size_t i = 0; i < l->n; i++)
		bd_free((char *)hex[i]);
	bd_free(hex);
}

/* ---- the other keys ---- */

static void put_arch(struct bd_gguf_writer *w, const char *arch, const char *key, double value, bool real)
{
	char name[NAME];

	snprintf(name, sizeof(name), "%s.%s", arch, key);
	if (real)
		bd_gguf_put_f32(w, name, (float)value);
	else
		bd_gguf_put_u32(w, name, (uint32_t)value);
}

static void put_config(struct bd_gguf_writer *w, const struct bd_config *c, const struct bd_pack_opt *o)
{
	char a[32];

	/* A name of our own: a runtime that knows the family, but neither SubLN nor the padding, must not take the file for its. */
	snprintf(a, sizeof(a), "bd-%s", bd_family_name(c->family));
	bd_gguf_put_str(w, "general.architecture", a);
	bd_gguf_put_str(w, "general.type", "model");
	bd_gguf_put_str(w, "general.name", o->name != NULL ? o->name : c->name);
	bd_gguf_put_u32(w, "general.alignment", 32);
	bd_gguf_put_u32(w, "general.quantization_version", 2);
	bd_gguf_put_u32(w, "general.file_type", o->ternary == BD_GGML_I2_S ? 40 : 37); /* MOSTLY_I2_S, MOSTLY_TQ2_0 */
	put_arch(w, a, "context_length", c->context, false);
	put_arch(w, a, "embedding_length", c->hidden, false);
	put_arch(w, a, "block_count", c->layers, false);
	put_arch(w, a, "feed_forward_length", c->ffn, false);
	put_arch(w, a, "attention.head_count", c->heads, false);
	put_arch(w, a, "attention.head_count_kv", c->kv_heads, false);
	put_arch(w, a, "attention.key_length", c->head_dim, false);
	put_arch(w, a, "attention.value_length", c->head_dim, false);
	put_arch(w, a, "attention.layer_norm_rms_epsilon", (double)c->eps, true);
	put_arch(w, a, "rope.freq_base", c->rope.theta, true);
	put_arch(w, a, "rope.dimension_count", c->head_dim, false);
	put_arch(w, a, "vocab_size", c->vocab, false);
}

/* What is ours. bd.config is the truth for our reader; the rest is for people and other programs. */
static void put_ours(struct bd_gguf_writer *w, const struct bd_config *c, json_t *golden, const char *digest)
{
	json_t *config = bd_config_json(c), *own = bd_json_get(config, "bitdistill");
	json_t *task = bd_json_get(own, "task");
	json_t *list = bd_history(&(struct bd_input){"model", digest, bd_config_history(c)}, 1);
	size_t n = json_array_size(list);
	const char **history = bd_alloc(n, sizeof(*history));
	char *text;

	json_object_del(own, "history"); /* is in bd.history */
	text = bd_json_text(config, false);
	bd_gguf_put_u32(w, "bd.version", BD_PACKED_VERSION);
	bd_gguf_put_str(w, "bd.config", text);
	bd_gguf_put_str(w, "bd.activation", bd_act_name(c->act));
	bd_gguf_put_str(w, "bd.norms", bd_norms_name(c->norms));
	bd_free(text);
	for (size_t i = 0; i < n; i++)
		history[i] = json_string_value(json_array_get(list, i));
	bd_gguf_put_strs(w, "bd.history", history, n);
	if (task != NULL) {
		text = bd_json_text(task, false);
		bd_gguf_put_str(w, "bd.task", text);
		bd_free(text);
	}
	text = bd_json_text(golden, false);
	bd_gguf_put_str(w, "bd.golden", text);
	bd_free(text);
	bd_free(history);
	json_decref(list);
	json_decref(config);
}

/* ---- golden prompts ---- */

/* Ids of the config's list `ids`, checked; or, without it, prompt i of our own: 1, 9, 17 or 25 ids out of the air. */
static size_t prompt(const struct bd_config *c, const json_t *ids, size_t i, uint32_t **out)
{
	size_t V = (size_t)c->vocab, n = ids != NULL ? json_array_size(ids) : 1 + 8 * i;

	if (n == 0)
		bd_die(BD_DATA, "%s: bitdistill.golden: prompt %zu is no list of ids", c->name, i);
	*out = bd_alloc(n, sizeof(**out));
	for (size_t j = 0; j < n; j++) {
		const json_t *v = ids != NULL ? json_array_get(ids, j) : NULL;
		json_int_t id = json_integer_value(v);

		if (ids == NULL)
			id = (json_int_t)bd_rng_below(1, i, j, V);
		else if (!json_is_integer(v) || id < 0 || id >= (json_int_t)V)
			bd_die(BD_DATA, "%s: bitdistill.golden: prompt %zu holds what is no id of the vocabulary",
			       c->name, i);
		(*out)[j] = (uint32_t)id;
	}
	return n;
}

static json_t *golden_of(struct bd_net *net)
{
	const json_t *own = bd_json_get(bd_json_get(net->cfg.json, "bitdistill"), "golden");
	size_t n = json_array_size(own) > 0 ? json_array_size(own) : GOLDEN;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		uint32_t *ids;
		size_t len = prompt(&net->cfg, json_array_get(own, i), i, &ids);

		json_array_append_new(list, bd_golden(net, ids, len));
		bd_free(ids);
	}
	return list;
}

/* ---- writing ---- */

static void check(const char *dir, const struct bd_config *c, const struct bd_pack_opt *o)
{
	if (!c->ternary && !o->force)
		bd_die(BD_DATA, "%s: was not trained as a ternary model, and rounding its weights now would destroy it; "
		       "train it with bd-cpt or bd-distill, or give --force", dir);
	if (bd_ggml_bytes(o->embd, 1, (size_t)c->hidden) == 0)
		bd_die(BD_DATA, "%s: --embd %s wants a hidden size that is a multiple of %d, this one is %d; give f32 "
		       "or f16", dir, bd_ggml_name(o->embd), BD_Q8_0_BLOCK, c->hidden);
}

static void write_file(const char *dir, const char *path, struct bd_net *net, const char *digest, json_t *golden,
                       const struct bd_pack_opt *o)
{
	struct bd_gguf_writer *w = bd_gguf_create(path);
	size_t n;
	struct bd_part *part = bd_net_parts(net, &n);
	struct items l = items_of(part, n, o);

	put_config(w, &net->cfg, o);
	bd_pack_tokenizer(w, dir, &net->cfg);
	put_ours(w, &net->cfg, golden, digest);
	put_digests(w, &l);
	for (size_t i = 0; i < l.n; i++)
		bd_gguf_declare(w, l.v[i].name, l.v[i].type, l.v[i].cols, l.v[i].rows);
	for (size_t i = 0; i < l.n; i++)
		send(&l.v[i], to_file, w);
	bd_gguf_finish(w);
	bd_free(l.v);
	bd_free(part);
}

static void check_back(const char *file, const char *path, struct bd_par *par)
{
	size_t n, bad = bd_packed_check(file, &n);

	if (bad > 0)
		bd_die(BD_NO, "%s: %zu of %zu tensors were not read back as they were written; nothing was kept", path,
		       bad, n);
	bad = bd_packed_verify(file, par, &n);
	if (bad > 0)
		bd_die(BD_NO, "%s: %zu of %zu golden prompts give other logits than the directory; nothing was kept",
		       path, bad, n);
}

void bd_pack_write(const char *dir, const char *path, const struct bd_pack_opt *o, struct bd_par *par)
{
	struct bd_ckpt *k = bd_ckpt_open(dir);
	char *target = realpath(path, NULL), *file; /* of a symbolic link the file is replaced, not the link */
	const char *name = target != NULL ? target : path;
	struct bd_temp *temp;
	struct bd_net *net;
	struct stat st;
	json_t *golden;

	check(dir, bd_ckpt_config(k), o);
	net = bd_student_open(k, par);
	round_tables(net, o->embd);
	golden = golden_of(net);
	if (stat(name, &st) == 0 && !S_ISREG(st.st_mode)) { /* a pipe or device cannot be read back */
		write_file(dir, name, net, bd_ckpt_digest(k), golden, o);
	} else {
		temp = bd_temp_dir(name);
		file = bd_path(bd_temp_path(temp), "packed.gguf");
		write_file(dir, file, net, bd_ckpt_digest(k), golden, o);
		check_back(file, path, par);
		if (rename(file, name) != 0)
			bd_die(BD_SYS, "%s: cannot rename the finished file to this name:", path);
		bd_temp_drop(temp);
		bd_free(file);
	}
	json_decref(golden);
	bd_net_free(net);
	free(target);
}
