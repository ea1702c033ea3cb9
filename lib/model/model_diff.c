/* Comparing two sets of tensors, row by row. */
#include "model/model_diff.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf_digest.h"
#include "model/ckpt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One tensor of either kind of file, as rows of cols values. */
struct item {
	char *name;
	size_t rows, cols;
	const struct bd_st_tensor *st; /* one of the two */
	const struct bd_gguf_tensor *gguf;
};

struct set {
	struct item *item;
	size_t n;
	struct bd_st *st;
	struct bd_ckpt *ckpt;
	struct bd_gguf *gguf;
};

static struct item st_item(const char *name, const struct bd_st_tensor *t)
{
	size_t cols = t->ndim > 0 ? t->shape[t->ndim - 1] : 1;

	return (struct item){bd_strdup(name), cols > 0 ? t->count / cols : 0, cols, t, NULL};
}

static void add(struct set *s, struct item i)
{
	s->item[s->n++] = i;
}

static void add_slots(struct set *s)
{
	const struct bd_config *c = bd_ckpt_config(s->ckpt);
	char name[128];

	s->item = bd_alloc(bd_mul((size_t)c->layers, BD_SLOTS), sizeof(*s->item));
	for (enum bd_slot slot = 0; slot < BD_SLOTS; slot++)
		for (int l = 0; l < (bd_slot_info(slot)->per_layer ? c->layers : 1); l++) {
			const struct bd_st_tensor *t = bd_ckpt_tensor(s->ckpt, slot, l);

			bd_slot_name(c, slot, l, name, sizeof(name));
			if (t != NULL)
				add(s, st_item(name, t));
		}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

static bool is_gguf(const char *path)
{
	struct bd_map m = bd_map_unchecked(path);
	bool yes = m.n >= 4 && memcmp(m.p, "GGUF", 4) == 0;

	bd_unmap(&m);
	return yes;
}

static bool is_model(const char *path)
{
	char *config = bd_path(path, "config.json");
	bool yes = bd_exists(config);

	bd_free(config);
	return yes;
}

static struct set open_set(const char *path)
{
	struct set s = {0};

	if (bd_is_dir(path) && is_model(path)) {
		s.ckpt = bd_ckpt_open(path);
		add_slots(&s);
	} else if (!bd_is_dir(path) && is_gguf(path)) {
		s.gguf = bd_gguf_open(path);
		bd_gguf_verify(s.gguf, NULL);
		s.item = bd_alloc(bd_gguf_tensors(s.gguf) + 1, sizeof(*s.item));
		for (size_t i = 0; i < bd_gguf_tensors(s.gguf); i++) {
			const struct bd_gguf_tensor *t = bd_gguf_tensor_at(s.gguf, i);

			add(&s, (struct item){bd_strdup(t->name), t->rows, t->cols, NULL, t});
		}
	} else {
		s.st = bd_st_open(path);
		s.item = bd_alloc(bd_st_count(s.st) + 1, sizeof(*s.item));
		for (size_t i = 0; i < bd_st_count(s.st); i++)
			add(&s, st_item(bd_st_at(s.st, i)->name, bd_st_at(s.st, i)));
	}
	qsort(s.item, s.n, sizeof(*s.item), by_name);
	return s;
}

static void close_set(struct set *s)
{
	for (size_t i = 0; i < s->n; i++)
		bd_free(s->item[i].name);
	bd_free(s->item);
	bd_st_close(s->st);
	bd_ckpt_close(s->ckpt);
	bd_gguf_close(s->gguf);
}

static void get_row(const struct item *i, size_t r, float *out)
{
	if (i->gguf != NULL)
		bd_gguf_f32(i->gguf, r, out);
	else
		bd_st_f32(i->st, r * i->cols, i->cols, out);
}

static bool is_float(const struct item *i)
{
	return i->gguf != NULL || i->st->dtype == BD_F32 || i->st->dtype == BD_F16 || i->st->dtype == BD_BF16;
}

/* Largest |a - b|, infinite where only one of them is a number; *count values differ. */
static double compare(const struct item *a, const struct item *b, size_t *count)
{
	float *x = bd_alloc(a->cols + 1, sizeof(*x)), *y = bd_alloc(a->cols + 1, sizeof(*y));
	double max = 0;

	*count = 0;
	for (size_t r = 0; r < a->rows; r++) {
		get_row(a, r, x);
		get_row(b, r, y);
		for (size_t c = 0; c < a->cols; c++) {
			if (x[c] == y[c] || (isnan(x[c]) && isnan(y[c])))
				continue;
			double d = fabs((double)x[c] - (double)y[c]);
			max = isnan(d) ? INFINITY : fmax(max, d);
			++*count;
		}
	}
	bd_free(x);
	bd_free(y);
	return max;
}

static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_string("inf");
}

/* NULL if a and b hold the same. */
static json_t *compare_item(const struct item *a, const struct item *b, double *max)
{
	size_t count;
	double d;

	if (a->rows != b->rows || a->cols != b->cols)
		return json_pack("{s:o, s:[[I, I], [I, I]]}", "name", bd_json_string(a->name), "shape",
		                 (json_int_t)a->rows, (json_int_t)a->cols, (json_int_t)b->rows,
		                 (json_int_t)b->cols);
	if (!is_float(a) || !is_float(b)) {
		bool same = !is_float(a) && !is_float(b) && a->st->dtype == b->st->dtype &&
		            memcmp(a->st->data, b->st->data, a->st->bytes) == 0;

		return same ? NULL
		            : json_pack("{s:o, s:s}", "name", bd_json_string(a->name), "differ", "bytes");
	}
	d = compare(a, b, &count);
	*max = fmax(*max, d);
	return count == 0 ? NULL
	                  : json_pack("{s:o, s:o, s:I}", "name", bd_json_string(a->name), "max_abs",
	                              number(d), "count", (json_int_t)count);
}

json_t *bd_diff(const char *path_a, const char *path_b)
{
	struct set a = open_set(path_a), b = open_set(path_b);
	json_t *differ = json_array(), *only_a = json_array(), *only_b = json_array();
	size_t i = 0, j = 0, both = 0;
	double max = 0;

	while (i < a.n || j < b.n) {
		int order = i == a.n ? 1 : j == b.n ? -1 : strcmp(a.item[i].name, b.item[j].name);

		if (order < 0) {
			json_array_append_new(only_a, bd_json_string(a.item[i++].name));
		} else if (order > 0) {
			json_array_append_new(only_b, bd_json_string(b.item[j++].name));
		} else {
			json_t *d = compare_item(&a.item[i++], &b.item[j++], &max);

			if (d != NULL)
				json_array_append_new(differ, d);
			both++;
		}
	}
	bool equal = json_array_size(differ) + json_array_size(only_a) + json_array_size(only_b) == 0;
	close_set(&a);
	close_set(&b);
	return json_pack("{s:b, s:I, s:o, s:o, s:o, s:o}", "equal", equal, "tensors", (json_int_t)both,
	                 "max_abs", number(max), "differ", differ, "only_a", only_a, "only_b", only_b);
}
