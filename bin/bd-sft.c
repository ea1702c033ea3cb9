/* bd-sft: supervised fine-tuning, of the full-precision teacher or, with --weights ternary, of the direct
 * BitNet-SFT baseline. */
#include "base/io.h"
#include "base/msg.h"
#include "train/train.h"

int main(int argc, char **argv)
{
	struct bd_train t = bd_train_defaults("sft");
	const struct bd_opt opts[] = {BD_TRAIN_OPTIONS(t), {0}};
	const struct bd_tool tool = {
	    .name = "bd-sft",
	    .summary = "fine-tune a model on examples",
	    .synopsis = "[options] --model DIR -o OUTPUT [STREAM...]",
	    .opts = opts,
	    .max_args = -1,
	};
	int i = bd_opt_parse(&tool, &t.common, argc, argv);
	int rc = bd_train_run(&t, (struct bd_parts){argv + i, (size_t)(argc - i)});

	bd_stdout_close();
	return rc;
}
