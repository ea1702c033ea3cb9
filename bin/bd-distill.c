/* bd-distill: train the student on a teacher stream with CE + lambda LD + gamma AD (BitDistill), or CAKLD
 * (BitDistiller). */
#include "base/io.h"
#include "base/msg.h"
#include "train/train.h"

/* A fixed weight and a ratio exclude each other; the fixed one switches a default ratio off. */
static void choose(const char *fixed, const char *ratio, double *value)
{
	if (bd_opt_given(fixed) && bd_opt_given(ratio) && *value > 0)
		bd_die(BD_USAGE, "--%s sets the weight that --%s would determine; give only one of them",
		       fixed, ratio);
	if (bd_opt_given(fixed))
		*value = 0;
}

int main(int argc, char **argv)
{
	struct bd_train t = bd_train_defaults("distill");
	const struct bd_opt opts[] = {BD_TRAIN_OPTIONS(t), BD_DISTILL_OPTIONS(t), {0}};
	const struct bd_tool tool = {
	    .name = "bd-distill",
	    .summary = "train a student on a teacher stream",
	    .synopsis = "[options] --model DIR -o OUTPUT [TEACHER-STREAM...]",
	    .opts = opts,
	    .max_args = -1,
	};
	int i = bd_opt_parse(&tool, &t.common, argc, argv);

	choose("lambda", "lambda-ratio", &t.lambda_ratio);
	choose("gamma", "gamma-ratio", &t.gamma_ratio);
	int rc = bd_train_run(&t, (struct bd_parts){argv + i, (size_t)(argc - i)});
	bd_stdout_close();
	return rc;
}
