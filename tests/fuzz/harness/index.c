/* An index of shards, the index and one shard each a part. */
#include "format/safetensors.h"
#include "fuzz.h"

static void read_index(void *ctx)
{
	struct fuzz *f = ctx, index = fuzz_part(f);
	struct bd_st *s;

	fuzz_file("d/a", *f);
	s = bd_st_open(fuzz_file("d/model.safetensors.index.json", index));
	bd_st_find(s, "a");
	bd_st_close(s);
}
FUZZ(read_index)
