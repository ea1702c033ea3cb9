/* A checkpoint's config.json, then its model.safetensors: every slot as it is read by tools that hold no
 * model. */
#include "fuzz.h"
#include "machine/quant.h"
#include "model/ckpt.h"
#include "model/hf.h"
#include "model/slot.h"

static void read_slots(struct bd_ckpt *k)
{
	const struct bd_config *c = bd_ckpt_config(k);

	for (int slot = 0; slot < BD_SLOTS; slot++)
		for (int layer = 0; layer < c->layers && layer < 2; layer++)
			if (!bd_ckpt_packed(k))
				bd_ckpt_tensor(k, (enum bd_slot)slot, layer);
	bd_ckpt_digest(k);
}

static void read_model(void *ctx)
{
	struct fuzz *f = ctx, config = fuzz_part(f);
	struct bd_hf_opt o = {.form = BD_HF_OFFLINE, .dtype = BD_F16};
	struct bd_ckpt *k;

	fuzz_file("d/config.json", config);
	fuzz_file("d/model.safetensors", *f);
	k = bd_ckpt_open(fuzz_dir("d"));
	read_slots(k);
	bd_free(bd_hf_why_not(k, &o));
	bd_ckpt_close(k);
}
FUZZ(read_model)
