/* Models: opening, what they are, their classes. */
#include "base/procs.h"
#include "door/door.h"
#include "math/devices.h"

#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4096 };

/* ---- opening ---- */

struct opening {
	struct bd_door_model *m;
	const char *path;
	int threads;
};

static void open_model(void *ctx)
{
	const struct opening *o = ctx;
	int threads = o->threads > 0 ? o->threads : bd_processors("");

	o->m->infer = bd_infer_open(o->path, bd_dev_open(threads), false);
}

static struct bd_door_model *make(void)
{
	struct bd_door_model *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		bd_door_refuse("out of memory");
		return NULL;
	}
	m->pid = getpid();
	pthread_mutex_init(&m->lock, NULL);
	bd_scope_begin(&m->scope, NULL);
	bd_scope_begin(&m->judge_scope, &m->scope);
	bd_scope_begin(&m->info_scope, &m->scope);
	return m;
}

bd_model *bd_open(const char *path, int threads)
{
	struct opening o = {NULL, path, threads};

	if (path == NULL)
		bd_door_refuse("bd_open: path is NULL");
	else if (threads < 0 || threads > THREADS)
		bd_door_refuse("bd_open: %d threads; 0 to %d are possible", threads, THREADS);
	else
		o.m = make();
	if (o.m == NULL)
		return NULL;
	if (bd_door_call(&o.m->scope, open_model, &o) != 0) {
		bd_close(o.m);
		return NULL;
	}
	bd_scope_trim(&o.m->scope);
	return o.m;
}

/* In a forked child there are no threads to end: all stays as it is. */
void bd_close(bd_model *m)
{
	if (m == NULL || m->pid != getpid())
		return;
	bd_scope_end(&m->info_scope);
	bd_scope_end(&m->judge_scope);
	bd_scope_end(&m->scope);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- what it is ---- */

static json_t *describe(struct bd_infer *m)
{
	const struct bd_config *c = &m->net->cfg;
	struct bd_input in = bd_infer_input(m);
	json_t *o = json_pack("{s:s, s:o, s:s, s:s, s:i, s:i, s:i, s:i, s:I}", "kind", in.kind, "name",
	                      bd_json_string(c->name), "family", bd_family_name(c->family), "weights",
	                      c->ternary ? "ternary" : "full", "layers", c->layers, "hidden", c->hidden,
	                      "vocab", c->vocab, "context", c->context, "bytes", (json_int_t)m->file_bytes);

	json_object_set_new(o, "tokenizer",
	                    m->tok != NULL ? json_string(bd_tok_digest(m->tok)) : json_null());
	json_object_set_new(o, "template",
	                    m->task != NULL ? json_deep_copy(bd_template_json(m->task)) : json_null());
	json_object_set_new(o, "digest", json_string(in.digest));
	json_object_set_new(o, "history", in.history != NULL ? json_deep_copy(in.history) : json_array());
	return o;
}

static void make_info(void *ctx)
{
	struct bd_door_model *m = ctx;
	json_t *o;

	if (m->info != NULL)
		return;
	o = describe(m->infer);
	m->info = bd_json_text(o, true);
	json_decref(o);
}

const char *bd_info(bd_model *m)
{
	if (m == NULL)
		bd_door_missing("model");
	return m != NULL && bd_door_compute(m, &m->info_scope, make_info, m) == 0 ? m->info : NULL;
}

size_t bd_vocab(const bd_model *m)
{
	return m != NULL ? (size_t)m->infer->net->cfg.vocab : 0;
}

size_t bd_context(const bd_model *m)
{
	return m != NULL ? (size_t)m->infer->net->cfg.context : 0;
}

int bd_is_end(const bd_model *m, uint32_t id)
{
	return m != NULL && bd_special_ends(&m->infer->net->cfg.special, id);
}

/* ---- tasks ---- */

size_t bd_fields(const bd_model *m)
{
	return m != NULL && m->infer->task != NULL ? bd_template_fields(m->infer->task) : 0;
}

const char *bd_field(const bd_model *m, size_t i)
{
	return i < bd_fields(m) ? bd_template_field(m->infer->task, i) : NULL;
}

size_t bd_classes(const bd_model *m)
{
	return m != NULL ? m->infer->n_choice : 0;
}

const char *bd_class(const bd_model *m, size_t i)
{
	return i < bd_classes(m) ? bd_template_class(m->infer->task, i) : NULL;
}

struct verdict {
	struct bd_door_model *m;
	const char *const *fields;
	double *p;
	size_t best;
};

static void classify(void *ctx)
{
	struct verdict *v = ctx;

	if (v->m->judge == NULL)
		v->m->judge = bd_labels_new(v->m->infer);
	v->best = bd_answer_class(v->m->judge, v->m->infer, v->fields, "bd_classify", v->p);
}

int bd_classify(bd_model *m, const char *const *fields, size_t n, double *p)
{
	struct verdict v = {m, fields, p, 0};
	int status;

	if (m == NULL)
		return bd_door_missing("model");
	if (bd_classes(m) == 0)
		return bd_door_refuse("%s: has no task with classes", m->infer->path);
	if (fields == NULL || p == NULL || n != bd_fields(m))
		return bd_door_refuse("bd_classify: %zu fields; the model's task has %zu", n, bd_fields(m));
	status = bd_door_compute(m, &m->judge_scope, classify, &v);
	if (m->judge_scope.n == 0)
		m->judge = NULL;
	return status < 0 ? status : (int)v.best;
}
