/* bd-distill: train the student on a teacher stream with CE + lambda LD + gamma AD (BitDistill), or CAKLD
 * (BitDistiller). */
#include "base/io.h"
#include "base/msg.h"
#include "train/train.h"

#include <string.h>

/* "qkv", "v", ... */
static void parse_states(bool states[3], const char *s)
{
	static const char name[] = "qkv";

	memset(states, 0, 3 * sizeof(*states));
	for (; *s; s++) {
		const char *at = strchr(name, *s);

		if (at == NULL)
			bd_die(BD_USAGE,
			       "--states: \"%c\" is not a state; give some of q, k and v, such as qkv", *s);
		states[at - name] = true;
	}
}

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
	const char *states = "qkv";
	const struct bd_opt opts[] = {
	    BD_TRAIN_OPTIONS(t),
	    {"ce", 0, BD_REAL, &t.ce, "X", "weight of the cross entropy", 0.0, 1e9},
	    {"lambda", 0, BD_REAL, &t.lambda, "X", "weight of the logit distillation LD", 0.0, 1e9},
	    {"lambda-ratio", 0, BD_REAL, &t.lambda_ratio, "R",
	     "instead: make LD's gradient R times CE's, at the logits", 0.0, 1e6},
	    {"gamma", 0, BD_REAL, &t.gamma, "X", "weight of the attention-relation distillation AD", 0.0,
	     1e12},
	    {"gamma-ratio", 0, BD_REAL, &t.gamma_ratio, "R",
	     "instead: make AD's gradient R times the others', at q, k, v", 0.0, 1e6},
	    {"objective", 0, BD_ENUM, &t.objective, "kl|cakld", "divergence of LD", 0, 0},
	    {"tau", 0, BD_REAL, &t.tau, "T", "temperature of LD (kl)", 0.01, 1000.0},
	    {"no-tau2", 0, BD_FLAG, &t.no_tau2, NULL, "LD without the factor tau^2", 0, 0},
	    {"cakld-beta", 0, BD_REAL, &t.cakld_beta, "X",
	     "share of the reverse KL (negative: the teacher's mean confidence)", -1.0, 1.0},
	    {"states", 0, BD_STR, &states, "LETTERS", "states whose relations AD compares", 0, 0},
	    {"layer", 'l', BD_INT, &t.layer, "N",
	     "student layer for AD, counted from 0 (-1: at the teacher's depth)", -1, 1e6},
	    {"heads", 0, BD_INT, &t.heads, "N", "relation heads A_r (0: up to 32, as the widths allow)", 0,
	     1e6},
	    {"relation", 0, BD_ENUM, &t.relation, "cosine|dot",
	     "relations of normalised states, or scaled dot products", 0, 0},
	    {"relation-temp", 0, BD_REAL, &t.relation_temp, "T", "temperature of the relations", 1e-3, 1e6},
	    {"relation-norm", 0, BD_ENUM, &t.relation_norm, "paper|code",
	     "divide AD by A_r rows, or by A_r^2 rows", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {
	    .name = "bd-distill",
	    .summary = "train a student on a teacher stream",
	    .synopsis = "[options] --model DIR -o OUTPUT [TEACHER-STREAM]",
	    .opts = opts,
	    .max_args = 1,
	};
	int i = bd_opt_parse(&tool, &t.common, argc, argv);

	parse_states(t.states, states);
	choose("lambda", "lambda-ratio", &t.lambda_ratio);
	choose("gamma", "gamma-ratio", &t.gamma_ratio);
	int rc = bd_train_run(&t, i < argc ? argv[i] : "-");
	bd_stdout_close();
	return rc;
}
