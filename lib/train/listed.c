#include "train/listed.h"

#include "base/rng.h"
#include "machine/quant.h"

#include <math.h>

#define DRAWS ((uint64_t)1 << 63) /* streams of random numbers apart from those of permutations (rng.h) */

static bool before(const float *z, uint32_t a, uint32_t b)
{
	return z[a] > z[b] || (z[a] == z[b] && a < b);
}

/* heap[n]: the last in order of `before` on top; the element at i sinks to its place. */
static void sink_down(uint32_t *heap, size_t n, size_t i, const float *z)
{
	for (size_t c; (c = 2 * i + 1) < n; i = c) {
		if (c + 1 < n && before(z, heap[c], heap[c + 1]))
			c++;
		if (!before(z, heap[i], heap[c]))
			return;
		uint32_t t = heap[i];
		heap[i] = heap[c];
		heap[c] = t;
	}
}

/* The K first of z[V] in order, by a heap of the K best so far. */
static void select_top(uint32_t *top, size_t K, const float *z, size_t V)
{
	for (size_t i = 0; i < K; i++)
		top[i] = (uint32_t)i;
	for (size_t i = K / 2; i-- > 0;)
		sink_down(top, K, i, z);
	for (size_t v = K; v < V; v++)
		if (before(z, (uint32_t)v, top[0])) {
			top[0] = (uint32_t)v;
			sink_down(top, K, 0, z);
		}
	for (size_t n = K; n-- > 1;) {
		uint32_t t = top[0];

		top[0] = top[n];
		top[n] = t;
		sink_down(top, n, 0, z);
	}
}

static double maximum(const float *z, size_t V)
{
	float max = -INFINITY;

	for (size_t v = 0; v < V; v++)
		max = z[v] > max ? z[v] : max;
	return (double)max;
}

void bd_listed_top(const struct bd_listed *l, const struct bd_stream_head *h, float *z)
{
	size_t K = h->top_k, V = h->vocab;
	double rest = 0, max;

	select_top(l->zi, K, z, V);
	for (size_t k = 0; k < K; k++) {
		l->zt[k] = bd_f32_to_f16(z[l->zi[k]]);
		z[l->zi[k]] = -INFINITY;
	}
	max = maximum(z, V);
	for (size_t v = 0; v < V; v++)
		rest += exp(((double)z[v] - max) / h->tau);
	*l->zr = (float)(log(rest) + max / h->tau);
}

void bd_listed_draw(const struct bd_listed *l, const struct bd_stream_head *h, float *z, uint64_t seed,
                    uint64_t record, size_t position)
{
	size_t K = h->sample, V = h->vocab, k = 0, last = 0;
	double sum = 0, first = 0, below = 0, max = maximum(z, V);

	for (size_t v = 0; v < V; v++) {
		double a = ((double)z[v] - max) / h->tau;

		z[v] = (float)exp(a);
		sum += (double)z[v];
		first += z[v] > 0 ? (double)z[v] * a : 0;
	}
	*l->zr = (float)((isnan(sum) ? NAN : first) / sum - log(sum));
	for (size_t v = 0; v < V; v++) {
		below += (double)z[v];
		last = z[v] > 0 ? v : last;
		for (; k < K; k++) {
			double u = bd_rng_uniform(seed, DRAWS | record, position * K + k);

			if (((double)k + u) / (double)K * sum >= below)
				break;
			l->zi[k] = (uint32_t)v;
		}
	}
	for (; k < K; k++) /* the last part, rounded up to its end */
		l->zi[k] = (uint32_t)last;
}
