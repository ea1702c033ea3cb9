/* Pairs of prediction and reference, and their scores. */
#include "eval/text_scores.h"
#include "fuzz.h"

static void read_scores(void *ctx)
{
	struct bd_text_scores *s = bd_text_scores_new();

	bd_text_scores_read(s, fuzz_file("pairs.jsonl", *(struct fuzz *)ctx), NULL);
	if (bd_text_scores_count(s) < 20) /* the bootstrap is for others to test */
		json_decref(bd_text_scores_json(s, 1));
	bd_text_scores_free(s);
}
FUZZ(read_scores)
