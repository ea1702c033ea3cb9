/* Packed files, writing: the student's net is built from the checkpoint, its tables are rounded, its parts
 * become the tensors of a GGUF file, and the file is read back. */
#include "pack/pack.h"

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"
#include "base/scratch.h"
#include "base/temp.h"
#include "format/gguf_digest.h"
#include "format/gguf_table.h"
#include "math/op_embed.h"
#include "model/ckpt.h"
#include "net/net_ckpt.h"
#include "pack/pack_items.h"
#include "pack/pack_keys.h"
#include "pack/pack_tok.h"
#include "pack/pack_vocab.h"
#include "pack/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { GOLDEN = 4 };

/* ---- tables ---- */

enum { PIECE = 512 }; /* rows that are rounded together */

struct rounding {
	size_t cols;
	enum bd_ggml_type from, to;
	const uint8_t *in; /* rows of the piece, host memory */
	uint8_t *out;
};

static void round_rows(void *ctx, size_t begin, size_t end, int slice)
{
	const struct rounding *r = ctx;
	size_t in = bd_ggml_stride(r->from, r->cols), out = bd_ggml_stride(r->to, r->cols);
	float *row = bd_alloc(r->cols, sizeof(*row));

	(void)slice;
	for (size_t i = begin; i < end; i++) {
		bd_table_load(r->from, row, r->in + i * in, r->cols);
		bd_table_store(r->to, r->out + i * out, row, r->cols);
	}
	bd_free(row);
}

/* A table of the net in another type; its bytes, as the file will have them, are in *s. */
static void round_table(struct bd_net *net, struct bd_table *t, enum bd_ggml_type type, const char *beside,
                        struct bd_scratch *s)
{
	struct rounding r = {.cols = t->cols, .from = t->type, .to = type};
	size_t in = bd_ggml_stride(t->type, t->cols), out = bd_ggml_stride(type, t->cols),
	       size = bd_ggml_bytes(type, t->rows, t->cols);
	uint8_t *piece;

	if (t->type == type)
		return;
	*s = bd_scratch_new(beside, size);
	piece = bd_alloc(PIECE, in);
	for (size_t row = 0; row < t->rows; row += PIECE) {
		size_t n = t->rows - row < PIECE ? t->rows - row : PIECE;

		bd_dev_from(net->dev, piece, (const uint8_t *)t->p + row * in, n * in);
		r.in = piece;
		r.out = (uint8_t *)s->p + row * out;
		bd_par_for(net->dev->par, n, round_rows, &r);
	}
	bd_free(piece);
	t->type = type;
	t->p = bd_net_map(net, s->p, size);
}

static void round_tables(struct bd_net *net, const struct bd_pack_opt *o, const char *beside,
                         struct bd_scratch s[2])
{
	round_table(net, &net->embed, o->embd, beside, &s[0]);
	if (net->cfg.tied)
		net->head = net->embed;
	else
		round_table(net, &net->head, o->own_head ? o->head : o->embd, beside, &s[1]);
}

/* ---- golden prompts ---- */

/* Ids of the config's list `ids`, checked; or, without it, prompt i of our own: 1, 9, 17 or 25 arbitrary
 * ids. */
