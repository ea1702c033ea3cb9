/* bd-subln: stage 1 of BitDistill. RMSNorms with gain 1 are inserted before the quantised projections, and
 * the model is marked as ternary. Works tensor by tensor: the model is never in memory as a whole. */
#include "base/history.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/opt.h"
#include "model/ckpt.h"
#include "model/model_out.h"

static void check(const char *dir, const struct bd_ckpt *k, enum bd_norms norms)
{
	const struct bd_config *c = bd_ckpt_config(k);

	if (bd_ckpt_packed(k))
		bd_die(BD_DATA, "%s: has packed ternary weights, not the masters that training needs", dir);
	if (norms < c->norms)
		bd_die(BD_DATA,
		       "%s: already has norms \"%s\", and dropping trained gains would change the model; "
		       "give --norms %s",
		       dir, bd_norms_name(c->norms), bd_norms_name(c->norms));
	if (c->family == BD_BITNET && norms != BD_NORMS_SUBLN)
		bd_die(BD_DATA, "%s: a bitnet model can only have norms \"subln\"; give --norms subln", dir);
}

/* Gains that the model had are kept, new ones are 1. */
static void write_tensors(const struct bd_ckpt *k, const struct bd_config *to, const char *dir,
                          enum bd_dtype t)
{
	struct bd_make_tensor *v;
	size_t n;

	v = bd_make_list(to, &n);
	for (size_t i = 0; i < n; i++) {
		if (!bd_slot_exists(bd_ckpt_config(k), v[i].slot)) {
			v[i].make = BD_MAKE_FILL;
			v[i].value = 1;
		} else if (bd_slot_offset(to, v[i].slot)) {
			v[i].make = BD_MAKE_GAIN;
			v[i].value = 1;
		}
	}
	bd_model_out_tensors(k, dir, v, n, t);
	bd_free(v);
}

static void insert(const char *input, const char *dir, enum bd_norms norms, enum bd_dtype t)
{
	struct bd_ckpt *k = bd_ckpt_open(input);
	struct bd_config to = bd_config_copy(bd_ckpt_config(k));
	json_t *history =
	           bd_history(&(struct bd_input){"model", bd_ckpt_digest(k), bd_config_history(&to)}, 1),
	       *config;

	check(input, k, norms);
	to.norms = norms;
	to.ternary = true;
	json_object_set_new(bd_config_bitdistill(&to), "stage", json_string("subln"));
	config = bd_config_json(&to);
	write_tensors(k, &to, dir, t);
	bd_model_out_config(config, dir, t, bd_ckpt_digest(k), history);
	bd_model_out_companions(input, dir);
	json_decref(history);
	json_decref(config);
	bd_config_free(&to);
	bd_ckpt_close(k);
}

int main(int argc, char **argv)
{
	struct bd_common common;
	const char *output = NULL;
	bool force = false;
	enum bd_norms norms = BD_NORMS_SUBLN;
	enum bd_dtype dtype = BD_F32;
	const struct bd_opt opts[] = {
	    {"output", 'o', BD_STR | BD_WRITTEN, &output, "DIR", "the model directory to write", 0, 0},
	    {"norms", 0, BD_ENUM, &norms, BD_WORDS(BD_NORMS_LIST),
	     "before o_proj and down_proj, before all seven projections, or nowhere", 0, 0},
	    {"dtype", 0, BD_ENUM, &dtype, BD_DTYPE_WORDS, "type of the stored weights", 0, 0},
	    {"force", 'f', BD_FLAG, &force, NULL, "replace an existing output directory", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {"bd-subln",
	                             "insert SubLN and mark a model as a ternary student",
	                             "[options] MODEL -o DIR",
	                             opts,
	                             1,
	                             1};
	const char *input = argv[bd_opt_parse(&tool, &common, argc, argv)];
	struct bd_outdir *out;

	if (output == NULL)
		bd_die(BD_USAGE, "no output directory; give -o DIR");
	out = bd_outdir_open(output, force);
	insert(input, bd_outdir_path(out), norms, dtype);
	bd_outdir_commit(out);
	bd_stdout_close();
	return BD_OK;
}
