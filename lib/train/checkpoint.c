/* Checkpoints: numbers as JSON, blocks as safetensors. */
#include <stddef.h>
#include <string.h>

#include "train/checkpoint.h"
#include "base/digest.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"

enum type { INT, REAL, BOOL };

/* clang-format off */
#define FIELD(type, name) {type, #name, offsetof(struct bd_progress, name)}
/* clang-format on */
static const struct {
	enum type type;
	const char *name;
	size_t at;
} fields[] = {
    FIELD(INT, step),        FIELD(INT, tokens),         FIELD(INT, records),   FIELD(INT, balanced),
    FIELD(REAL, ce2),        FIELD(REAL, ld2),           FIELD(REAL, ad2),      FIELD(REAL, other2),
    FIELD(INT, confident),   FIELD(REAL, confidence),    FIELD(BOOL, scored),   FIELD(INT, best_step),
    FIELD(INT, scored_step), FIELD(REAL, best_accuracy), FIELD(REAL, best_nll), FIELD(INT, log_bytes),
    FIELD(INT, threads),
};
enum { FIELDS = sizeof(fields) / sizeof(*fields) };

/* Reals are printed with as many digits as are needed to read them back exactly (json.h). */
static json_t *to_json(const struct bd_progress *p)
{
	json_t *j = json_object();
	for (size_t i = 0; i < FIELDS; i++) {
		const void *v = (const char *)p + fields[i].at;
		json_object_set_new(j, fields[i].name,
		                    fields[i].type == INT    ? json_integer(*(const int64_t *)v)
		                    : fields[i].type == REAL ? json_real(*(const double *)v)
		                                             : json_boolean(*(const bool *)v));
	}
	return j;
}

static void from_json(struct bd_progress *p, const json_t *j, const char *name)
{
	for (size_t i = 0; i < FIELDS; i++) {
		void *v = (char *)p + fields[i].at;
		if (fields[i].type == INT)
			*(int64_t *)v = bd_json_int(j, fields[i].name, 0, 0, INT64_MAX, name);
		else if (fields[i].type == REAL)
			*(double *)v = bd_json_real(j, fields[i].name, 0, name);
		else
			*(bool *)v = bd_json_bool(j, fields[i].name, false, name);
	}
}

enum { PIECE = 1 << 20 }; /* bytes that pass from the device to the file at once */

static void save_blob(struct bd_st_writer *w, struct bd_dev *dev, const struct bd_blob *b, char *piece)
{
	size_t size = b->n * bd_dtype_size(b->dtype), n;

	for (size_t at = 0; at < size; at += n) {
		n = size - at < PIECE ? size - at : PIECE;
		bd_dev_from(dev, piece, (const char *)b->p + at, n);
		bd_st_data(w, piece, n);
	}
}

static void save_blobs(const char *path, const struct bd_state *s)
{
	struct bd_st_writer *w = bd_st_create(path, NULL);
	char *piece = bd_alloc(PIECE, 1);

	for (size_t i = 0; i < s->n; i++)
		bd_st_declare(w, s->blob[i].name, s->blob[i].dtype, 1, &s->blob[i].n);
	for (size_t i = 0; i < s->n; i++)
		save_blob(w, s->dev, &s->blob[i], piece);
	bd_st_finish(w);
	bd_free(piece);
}

char *bd_checkpoint_path(const char *output)
{
	size_t n = output != NULL ? strlen(output) : 0;

	while (n > 1 && output[n - 1] == '/')
		n--;
	return output != NULL ? bd_sprintf("%.*s.ckpt", (int)n, output) : NULL;
}

void bd_checkpoint_save(const char *dir, const struct bd_state *s)
{
	struct bd_outdir *d = bd_outdir_open(dir, true);
	char *tensors = bd_path(bd_outdir_path(d), "state.safetensors"),
	     *state = bd_path(bd_outdir_path(d), "state.json"), *text;
	json_t *j = to_json(s->p);

	json_object_set_new(j, "version", json_integer(BD_CHECKPOINT_VERSION));
	json_object_set_new(j, "digest", json_string(s->identity->digest));
	if (*s->extra != NULL)
		json_object_set(j, "extra", *s->extra);
	text = bd_json_text(j, true);
	save_blobs(tensors, s);
	bd_write_file(state, text, strlen(text));
	bd_outdir_commit(d);
	json_decref(j);
	bd_free(text);
	bd_free(tensors);
	bd_free(state);
}

static void load_blobs(const char *path, const struct bd_state *s)
{
	struct bd_st *st = bd_st_open(path);

	for (size_t i = 0; i < s->n; i++) {
		const struct bd_blob *b = &s->blob[i];
		const struct bd_st_tensor *t = bd_st_find(st, b->name);

		if (t == NULL)
			continue;
		if (t->dtype != b->dtype || t->count != b->n)
			bd_die(BD_DATA,
			       "%s: %s has %zu elements of %s instead of %zu of %s; remove the checkpoint",
			       path, t->name, t->count, bd_dtype_name(t->dtype), b->n,
			       bd_dtype_name(b->dtype));
		bd_dev_to(s->dev, b->p, t->data, t->bytes);
	}
	bd_st_close(st);
}

static void check_identity(const struct bd_identity *i, const json_t *j, const char *dir, const char *state)
{
	int64_t version = bd_json_int(j, "version", 1, 1, INT32_MAX, state);

	if (version > BD_CHECKPOINT_VERSION)
		bd_die(BD_DATA, "%s: version %d; this program reads versions up to %d", state, (int)version,
		       BD_CHECKPOINT_VERSION);
	if (strcmp(bd_json_str(j, "digest", "", state), bd_identity_digest(i, version)) != 0)
		bd_die(BD_USAGE,
		       "%s: made with other options, another model or other data; repeat the command "
		       "that wrote it, or remove it",
		       dir);
}

/* Whatever --no-verify says, which is for models. A state that has no digests is of an older version. */
static void check_digest(void *dir, const char *name, enum bd_digest_state s)
{
	if (s == BD_DIGEST_WRONG || s == BD_DIGEST_MISSING)
		bd_die(BD_DATA, "%s/%s: %s; remove the checkpoint", (const char *)dir, name,
		       s == BD_DIGEST_WRONG ? "damaged: it has another digest than when it was saved"
		                            : "is missing");
}

bool bd_checkpoint_load(const char *dir, const struct bd_state *s)
{
	char *tensors = bd_path(dir, "state.safetensors"), *state = bd_path(dir, "state.json");
	bool there = bd_exists(state);
	json_t *j;

	if (there) {
		bd_digest_all(dir, check_digest, (void *)(uintptr_t)dir);
		j = bd_json_load(state);
		check_identity(s->identity, j, dir, state);
		from_json(s->p, j, state);
		json_decref(*s->extra);
		*s->extra = json_incref(json_object_get(j, "extra"));
		load_blobs(tensors, s);
		json_decref(j);
	}
	bd_free(tensors);
	bd_free(state);
	return there;
}
