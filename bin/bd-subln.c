/* bd-subln: stage 1 of BitDistill. RMSNorms with gain 1 go in front of the quantised projections, and the model is marked ternary. */
#include "history.h"
#include "io.h"
#include "mem.h"
#include "model.h"
#include "msg.h"
#include "opt.h"

#include <string.h>

/* The same model with `norms`: gains it had are kept, new ones are 1. */
static struct bd_model *insert(const struct bd_model *m, enum bd_norms norms)
{
	struct bd_config c = bd_config_copy(&m->cfg);

	if (norms < m->cfg.norms)
		bd_die(BD_DATA, "%s: has norms \"%s\" already, and dropping trained gains would make another model; give --norms %s",
		       m->dir, bd_norms_name(m->cfg.norms), bd_norms_name(m->cfg.norms));
	c.norms = norms;
	c.ternary = true;
	struct bd_model *out = bd_model_new(&c);
	for (size_t i = 0; i < out->n_param; i++) {
		const struct bd_param *p = &out->param[i];
		const float *old = bd_model_data(m, p->slot, p->layer);
		if (old != NULL)
			memcpy(out->data + p->off, old, p->rows * p->cols * sizeof(*old));
	}
	json_object_set_new(bd_config_bitdistill(&out->cfg), "stage", json_string("subln"));
	out->dir = bd_strdup(m->dir);
	memcpy(out->digest, m->digest, sizeof(out->digest));
	bd_config_free(&c);
	return out;
}

int main(int argc, char **argv)
{
	static const enum bd_norms kinds[] = {BD_NORMS_SUBLN, BD_NORMS_ALL, BD_NORMS_NONE};
	static const enum bd_dtype dtypes[] = {BD_F32, BD_BF16, BD_F16};
	struct bd_common common;
	const char *output = NULL;
	bool force = false;
	int norms = 0, dtype = 0;
	const struct bd_opt opts[] = {
	    {"output", 'o', BD_STR, &output, "DIR", "the model directory to write", 0, 0},
	    {"norms", 0, BD_ENUM, &norms, "subln|all|none",
	     "in front of o_proj and down_proj, of all seven projections, or nowhere", 0, 0},
	    {"dtype", 0, BD_ENUM, &dtype, "f32|bf16|f16", "type of the stored weights", 0, 0},
	    {"force", 'f', BD_FLAG, &force, NULL, "replace an existing output directory", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {"bd-subln", "insert SubLN and mark a model as ternary student", "[options] MODEL -o DIR", opts, 1, 1};
	const char *input = argv[bd_opt_parse(&tool, &common, argc, argv)];

	if (output == NULL)
		bd_die(BD_USAGE, "no output directory; give -o DIR");
	struct bd_outdir *out = bd_outdir_open(output, force);
	struct bd_model *m = bd_model_load(input);
	struct bd_model *student = insert(m, kinds[norms]);
	bd_model_free(m);
	json_t *history = bd_history(&(struct bd_input){"model", student->digest, bd_config_history(&student->cfg)}, 1);
	bd_model_save(student, bd_outdir_path(out), dtypes[dtype], history);
	bd_outdir_commit(out);
	json_decref(history);
	bd_model_free(student);
	bd_stdout_close();
	return BD_OK;
}
