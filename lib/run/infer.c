/* Opening a model of any kind, one growing sequence over a key/value cache, and whole
 * sequences in a batch. */
#include "run/infer.h"

#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf.h"
#include "model/ckpt.h"
#include "net/net_ckpt.h"
#include "net/net_model.h"
#include "pack/pack_vocab.h"
#include "pack/packed.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
	FEED = 512,       /* tokens of a session that run together: bounds its activations */
	LOGITS = 8 << 20, /* floats of logits in one piece of bd_net_run */
};

/* ---- opening ---- */

static size_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void close_dir(void *d, size_t n)
{
	(void)n;
	closedir(d);
}

/* Bytes of the safetensors files of a directory. */
static size_t weight_bytes(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t sum = 0;

	bd_guard_keep(d, 0, close_dir);
	while (d != NULL && (e = readdir(d)) != NULL) {
		const char *dot = strrchr(e->d_name, '.');
		char *path;

		if (dot == NULL || strcmp(dot, ".safetensors") != 0)
			continue;
		path = bd_path(dir, e->d_name);
		sum += file_size(path);
		bd_free(path);
	}
	bd_guard_drop(d);
	if (d != NULL)
		closedir(d);
	return sum;
}

static void open_dir(struct bd_infer *m, struct bd_dev *dev, bool ternary)
{
	char *tok = bd_path(m->path, "tokenizer.json");

	m->net = bd_net_from_ckpt(bd_ckpt_open(m->path), dev, ternary);
	if (bd_exists(tok))
		m->tok = bd_tok_open(m->path);
	m->file_bytes = weight_bytes(m->path);
	bd_free(tok);
}

static void open_packed(struct bd_infer *m, struct bd_dev *dev)
{
	m->packed = true;
	m->net = bd_packed_open(m->path, dev);
	m->tok = bd_tok_gguf(m->net->release_arg, &m->no_tok);
	m->file_bytes = file_size(m->path);
}

/* The choices stored with the task, or those its labels give with this tokenizer. */
static void open_choices(struct bd_infer *m, const json_t *stored)
{
	m->n_choice = bd_template_classes(m->task);
	if (m->n_choice == 0)
		return;
	m->choice = bd_alloc(m->n_choice, sizeof(*m->choice));
	if (json_array_size(stored) == m->n_choice) {
		for (size_t i = 0; i < m->n_choice; i++) {
			json_int_t id = json_integer_value(json_array_get(stored, i));

			m->choice[i] = id >= 0 && id < m->net->cfg.vocab ? (uint32_t)id : UINT32_MAX;
		}
	} else if (m->tok != NULL) {
		struct bd_ids *label = bd_template_choices(m->task, m->tok);

		for (size_t i = 0; i < m->n_choice; i++) {
			m->choice[i] = label[i].id[0];
			bd_ids_free(&label[i]);
		}
		bd_free(label);
	} else {
		bd_die(BD_DATA, "%s: the task has labels, but neither their tokens nor a tokenizer are there",
		       m->path);
	}
	for (size_t i = 0; i < m->n_choice; i++)
		if (m->choice[i] >= (uint32_t)m->net->cfg.vocab)
			bd_die(BD_DATA,
			       "%s: bitdistill.task: the token of label %zu is outside the vocabulary",
			       m->path, i);
}

/* bitdistill.task of the config: {"template", "choices"}. */
static void open_task(struct bd_infer *m)
{
	json_t *task = bd_json_get(bd_json_get(m->net->cfg.json, "bitdistill"), "task");
	json_t *template = bd_json_get(task, "template");

	if (template == NULL)
		return;
	m->task = bd_template_from(template, m->path);
	open_choices(m, bd_json_get(task, "choices"));
}

struct bd_infer *bd_infer_open(const char *path, struct bd_dev *dev, bool ternary)
{
	struct bd_infer *m = bd_zalloc(1, sizeof(*m));

	m->path = bd_strdup(path);
	if (bd_is_dir(path))
		open_dir(m, dev, ternary);
	else
		open_packed(m, dev);
	m->acts = bd_acts_new(m->net, false);
	open_task(m);
	return m;
}

void bd_infer_close(struct bd_infer *m)
{
	if (m == NULL)
		return;
	bd_acts_free(m->acts);
	bd_dev_free(m->net->dev, m->z);
	bd_free(m->z_copy);
	bd_net_free(m->net);
	bd_tok_free(m->tok);
	bd_free(m->no_tok);
	bd_template_free(m->task);
	bd_free(m->choice);
	bd_free(m->path);
	bd_free(m);
}

