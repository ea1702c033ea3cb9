/* bd-teacher-dump: run the teacher over examples; stream its logits and the Q, K, V states of one layer. */
#include "base/io.h"
#include "base/msg.h"
#include "train/teacher.h"

int main(int argc, char **argv)
{
	struct bd_teacher d = {.layer = "0.8", .epochs = 1, .tau = 5, .batch_tokens = 4096, .level = -1};
	const struct bd_opt opts[] = {
	    {"model", 'm', BD_STR | BD_READ, &d.model, "DIR", "the teacher", 0, 0},
	    {"output", 'o', BD_STR | BD_WRITTEN, &d.output, "FILE", "output (default: stdout)", 0, 0},
	    {"layer", 'l', BD_STR, &d.layer, "L",
	     "layer of the states: an index from 0, or a fraction of the depth", 0, 0},
	    {"positions", 'p', BD_ENUM, &d.positions, BD_WORDS(BD_POSITIONS_LIST),
	     "logits of the positions of the answer, or of all", 0, 0},
	    {"top-k", 'k', BD_INT, &d.top_k, "K",
	     "only the K largest logits of a position, and the sum of the rest (0: all)", 0, 1e6},
	    {"sample", 0, BD_INT, &d.sample, "K", "only K ids drawn from a position's distribution (0: all)",
	     0, 1 << 20},
	    {"tau", 0, BD_REAL, &d.tau, "T", "temperature of --top-k and --sample, as bd-distill's", 0.01,
	     1000.0},
	    {"vocab", 0, BD_INT, &d.vocab, "N",
	     "only the first N ids have logits (0: all; with --top-k and --sample, those of the examples)", 0,
	     1e9},
	    {"no-logits", 0, BD_FLAG, &d.no_logits, NULL, "no logits", 0, 0},
	    {"no-states", 0, BD_FLAG, &d.no_states, NULL, "no states", 0, 0},
	    {"epochs", 'e', BD_REAL, &d.epochs, "N", "passes over the examples", 0.0, 1e6},
	    {"shard", 0, BD_STR, &d.shard, "I/N", "only the I-th of N equal parts", 0, 0},
	    {"shuffle", 0, BD_FLAG, &d.shuffle, NULL,
	     "hold the examples in memory and shuffle them every pass", 0, 0},
	    {"batch-tokens", 0, BD_INT, &d.batch_tokens, "N", "tokens to process together", 1, 1e8},
	    {"level", 0, BD_INT, &d.level, "N", "zstd level (-1: 3 into a file, none into a pipe)", -1, 19},
	    {0},
	};
	const struct bd_tool tool = {
	    .name = "bd-teacher-dump",
	    .summary = "stream a teacher's logits and states",
	    .synopsis = "[options] --model DIR [STREAM...]",
	    .opts = opts,
	    .max_args = -1,
	};
	int i = bd_opt_parse(&tool, &d.common, argc, argv);

	if (d.no_logits && d.no_states)
		bd_die(BD_USAGE, "--no-logits and --no-states leave nothing to stream");
	if (d.top_k > 0 && d.sample > 0)
		bd_die(BD_USAGE, "choose one of --top-k and --sample");
	if (bd_opt_given("tau") && d.top_k == 0 && d.sample == 0)
		bd_die(BD_USAGE, "--tau is for --top-k and --sample; full logits serve every temperature");
	bd_teacher_run(&d, (struct bd_parts){argv + i, (size_t)(argc - i)});
	bd_stdout_close();
	return BD_OK;
}
