/* Files of evaluation. */
#include "eval/eval_out.h"

#include "base/mem.h"
#include "base/msg.h"
#include "format/safetensors.h"

#include <math.h>
#include <stdio.h>

struct bd_spool {
	const char *path;
	FILE *z;
	size_t V;
	struct bd_ids ids; /* the predicted ids, in the order of z */
};

struct bd_spool *bd_spool_new(const char *path, size_t V)
{
	struct bd_spool *s;

	if (path == NULL)
		return NULL;
	s = bd_zalloc(1, sizeof(*s));
	s->path = path;
	s->V = V;
	s->z = tmpfile();
	if (s->z == NULL)
		bd_die(BD_SYS, "cannot create a temporary file:");
	return s;
}

void bd_spool_add(struct bd_spool *s, const float *z, size_t P, const struct bd_record *r, const size_t *row)
{
	if (s == NULL)
		return;
	if (fwrite(z, sizeof(*z), P * s->V, s->z) != P * s->V)
		bd_die(BD_SYS, "temporary file for %s: cannot write:", s->path);
	for (size_t j = 0; j < P; j++)
		bd_ids_push(&s->ids, r->ids[row[j]]);
}

void bd_spool_close(struct bd_spool *s)
{
	if (s == NULL)
		return;
	struct bd_st_writer *w = bd_st_create(s->path, NULL);
	size_t P = s->ids.n, shape[2] = {P, s->V};
	float *row = bd_alloc(s->V, sizeof(*row));
	bd_st_declare(w, "logits", BD_F32, 2, shape);
	bd_st_declare(w, "ids", BD_I32, 1, shape);
	if (fflush(s->z) != 0 || fseeko(s->z, 0, SEEK_SET) != 0)
		bd_die(BD_SYS, "temporary file for %s: cannot write:", s->path);
	for (size_t j = 0; j < P; j++) {
		if (fread(row, sizeof(*row), s->V, s->z) != s->V)
			bd_die(BD_SYS, "temporary file for %s: cannot read:", s->path);
		bd_st_data(w, row, s->V * sizeof(*row));
	}
	bd_st_data(w, s->ids.id, P * sizeof(*s->ids.id));
	bd_st_finish(w);
	fclose(s->z);
	bd_free(row);
	bd_ids_free(&s->ids);
	bd_free(s);
}