struct bd_input bd_infer_input(struct bd_infer *m)
{
	snprintf(m->digest, sizeof(m->digest), "%s",
	         m->packed ? bd_packed_digest(m->net) : bd_ckpt_digest(m->net->release_arg));
	return (struct bd_input){m->packed ? "packed file" : "model", m->digest,
	                         bd_config_history(&m->net->cfg)};
}

static _Noreturn void die_no_tokenizer(const struct bd_infer *m)
{
	if (m->packed && !bd_gguf_has(m->net->release_arg, "bd.version"))
		bd_die(BD_DATA, "%s: %s", m->path, m->no_tok);
	bd_die(BD_DATA, "%s: has no tokenizer; put its tokenizer.json beside config.json%s", m->path,
	       m->packed ? " and pack it again" : "");
}

const struct bd_tok *bd_infer_tok(const struct bd_infer *m)
{
	if (m->tok == NULL)
		die_no_tokenizer(m);
	return m->tok;
}

void bd_infer_fits(const struct bd_infer *m, struct bd_source *src)
{
	const char *digest = bd_tok_digest(bd_infer_tok(m));
	size_t V = (size_t)m->net->cfg.vocab;
	struct bd_packed_vocab v;

	if (m->packed && bd_packed_vocab(m->net->release_arg, V, &v) &&
	    strcmp(bd_source_head(src)->tokenizer, v.tokenizer) == 0)
		bd_source_renumber(src, v.id, V, digest, m->path);
	bd_source_fits(src, digest, (uint32_t)V, m->path);
}

/* ---- one growing sequence ---- */

struct bd_seq {
	struct bd_net *net;
	struct bd_acts *acts;
	struct bd_kv *kv;
	float *z, *copy; /* [V] the device's logits, and what bd_dev_view needs */
};

struct bd_seq *bd_seq_new(struct bd_infer *m, size_t context)
{
	struct bd_seq *s = bd_zalloc(1, sizeof(*s));

	s->net = m->net;
	s->acts = bd_acts_new(m->net, false);
	s->kv = bd_kv_new(m->net, context);
	s->z = bd_dev_alloc(m->net->dev, (size_t)m->net->cfg.vocab, sizeof(*s->z));
	s->copy = bd_dev_view_room(m->net->dev, (size_t)m->net->cfg.vocab, sizeof(*s->z));
	return s;
}

/* Room for n more positions. */
static void make_room(struct bd_seq *s, size_t n)
{
	size_t need = bd_add(s->kv->n, n);

	if (need > s->kv->cap)
		s->kv = bd_kv_grown(s->net, s->kv, need > 2 * s->kv->cap ? need : 2 * s->kv->cap);
}

float *bd_seq_feed(struct bd_seq *s, const uint32_t *ids, size_t n)
{
	make_room(s, n);
	while (n > 0) {
		size_t k = n < FEED ? n : FEED, start[2] = {0, k}, last = k - 1;
		struct bd_batch b = {.n_seq = 1, .T = k, .start = start, .ids = (uint32_t *)ids};
		const float *h = bd_net_forward(s->net, s->acts, &b, &s->kv); /* [k,C] */

		if (n == k)
			bd_net_logits(s->net, s->z, h, &last, 1, false);
		ids += k;
		n -= k;
	}
	return bd_net_view(s->net, s->z, s->copy, 1, (size_t)s->net->cfg.vocab);
}

float *bd_seq_feed_all(struct bd_infer *m, struct bd_seq *const *s, const uint32_t *id, size_t n)
{
	size_t V = (size_t)m->net->cfg.vocab, *start = bd_alloc(n + 1, sizeof(*start));
	struct bd_kv **kv = bd_alloc(n, sizeof(*kv));
	struct bd_batch b = {.n_seq = n, .T = n, .start = start, .ids = (uint32_t *)(uintptr_t)id};
	const float *h;

	for (size_t i = 0; i < n; i++) {
		make_room(s[i], 1);
		kv[i] = s[i]->kv;
		start[i] = i;
	}
	start[n] = n;
	if (n > m->z_n) {
		bd_dev_free(m->net->dev, m->z);
		bd_free(m->z_copy);
		m->z = bd_dev_alloc(m->net->dev, bd_mul(n, V), sizeof(*m->z));
		m->z_copy = bd_dev_view_room(m->net->dev, bd_mul(n, V), sizeof(*m->z));
		m->z_n = n;
	}
	h = bd_net_forward(m->net, m->acts, &b, kv); /* [n,C] */
	bd_net_logits(m->net, m->z, h, start, n, false);
	bd_free(start);
	bd_free(kv);
	return bd_net_view(m->net, m->z, m->z_copy, n, V);
}

size_t bd_seq_length(const struct bd_seq *s)
{
	return s->kv->n;
}

