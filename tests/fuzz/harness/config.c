/* A directory's config.json and generation_config.json: the parts of the input. */
#include "fuzz.h"
#include "model/config.h"
#include "model/hf_quant.h"

static void read_config(void *ctx)
{
	struct fuzz *f = ctx, first = fuzz_part(f);
	struct bd_config c, d;
	json_t *j;

	fuzz_file("d/generation_config.json", f->n > 0 ? *f : (struct fuzz){"{}", 2});
	fuzz_file("d/config.json", first);
	c = bd_config_load(fuzz_dir("d"));
	d = bd_config_copy(&c);
	j = bd_config_json(&d);
	json_decref(j);
	bd_config_free(&c);
	bd_config_free(&d);
}
FUZZ(read_config)
