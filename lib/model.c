/* A model in memory: one block of floats, listed by parameters; read from and written to Hugging Face directories. */
#include "model.h"

#include "io.h"
#include "mem.h"
#include "model_out.h"
#include "msg.h"
#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME 128
#define ALIGN 16 /* floats: a cache line */

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

struct bd_model *bd_model_new(const struct bd_config *c)
{
	struct bd_model *m = bd_zalloc(1, sizeof(*m));

	m->cfg = bd_config_copy(c);
	list_params(m);
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
		bd_die(BD_DATA, "%s: holds packed ternary weights, and not the masters that this needs; give the directory that it was "
		       "made from", dir);
	m = bd_model_new(bd_ckpt_config(k));
	for (size_t i = 0; i < m->n_param; i++) {
		const struct bd_param *p = &m->param[i];
		if (p->rows == 1)
			bd_ckpt_vector(k, p->slot, p->layer, m->data + p->off);
		else
			bd_st_f32(bd_ckpt_tensor(k, p->slot, p->layer), 0, p->rows * p->cols, m->data + p->off);
	}
	m->dir = bd_strdup(dir);
	memcpy(m->digest, bd_ckpt_digest(k), sizeof(m->digest));
	bd_ckpt_close(k);
	return m;
}

void bd_model_init(struct bd_model *m, uint64_t seed)
{
	double std = bd_json_real(m->cfg.json, "initializer_range", 0.02, m->cfg.name);

	for (size_t i = 0; i < m->n_param; i++) {
		const struct bd_param *p = &m->param[i];
		enum bd_kind kind = bd_slot_info(p->slot)->kind;
		float *w = m->data + p->off;
		for (size_t j = 0; j < p->rows * p->cols; j++)
			w[j] = kind == BD_KIND_GAIN   ? 1
			       : kind == BD_KIND_BIAS ? 0
						      : (float)(std * bd_rng_normal(seed, i, j));
	}
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

/* As files hold it: gains less one, where the family has them so. */
static void write_param(struct bd_st_writer *w, const struct bd_model *m, const struct bd_param *p, enum bd_dtype t)
{
	size_t n = p->rows * p->cols;
	float *less;

	if (!bd_slot_offset(&m->cfg, p->slot)) {
		bd_st_data_f32(w, m->data + p->off, n, t);
		return;
	}
	less = bd_alloc(n, sizeof(*less));
	for (size_t i = 0; i < n; i++)
		less[i] = m->data[p->off + i] - 1;
	bd_st_data_f32(w, less, n, t);
	bd_free(less);
}

struct named {
	char name[NAME];
	const struct bd_param *p;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Sorted by name, as the reference writer does for tensors of one type: equal models are equal files. */
static void save_tensors(const struct bd_model *m, const char *path, enum bd_dtype t)
{
	struct bd_st_writer *w = bd_st_create(path, NULL);
	struct named *list = bd_alloc(m->n_param, sizeof(*list));

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
		write_param(w, m, list[i].p, t);
	bd_st_finish(w);
	bd_free(list);
}

void bd_model_save(const struct bd_model *m, const char *dir, enum bd_dtype t, const json_t *history)
{
	char *tensors = bd_path(dir, "model.safetensors");
	json_t *config = bd_config_json(&m->cfg);

	save_tensors(m, tensors, t);
	bd_model_out_config(config, dir, t, m->digest, history);
	if (m->dir != NULL)
		bd_model_out_companions(m->dir, dir);
	bd_free(tensors);
	json_decref(config);
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