void bd_seq_rewind(struct bd_seq *s, size_t n)
{
	s->kv->n = n < s->kv->n ? n : s->kv->n;
}

void bd_seq_free(struct bd_seq *s)
{
	if (s == NULL)
		return;
	bd_kv_free(s->kv);
	bd_acts_free(s->acts);
	bd_dev_free(s->net->dev, s->z);
	bd_free(s->copy);
	bd_free(s);
}

/* ---- batches ---- */

/* Consecutive sequences, and their target positions. */
struct run {
	struct bd_batch b;
	size_t P;     /* targets of all records */
	size_t *seq;  /* [P] record of each */
	size_t *pos;  /* [P] position in its record */
	size_t *from; /* [P] row of h that predicts it */
};

static struct run run_new(const struct bd_record *r, size_t n)
{
	struct run u = {.b = {.n_seq = n, .start = bd_alloc(n + 1, sizeof(size_t))}};

	u.b.start[0] = 0;
	for (size_t s = 0; s < n; s++)
		u.b.start[s + 1] = u.b.T += r[s].n;
	u.b.ids = bd_alloc(u.b.T, sizeof(*u.b.ids));
	u.seq = bd_alloc(u.b.T, sizeof(*u.seq));
	u.pos = bd_alloc(u.b.T, sizeof(*u.pos));
	u.from = bd_alloc(u.b.T, sizeof(*u.from));
	for (size_t s = 0; s < n; s++) {
		memcpy(u.b.ids + u.b.start[s], r[s].ids, r[s].n * sizeof(*u.b.ids));
		for (size_t i = 1; i < r[s].n; i++) {
			if (!r[s].target[i])
				continue;
			u.seq[u.P] = s;
			u.pos[u.P] = i;
			u.from[u.P++] = u.b.start[s] + i - 1;
		}
	}
	return u;
}

static void run_free(struct run *u)
{
	bd_free(u->b.start);
	bd_free(u->b.ids);
	bd_free(u->seq);
	bd_free(u->pos);
	bd_free(u->from);
}

/* Positions whose logits are held together. */
static size_t piece_of(size_t V, size_t P)
{
	size_t piece = LOGITS / V + 1;

	return piece < P ? piece : P;
}

size_t bd_net_run_bytes(const struct bd_config *c, size_t T, size_t P)
{
	size_t V = (size_t)c->vocab;

	return bd_acts_bytes(c, false, T) + bd_mul(piece_of(V, P), V) * sizeof(float);
}

void bd_net_run(struct bd_net *net, struct bd_acts *a, const struct bd_record *r, size_t n, bd_logits_fn *fn,
                void *ctx)
{
	struct run u = run_new(r, n);
	size_t V = (size_t)net->cfg.vocab, piece = piece_of(V, u.P), k, m;
	const float *h;
	float *z, *copy, *seen; /* [piece,V] the device's, what bd_dev_view needs, and what it gives */

	z = bd_dev_alloc(net->dev, bd_mul(piece, V), sizeof(*z));
	copy = bd_dev_view_room(net->dev, bd_mul(piece, V), sizeof(*z));
	h = u.P > 0 ? bd_net_forward(net, a, &u.b, NULL) : NULL; /* [T,C] */
	for (size_t j = 0; j < u.P; j += k) {
		k = u.P - j < piece ? u.P - j : piece;
		bd_net_logits(net, z, h, u.from + j, k, false);
		seen = bd_net_view(net, z, copy, k, V);
		for (size_t i = 0; i < k; i += m) {
			for (m = 1; i + m < k && u.seq[j + i + m] == u.seq[j + i]; m++)
				;
			fn(ctx, u.seq[j + i], m, u.pos + j + i, seen + i * V);
		}
	}
	bd_dev_free(net->dev, z);
	bd_free(copy);
	run_free(&u);
}

void bd_infer_batch(struct bd_infer *m, const struct bd_record *r, size_t n, bd_logits_fn *fn, void *ctx)
{
	bd_net_run(m->net, m->acts, r, n, fn, ctx);
}

size_t bd_infer_choose(const float *z, const uint32_t *choice, size_t n_choice, double *p)
{
	size_t best = 0;
	double sum = 0, top;

	for (size_t i = 0; i < n_choice; i++)
		p[i] = (double)z[choice != NULL ? choice[i] : i];
	for (size_t i = 1; i < n_choice; i++)
		if (p[i] > p[best])
			best = i;
	top = p[best];
	for (size_t i = 0; i < n_choice; i++)
		sum += p[i] = exp(p[i] - top);
	for (size_t i = 0; i < n_choice; i++)
		p[i] /= sum;
	return best;
}
