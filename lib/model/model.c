/* A model in memory: one block of floats, listed by parameters; read from and written to Hugging Face
 * directories. */
#include "model/model.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/procs.h"
#include "base/rng.h"
#include "format/finite.h"
#include "model/ckpt.h"
#include "model/model_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME  128
#define ALIGN 16        /* floats: a cache line */
#define BLOCK (1 << 20) /* floats that are made and written together */

static void add_param(struct bd_model *m, enum bd_slot s, int layer)
{
	struct bd_param *p = &m->param[m->n_param++];

	*p = (struct bd_param){.slot = s, .layer = layer, .off = m->n};
	bd_slot_shape(&m->cfg, s, &p->rows, &p->cols);
	m->n = bd_add(m->n, bd_mul(bd_add(bd_mul(p->rows, p->cols), ALIGN - 1) / ALIGN, ALIGN));
}

static void list_params(struct bd_model *m)
{
	enum bd_slot s;

	m->param = bd_alloc(bd_mul((size_t)m->cfg.layers + 1, BD_SLOTS), sizeof(*m->param));
	for (s = 0; s < BD_ATTN_NORM; s++)
		add_param(m, s, -1);
	for (int l = 0; l < m->cfg.layers; l++)
		for (s = BD_ATTN_NORM; s < BD_FINAL_NORM; s++)
			if (bd_slot_exists(&m->cfg, s))
				add_param(m, s, l);
	for (s = BD_FINAL_NORM; s < BD_SLOTS; s++)
		if (bd_slot_exists(&m->cfg, s))
			add_param(m, s, -1);
}

/* A model with its list of parameters but without their values. */
static struct bd_model *model_listed(const struct bd_config *c)
{
	struct bd_model *m = bd_zalloc(1, sizeof(*m));

	m->cfg = bd_config_copy(c);
	list_params(m);
	return m;
}

struct bd_model *bd_model_new(const struct bd_config *c)
{
	struct bd_model *m = model_listed(c);

	m->data = bd_zalloc(m->n, sizeof(*m->data));
	for (size_t i = 0; i < m->n_param; i++)
		if (bd_slot_info(m->param[i].slot)->kind == BD_KIND_GAIN)
			for (size_t j = 0; j < m->param[i].cols; j++)
				m->data[m->param[i].off + j] = 1;
	return m;
}

struct bd_model *bd_model_load(const char *dir)
{
	struct bd_ckpt *k = bd_ckpt_open(dir);
	struct bd_model *m;

	if (bd_ckpt_packed(k))
		bd_die(BD_DATA,
		       "%s: has packed ternary weights, not the masters that are needed; give the directory "
		       "that it was made from",
		       dir);
	m = bd_model_new(bd_ckpt_config(k));
	struct bd_par *par = bd_par_new(bd_processors(""));
	for (size_t i = 0; i < m->n_param; i++) {
		const struct bd_param *p = &m->param[i];
		const struct bd_st_tensor *t = bd_ckpt_tensor(k, p->slot, p->layer);

		if (p->rows == 1) {
			bd_ckpt_vector(k, p->slot, p->layer, m->data + p->off);
			continue;
		}
		bd_st_check_finite(t, par);
		bd_st_f32(t, 0, p->rows * p->cols, m->data + p->off);
	}
	bd_par_free(par);
	m->dir = bd_strdup(dir);
	memcpy(m->digest, bd_ckpt_digest(k), sizeof(m->digest));
	bd_ckpt_close(k);
	return m;
}

/* ---- random values ---- */

struct random {
	const struct bd_model *m;
	uint64_t seed;
	float sd, *quantile;
	struct bd_par *par;
	float *out;
	const struct bd_param *p;
	size_t from; /* of p, first in out */
};

static struct random random_new(const struct bd_model *m, uint64_t seed, struct bd_par *par)
{
	double sd = bd_json_real(m->cfg.json, "initializer_range", 0.02, m->cfg.name);

	return (struct random){
	    .m = m, .seed = seed, .sd = (float)sd, .quantile = bd_rng_quantiles(), .par = par};
}

static void random_slice(void *ctx, size_t begin, size_t end, int slice)
{
	const struct random *r = ctx;
	enum bd_kind kind = bd_slot_info(r->p->slot)->kind;

	(void)slice;
	for (size_t i = begin; (kind == BD_KIND_GAIN || kind == BD_KIND_BIAS) && i < end; i++)
		r->out[i] = kind == BD_KIND_GAIN;
	if (kind == BD_KIND_LINEAR || kind == BD_KIND_TABLE)
		bd_rng_normals(r->out + begin, end - begin, r->sd, r->quantile, r->seed,
		               (uint64_t)(r->p - r->m->param), r->from + begin);
}

/* Values [from, from + n) of p. A source of save_tensors, as from_memory below. */
static void from_random(void *ctx, const struct bd_param *p, size_t from, size_t n, float *out)
{
	struct random *r = ctx;

	r->out = out, r->p = p, r->from = from;
	bd_par_for(r->par, n, random_slice, r);
}

