/* The saved state of a training run: state.json, then state.safetensors. */
#include "fuzz.h"
#include "math/devices.h"
#include "train/checkpoint.h"

static struct bd_dev *dev;

void fuzz_begin(void)
{
	dev = bd_dev_cpu(NULL, NULL);
}

static void read_checkpoint(void *ctx)
{
	struct fuzz *f = ctx, json = fuzz_part(f);
	struct bd_identity identity = {"1111", "2222"};
	struct bd_progress p = {0};
	json_t *extra = NULL;
	float a[16];
	struct bd_blob blob[] = {{"a", BD_F32, a, 4}, {"b", BD_F32, a + 8, 8}};
	struct bd_state s = {dev, &identity, &p, &extra, blob, 2};

	fuzz_file("d/state.json", json);
	fuzz_file("d/state.safetensors", *f);
	bd_checkpoint_load(fuzz_dir("d"), &s);
	json_decref(extra);
}
FUZZ(read_checkpoint)
