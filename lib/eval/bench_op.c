/* Timing and memory of one operation. */
#include "eval/bench_op.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/spread.h"
#include "machine/quant.h"

#include <math.h>
#include <string.h>

enum { COPIES_BYTES = 128 << 20 /* more than caches have */ };
static const double ENOUGH = 2e-3; /* seconds of one measurement, at least */

/* ---- memory ---- */

float *bd_timed_host(size_t n)
{
	float *p = bd_alloc(n, sizeof(*p));

	for (size_t i = 0; i < n; i++)
		p[i] = (float)bd_rng_uniform(1, 0, i) - 0.5f;
	return p;
}

float *bd_timed_numbers(const struct bd_timing *x, size_t n)
{
	float *host = bd_timed_host(n), *p = bd_dev_alloc(x->dev, n, sizeof(*p));

	bd_dev_to(x->dev, p, host, n * sizeof(*p));
	bd_free(host);
	return p;
}

struct bd_int8 bd_timed_int8(const struct bd_timing *x, size_t T, size_t K)
{
	return (struct bd_int8){bd_dev_alloc(x->dev, T, bd_ternary_cols(K)),
	                        bd_dev_alloc(x->dev, T, sizeof(float)),
	                        bd_dev_alloc(x->dev, T, sizeof(int32_t))};
}

void bd_timed_place(const struct bd_timing *x, struct bd_timed *o, const void *row, size_t n)
{
	size_t all = x->weights < COPIES_BYTES ? x->weights : COPIES_BYTES;
	char *host = bd_alloc(o->size, 1);

	o->copies = all / o->size + 1;
	o->w = bd_dev_alloc(x->dev, o->copies, o->size);
	for (size_t i = 0; i < o->size; i += n)
		memcpy(host + i, row, o->size - i < n ? o->size - i : n);
	for (size_t i = 0; i < o->copies; i++)
		bd_dev_to(x->dev, o->w + i * o->size, host, o->size);
	bd_free(host);
}

static void release(const struct bd_timing *x, struct bd_timed *o)
{
	void *const all[] = {o->w, o->in, o->out, o->q.q, o->q.step, o->q.sum};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bd_dev_free(x->dev, all[i]);
}

/* ---- timing ---- */

/* Seconds of a call, of so many. */
static double time_calls(const struct bd_timing *x, struct bd_timed *o, size_t calls)
{
	double start = bd_seconds();

	for (size_t i = 0; i < calls; i++) {
		o->run(x, o);
		o->copy = o->copy + 1 < o->copies ? o->copy + 1 : 0;
	}
	bd_dev_wait(x->dev);
	return (bd_seconds() - start) / (double)calls;
}

static struct bd_spread measure(const struct bd_timing *x, struct bd_timed *o)
{
	double *v = bd_alloc(x->reps, sizeof(*v));
	struct bd_spread s;
	size_t calls = 1;

	time_calls(x, o, 1);
	while (time_calls(x, o, calls) * (double)calls < ENOUGH)
		calls *= 2;
	for (size_t i = 0; i < x->reps; i++)
		v[i] = time_calls(x, o, calls);
	s = bd_spread(v, x->reps);
	bd_free(v);
	return s;
}

void bd_timed_run(const struct bd_timing *x, struct bd_timed *o)
{
	struct bd_spread s = measure(x, o);
	/* the least time that memory and arithmetic allow; the latter counts if it was measured */
	double read = o->bytes / x->roof.peak[BD_ROOF_READ].rate, peak = x->roof.peak[o->roof].rate,
	       compute = peak > 0 ? o->operations / peak : 0;
	json_t *row = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f}", "operation", o->name, "type",
	                        o->type, "shape", o->shape, "n_tokens", (json_int_t)o->T, "n_depth",
	                        (json_int_t)o->depth, "n_threads", (json_int_t)x->threads, "seconds",
	                        s.median, "seconds_min", s.min, "seconds_max", s.max);

	json_object_set_new(row, "operations_per_second", json_real(o->operations / s.median));
	json_object_set_new(row, "bytes_per_second", json_real(o->bytes / s.median));
	json_object_set_new(row, "of_peak", json_real(fmax(read, compute) / s.median));
	json_object_set_new(row, "peak", json_string(bd_roof_name[compute > read ? o->roof : BD_ROOF_READ]));
	json_array_append_new(x->rows, row);
	release(x, o);
}