void bd_model_init(struct bd_model *m, uint64_t seed)
{
	struct random r = random_new(m, seed, NULL);

	for (size_t i = 0; i < m->n_param; i++)
		from_random(&r, &m->param[i], 0, m->param[i].rows * m->param[i].cols,
		            m->data + m->param[i].off);
	bd_free(r.quantile);
}

/* The order of the list makes the index a sum; the slots before this one are counted once. */
const struct bd_param *bd_model_param(const struct bd_model *m, enum bd_slot s, int layer)
{
	size_t per_layer = 0, before = 0;

	if (!bd_slot_exists(&m->cfg, s))
		return NULL;
	for (enum bd_slot t = BD_ATTN_NORM; t < BD_FINAL_NORM; t++) {
		per_layer += bd_slot_exists(&m->cfg, t);
		before += t < s && bd_slot_exists(&m->cfg, t);
	}
	if (s < BD_ATTN_NORM)
		return &m->param[0];
	if (s >= BD_FINAL_NORM)
		return &m->param[1 + per_layer * (size_t)m->cfg.layers + (size_t)(s - BD_FINAL_NORM)];
	return &m->param[1 + per_layer * (size_t)layer + before];
}

float *bd_model_data(const struct bd_model *m, enum bd_slot s, int layer)
{
	const struct bd_param *p = bd_model_param(m, s, layer);

	return p != NULL ? m->data + p->off : NULL;
}

/* ---- saving ---- */

typedef void source(void *ctx, const struct bd_param *p, size_t from, size_t n, float *out);

static void from_memory(void *ctx, const struct bd_param *p, size_t from, size_t n, float *out)
{
	const struct bd_model *m = ctx;

	memcpy(out, m->data + p->off + from, n * sizeof(*out));
}

/* As stored in files: gains minus one, if the family stores them so. buf[BLOCK]. */
static void write_param(struct bd_st_writer *w, const struct bd_model *m, const struct bd_param *p,
                        enum bd_dtype t, source *get, void *ctx, float *buf)
{
	size_t all = p->rows * p->cols, n;

	for (size_t from = 0; from < all; from += n) {
		n = all - from < BLOCK ? all - from : BLOCK;
		get(ctx, p, from, n, buf);
		for (size_t i = 0; bd_slot_offset(&m->cfg, p->slot) && i < n; i++)
			buf[i] -= 1;
		bd_st_data_f32(w, buf, n, t);
	}
}

struct named {
	char name[NAME];
	const struct bd_param *p;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Sorted by name, as the reference writer does for tensors of one type: equal models give equal files. */
static void save_tensors(const struct bd_model *m, const char *path, enum bd_dtype t, source *get, void *ctx)
{
	struct bd_st_writer *w = bd_st_create(path, NULL);
	struct named *list = bd_alloc(m->n_param, sizeof(*list));
	float *buf = bd_alloc(BLOCK, sizeof(*buf));

	for (size_t i = 0; i < m->n_param; i++) {
		list[i].p = &m->param[i];
		bd_slot_name(&m->cfg, m->param[i].slot, m->param[i].layer, list[i].name, NAME);
	}
	qsort(list, m->n_param, sizeof(*list), by_name);
	for (size_t i = 0; i < m->n_param; i++) {
		enum bd_kind kind = bd_slot_info(list[i].p->slot)->kind;
		bool matrix = kind == BD_KIND_LINEAR || kind == BD_KIND_TABLE;
		size_t shape[2] = {list[i].p->rows, list[i].p->cols};

		bd_st_declare(w, list[i].name, t, matrix ? 2 : 1, matrix ? shape : shape + 1);
	}
	for (size_t i = 0; i < m->n_param; i++)
		write_param(w, m, list[i].p, t, get, ctx, buf);
	bd_st_finish(w);
	bd_free(list);
	bd_free(buf);
}

static void save(const struct bd_model *m, const char *dir, enum bd_dtype t, const json_t *history,
                 source *get, void *ctx)
{
	char *tensors = bd_path(dir, "model.safetensors");
	json_t *config = bd_config_json(&m->cfg);

	save_tensors(m, tensors, t, get, ctx);
	bd_model_out_config(config, dir, t, m->digest, history);
	if (m->dir != NULL)
		bd_model_out_companions(m->dir, dir);
	bd_free(tensors);
	json_decref(config);
}

void bd_model_save(const struct bd_model *m, const char *dir, enum bd_dtype t, const json_t *history)
{
	save(m, dir, t, history, from_memory, (void *)(uintptr_t)m);
}

void bd_model_save_random(const struct bd_config *c, uint64_t seed, const char *companions, const char *dir,
                          enum bd_dtype t, const json_t *history, struct bd_par *par)
{
	struct bd_model *m = model_listed(c);
	struct random r = random_new(m, seed, par);

	m->dir = companions != NULL ? bd_strdup(companions) : NULL;
	save(m, dir, t, history, from_random, &r);
	bd_free(r.quantile);
	bd_model_free(m);
}

void bd_model_free(struct bd_model *m)
{
	if (m == NULL)
		return;
	bd_config_free(&m->cfg);
	bd_free(m->data);
	bd_free(m->param);
	bd_free(m->dir);
	bd_free(m);
}
