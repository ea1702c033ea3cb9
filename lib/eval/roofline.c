/* Peaks of the machine. The loops for one instruction set are functions with a target of their own, which run
 * only where the processor has it; the rest of this file is for every machine. */
#include "eval/roofline.h"

#include "base/log.h"
#include "base/mem.h"
#include "eval/roofline_loops.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Pieces of a block are timed, milliseconds each: on a busy machine one or the other is left alone. */
enum { BLOCK = 256 << 20, PIECE = 32 << 20, PASSES = 5 };

const char *const bd_roof_name[BD_ROOFS] = {"bandwidth", "int8", "bf16", "f32"};

/* ---- reading ---- */

struct reading {
	const uint8_t *p;
	bd_read_loop *loop;
	uint64_t *sum; /* [threads]: what was read must be used */
};

static void read_slice(void *ctx, size_t begin, size_t end, int slice)
{
	const struct reading *r = ctx;

	r->sum[slice] += r->loop(r->p + begin * BD_READ_STEP, (end - begin) * BD_READ_STEP);
}

static struct bd_peak read_peak(struct bd_par *par)
{
	struct reading r = {.sum = bd_zalloc((size_t)bd_par_threads(par), sizeof(uint64_t))};
	struct bd_peak best = {0};
	uint8_t *block = bd_alloc(BLOCK, 1);

	memset(block, 1, BLOCK);
	for (const struct bd_reader *l = bd_readers; l->loop != NULL; l++) {
		if (!l->works())
			continue;
		r.loop = l->loop;
		for (size_t i = 0; i < PASSES * (BLOCK / PIECE); i++) {
			double start = bd_seconds(), rate;

			r.p = block + i % (BLOCK / PIECE) * PIECE;
			bd_par_for(par, PIECE / BD_READ_STEP, read_slice, &r);
			rate = PIECE / (bd_seconds() - start);
			if (rate > best.rate)
				best = (struct bd_peak){rate, l->name};
		}
	}
	bd_free(r.sum);
	bd_free(block);
	return best;
}

/* ---- multiplying ---- */

struct multiplying {
	bd_peak_loop *loop;
	double *operations; /* [threads] */
};

static void multiply_slice(void *ctx, size_t begin, size_t end, int slice)
{
	const struct multiplying *m = ctx;

	m->operations[slice] = begin < end ? m->loop(BD_PEAK_ROUNDS) : 0;
}

static double multiply(struct bd_par *par, bd_peak_loop *loop)
{
	size_t threads = (size_t)bd_par_threads(par);
	struct multiplying m = {loop, bd_zalloc(threads, sizeof(double))};
	double start = bd_seconds(), sum = 0;

	bd_par_for(par, threads, multiply_slice, &m);
	for (size_t i = 0; i < threads; i++)
		sum += m.operations[i];
	bd_free(m.operations);
	return sum / (bd_seconds() - start);
}

struct bd_roofline bd_roofline_measure(struct bd_par *par, bool all)
{
	struct bd_roofline r = {{read_peak(par)}};

	for (const struct bd_multiplier *l = bd_multipliers; all && l->loop != NULL; l++) {
		struct bd_peak *best = &r.peak[l->roof];

		if (!l->works())
			continue;
		for (int i = 0; i < PASSES; i++) {
			double rate = multiply(par, l->loop);

			if (rate > best->rate)
				*best = (struct bd_peak){rate, l->name};
		}
	}
	return r;
}