static size_t prompt(const struct bd_config *c, const json_t *ids, size_t i, uint32_t **out)
{
	size_t V = (size_t)c->vocab, n = ids != NULL ? json_array_size(ids) : 1 + 8 * i;

	if (n == 0)
		bd_die(BD_DATA, "%s: bitdistill.golden: prompt %zu is not a list of ids", c->name, i);
	*out = bd_alloc(n, sizeof(**out));
	for (size_t j = 0; j < n; j++) {
		const json_t *v = ids != NULL ? json_array_get(ids, j) : NULL;
		json_int_t id = json_integer_value(v);

		if (ids == NULL)
			id = (json_int_t)bd_rng_below(1, i, j, V);
		else if (!json_is_integer(v) || id < 0 || id >= (json_int_t)V)
			bd_die(BD_DATA, "%s: bitdistill.golden: prompt %zu has an id outside the vocabulary",
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

static void to_hash(void *h, const void *p, size_t n)
{
	bd_hash_add(h, p, n);
}

static void to_file(void *w, const void *p, size_t n)
{
	bd_gguf_data(w, p, n);
}

static void put_digests(struct bd_gguf_writer *w, const struct bd_items *t)
{
	const char **hex = bd_alloc(t->n, sizeof(*hex));

	for (size_t i = 0; i < t->n; i++) {
		struct bd_hash *h = bd_hash_new();

		bd_items_send(t, i, to_hash, h);
		hex[i] = bd_sprintf("%016llx", (unsigned long long)bd_hash_value(h));
		bd_hash_free(h);
	}
	bd_gguf_put_strs(w, BD_GGUF_TENSOR_DIGESTS, hex, t->n);
	bd_gguf_put_digest(w, BD_GGUF_DIGEST);
	for (size_t i = 0; i < t->n; i++)
		bd_free((char *)(uintptr_t)hex[i]);
	bd_free(hex);
}

/* D of every linear, for files that only have it rounded. */
static void put_scales(struct bd_gguf_writer *w, const struct bd_net *net)
{
	size_t n = (size_t)net->cfg.layers * BD_LINS;
	float *D = bd_alloc(n, sizeof(*D));

	for (size_t i = 0; i < n; i++)
		D[i] = net->block[i / BD_LINS].lin[i % BD_LINS].scale;
	bd_gguf_put_f32s(w, "bd.scales", D, n);
	bd_free(D);
}

struct job {
	const char *dir;
	const struct bd_pack_opt *opt;
	struct bd_layout layout;
	enum bd_ggml_type ternary;
	struct bd_net *net;
	const char *digest; /* of the checkpoint */
	json_t *golden;
	struct bd_pack_vocab *vocab; /* NULL: the whole */
};

static void write_file(const struct job *j, const char *path)
{
	struct bd_gguf_writer *w = bd_gguf_create(path);
	const struct bd_config *c = &j->net->cfg;
	struct bd_items t = bd_items_new(j->net, &j->layout, j->ternary);

	bd_pack_keys(w, c, &j->layout, j->ternary, j->opt->name);
	bd_pack_tokenizer(w, j->dir, c, j->vocab != NULL ? j->vocab->tok : NULL);
	bd_pack_own_keys(w, c, &j->layout, j->golden, j->digest, j->vocab);
	if (!bd_items_exact(&j->layout, j->ternary))
		put_scales(w, j->net);
	put_digests(w, &t);
	for (size_t i = 0; i < t.n; i++)
		bd_gguf_declare(w, t.v[i].name, t.v[i].type, t.v[i].cols, t.v[i].rows);
	for (size_t i = 0; i < t.n; i++)
		bd_items_send(&t, i, to_file, w);
	bd_gguf_finish(w);
	bd_items_free(&t);
}

static void check_back(const char *file, const char *path, struct bd_dev *dev)
{
	size_t n, bad = bd_packed_check(file, &n);

	if (bad > 0)
		bd_die(BD_NO, "%s: %zu of %zu tensors differ when read back; no output was kept", path, bad,
		       n);
	bad = bd_packed_verify(file, dev, &n);
	if (bad > 0)
		bd_die(BD_NO,
		       "%s: %zu of %zu golden prompts give logits other than those of the directory; no "
		       "output was kept",
		       path, bad, n);
}

/* ---- what can be written ---- */

static void check_table(const char *dir, const struct bd_config *c, const char *option,
                        enum bd_ggml_type type)
{
	if (bd_ggml_bytes(type, 1, (size_t)c->hidden) == 0)
		bd_die(BD_DATA,
		       "%s: --%s %s needs a hidden size that is a multiple of %zu, but it is %d; give f32 or "
		       "f16",
		       dir, option, bd_ggml_name(type), bd_ggml_block(type), c->hidden);
}

static void check(struct job *j, const struct bd_config *c)
{
	const struct bd_pack_opt *o = j->opt;
	const char *target = bd_target_name(o->target);
	char *why = bd_target_layout(&j->layout, c, o->target);

	if (!c->ternary && !o->force)
		bd_die(BD_DATA,
		       "%s: was not trained as a ternary model, and rounding its weights now would ruin it; "
		       "train it with bd-cpt or bd-distill, or give --force",
		       j->dir);
	j->ternary = o->ternary;
	if (why == NULL && o->ternary == BD_GGML_F32)
		why = bd_target_type(c, o->target, &j->ternary);
	else if (why == NULL)
		why = bd_target_misfit(c, o->target, o->ternary);
	if (why != NULL)
		bd_die(BD_DATA, "%s: --target %s: %s", j->dir, target, why);
	check_table(j->dir, c, "embd", o->embd);
	if (!c->tied)
		check_table(j->dir, c, o->own_head ? "head" : "embd", o->own_head ? o->head : o->embd);
}

/* ---- the whole file ---- */

/* A pipe or a device: the file is made and checked in $TMPDIR, then copied. */
static void send_copy(const char *file, const char *path)
{
	struct bd_map m = bd_map_file(file);
	struct bd_out *out = bd_out_open(path, true, 0);

	bd_out_write(out, m.p, m.n);
	bd_out_close(out);
	bd_unmap(&m);
}

/* Writes to `file`, which is checked. The student is freed before the file is read back. */
static void write_checked(struct job *j, struct bd_ckpt *k, const char *file, const char *path,
                          struct bd_dev *dev)
{
	struct bd_scratch s[2] = {{0}};

	j->net = bd_net_from_ckpt(k, dev, true);
	if (j->vocab != NULL)
		bd_pack_vocab_apply(j->vocab, j->net);
	round_tables(j->net, j->opt, file, s);
	j->digest = bd_ckpt_digest(k);
	j->golden = golden_of(j->net);
	write_file(j, file);
	json_decref(j->golden);
	bd_net_free(j->net);
	bd_scratch_free(&s[0]);
	bd_scratch_free(&s[1]);
	check_back(file, path, dev);
}

void bd_pack_write(const char *dir, const char *path, const struct bd_pack_opt *o, struct bd_dev *dev)
{
	struct bd_ckpt *k = bd_ckpt_open(dir);
	/* replaces the target of a symbolic link, not the link */
	char *real = realpath(path, NULL), *file, *beside;
	const char *name = real != NULL ? real : path, *tmp = getenv("TMPDIR");
	struct job j = {.dir = dir, .opt = o};
	struct bd_temp *temp;
	struct stat st;
	bool stream = strcmp(path, "-") == 0 || (stat(name, &st) == 0 && !S_ISREG(st.st_mode));

	check(&j, bd_ckpt_config(k));
	if (o->vocab_from.n > 0)
		j.vocab = bd_pack_vocab_new(dir, bd_ckpt_config(k), &o->vocab_from);
	beside = stream ? bd_path(tmp != NULL && *tmp != '\0' ? tmp : "/tmp", "bd-pack") : bd_strdup(name);
	temp = bd_temp_dir(beside);
	file = bd_path(bd_temp_path(temp), "packed.gguf");
	write_checked(&j, k, file, path, dev);
	if (stream)
		send_copy(file, path);
	else if (rename(file, name) != 0)
		bd_die(BD_SYS, "%s: cannot rename the finished file to this name:", path);
	bd_temp_drop(temp);
	bd_pack_vocab_free(j.vocab);
	bd_free(file);
	bd_free(beside);
	free(real);
}
