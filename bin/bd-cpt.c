/* bd-cpt: continual pre-training on text, of the ternary student, or with --weights full plain language-model
 * training. */
#include "base/io.h"
#include "base/msg.h"
#include "train/train.h"

int main(int argc, char **argv)
{
	struct bd_train t = bd_train_defaults("cpt");
	const struct bd_opt opts[] = {BD_TRAIN_OPTIONS(t), {0}};
	const struct bd_tool tool = {
	    .name = "bd-cpt",
	    .summary = "continue pre-training a model on text",
	    .synopsis = "[options] --model DIR -o OUTPUT [STREAM...]",
	    .opts = opts,
	    .max_args = -1,
	};
	int i = bd_opt_parse(&tool, &t.common, argc, argv);
	int rc = bd_train_run(&t, (struct bd_parts){argv + i, (size_t)(argc - i)});

	bd_stdout_close();
	return rc;
}
