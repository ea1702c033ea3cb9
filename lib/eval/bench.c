/* Measuring models. */
#include "eval/bench.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "format/gguf.h"
#include "machine/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 256 << 20, PASSES = 5, WARM = 8 };

/* ---- the machine ---- */

struct probe {
	const uint64_t *p;
	uint64_t *sum; /* [threads]: the reads must not be optimised away */
};

static void probe_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct probe *b = ctx;
	uint64_t s = 0;

	for (size_t i = begin; i < end; i++)
		s += b->p[i];
	b->sum[slice] += s;
}

double bd_bench_bandwidth(struct bd_par *par)
{
	size_t n = BLOCK / sizeof(uint64_t);
	uint64_t *block = bd_alloc(n, sizeof(*block));
	struct probe b = {block, bd_zalloc((size_t)bd_par_threads(par), sizeof(uint64_t))};
	double best = 0;

	memset(block, 1, BLOCK);
	for (int i = 0; i < PASSES; i++) {
		double start = bd_seconds();

		bd_par_for(par, n, probe_slice, &b);
		best = fmax(best, BLOCK / (bd_seconds() - start));
	}
	bd_free(b.sum);
	bd_free(block);
	return best;
}

/* Bytes of this process in memory now, mapped files included. */
static double resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL || fscanf(f, "%*s %lu", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* ---- a model ---- */

static size_t linear_bytes(const struct bd_linear *w)
{
	size_t n = w->codes != NULL ? w->out * bd_ternary_stride(w->in)
	                            : w->out * w->in * (w->half != NULL ? sizeof(*w->half) : sizeof(float));

	return n + (w->gain != NULL ? w->in : 0) * sizeof(float) +
	       (w->bias != NULL ? w->out : 0) * sizeof(float);
}

static double read_bytes(const struct bd_net *net)
{
	size_t C = (size_t)net->cfg.hidden, D = (size_t)net->cfg.head_dim;
	size_t n = bd_ggml_bytes(net->head.type, net->head.rows, C) + bd_ggml_bytes(net->embed.type, 1, C) +
	           C * sizeof(float);

	for (int l = 0; l < net->cfg.layers; l++) {
		n += (2 * C + (net->cfg.qk_norm ? 2 * D : 0)) * sizeof(float);
		for (int i = 0; i < BD_LINS; i++)
			n += linear_bytes(&net->block[l].lin[i]);
	}
	return (double)n;
}

struct bd_bench bd_bench_open(const char *path, struct bd_dev *dev, size_t pp, size_t tg, uint64_t seed)
{
	struct bd_bench b = {.pp = pp, .tg = tg < WARM ? tg : WARM};
	size_t n = pp > tg ? pp : tg;
	double before = resident();

	b.m = bd_infer_open(path, dev, false);
	b.s = bd_seq_new(b.m, n);
	b.read = read_bytes(b.m->net);
	b.ids = bd_alloc(n, sizeof(*b.ids));
	for (size_t i = 0; i < n; i++)
		b.ids[i] = (uint32_t)bd_rng_below(seed, 0, i, (uint64_t)b.m->net->cfg.vocab);
	bd_bench_prefill(&b);
	bd_bench_decode(&b); /* a short one */
	b.tg = tg;
	b.memory = resident() - before;
	return b;
}

void bd_bench_close(struct bd_bench *b)
{
	bd_seq_free(b->s);
	bd_infer_close(b->m);
	bd_free(b->ids);
}

double bd_bench_prefill(struct bd_bench *b)
{
	double start = bd_seconds();

	bd_seq_rewind(b->s, 0);
	bd_seq_feed(b->s, b->ids, b->pp);
	return (double)b->pp / (bd_seconds() - start);
}

double bd_bench_decode(struct bd_bench *b)
{
	double start = bd_seconds();

	bd_seq_rewind(b->s, 0);
	for (size_t i = 0; i < b->tg; i++)
		bd_seq_feed(b->s, b->ids + i, 1);
	return (double)b->tg / (bd_seconds() - start);
}

struct bd_score bd_bench_task(struct bd_bench *b, const char *path, size_t batch_tokens)
{
	struct bd_source *src = bd_source_open(path);
	struct bd_score s;

	bd_source_fits(src, bd_tok_digest(bd_infer_tok(b->m)), (uint32_t)b->m->net->cfg.vocab, b->m->path);
	s = bd_eval(b->m->net, src, batch_tokens, NULL);
	bd_source_close(src);
	return s;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double bd_bench_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}
