/* bd-bench: speed and memory of a model, alone or beside others in the same run, and of its operations. */
#include "base/opt.h"
#include "base/io.h"
#include "base/msg.h"
#include "base/procs.h"
#include "eval/bench_ops.h"
#include "eval/bench_out.h"

#define N_MAX       1e7
#define THREADS_MAX 1024

int main(int argc, char **argv)
{
	struct bd_bench_plan p = {.prefill = {{512}, 1},
	                          .decode = {{128}, 1},
	                          .sequences = {{1}, 1},
	                          .depth = {{0}, 1},
	                          .batch_tokens = 1024,
	                          .reps = 5,
	                          .threads = {{bd_processors("")}, 1}};
	enum bd_bench_format format = BD_BENCH_TABLE;
	struct bd_common common;
	bool kernels = false;
	const struct bd_opt opts[] = {
	    {"prefill", 'p', BD_INTS, &p.prefill, "N,...", "tokens in the prefill tests; 0: none", 0, N_MAX},
	    {"decode", 'n', BD_INTS, &p.decode, "N,...", "tokens in the decode tests; 0: none", 0, N_MAX},
	    {"depth", 'd', BD_INTS, &p.depth, "N,...", "tokens in the cache before a test", 0, N_MAX},
	    {"sequences", 0, BD_INTS, &p.sequences, "N,...", "sequences that decode together", 1, 4096},
	    {"threads", 't', BD_INTS, &p.threads, "N,...", "threads", 1, THREADS_MAX},
	    {"repetitions", 'r', BD_INT, &p.reps, "N", "repetitions; the median is printed", 1, 1000},
	    {"vs", 0, BD_STR | BD_READ, &p.vs, "MODEL", "second model, measured alternately with the first",
	     0, 0},
	    {"vs-cmd", 0, BD_STR, &p.command, "COMMAND",
	     "program that prints as llama-bench -o json, run in every repetition", 0, 0},
	    {"task", 0, BD_STR | BD_READ, &p.task, "FILE",
	     "also evaluate this example stream and measure examples/s", 0, 0},
	    {"batch-tokens", 'b', BD_INT, &p.batch_tokens, "N", "tokens of the stream to process together", 1,
	     1e8},
	    {"roofline", 0, BD_FLAG, &p.roofline, NULL, "also measure what the processor can compute", 0, 0},
	    {"kernels", 0, BD_FLAG, &kernels, NULL, "time single operations of this shape instead", 0, 0},
	    {"format", 0, BD_ENUM, &format, BD_BENCH_FORMATS, "output format", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {
	    "bd-bench", "measure the speed and memory use of models", "[options] MODEL", opts, 1, 1};

	p.model = argv[bd_opt_parse(&tool, &common, argc, argv)];
	p.seed = (uint64_t)common.seed;
	if (kernels && (p.vs != NULL || p.command != NULL || p.task != NULL))
		bd_die(BD_USAGE,
		       "--kernels times the operations of one model; leave out --vs, --vs-cmd and --task");
	if (kernels) {
		bd_bench_ops(&p, format);
	} else {
		struct bd_bench_report r = bd_bench_run(&p);

		bd_bench_print(&r, format);
		bd_bench_report_free(&r);
	}
	bd_stdout_close();
	return BD_OK;
}
