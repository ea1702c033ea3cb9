/* Sampling in the order temperature, top-k, top-p, min-p: a max-heap gives the candidates from the likeliest
 * down until one of the limits stops it; then one uniform number chooses among them. */
#include "run/sample.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>

/* Larger value first, smaller id first among equals. */
static int before(const float *p, uint32_t a, uint32_t b)
{
	return p[a] > p[b] || (p[a] == p[b] && a < b);
}

static void sift(const float *p, uint32_t *heap, size_t n, size_t i)
{
	for (;;) {
		size_t top = i, l = 2 * i + 1, r = l + 1;
		uint32_t id = heap[i];

		if (l < n && before(p, heap[l], heap[top]))
			top = l;
		if (r < n && before(p, heap[r], heap[top]))
			top = r;
		if (top == i)
			return;
		heap[i] = heap[top];
		heap[top] = id;
		i = top;
	}
}

static uint32_t argmax(const float *z, size_t V)
{
	size_t best = 0;

	for (size_t i = 1; i < V; i++)
		if (z[i] > z[best])
			best = i;
	return (uint32_t)best;
}

/* p[V] = exp((z - max) / temperature), not normalised; returns the sum. */
static double weigh(float *z, size_t V, float temperature)
{
	float max = z[argmax(z, V)];
	double sum = 0;

	for (size_t i = 0; i < V; i++) {
		z[i] = expf((z[i] - max) / temperature);
		sum += (double)z[i];
	}
	return sum;
}

/* Moves the first of heap[*n] behind the others. */
static uint32_t pop(const float *p, uint32_t *heap, size_t *n)
{
	uint32_t id = heap[0];

	heap[0] = heap[--*n];
	heap[*n] = id;
	sift(p, heap, *n, 0);
	return id;
}

/* The candidates, likeliest first, at the end of heap[V]; *mass = their sum of p. Returns how many. top_p is
 * a share of what top_k left. */
static size_t keep(const struct bd_sampler *s, const float *p, uint32_t *heap, size_t V, double sum,
                   double *mass)
{
	size_t k = s->top_k > 0 && (size_t)s->top_k < V ? (size_t)s->top_k : V, n = V, kept;

	for (size_t i = 0; i < V; i++)
		heap[i] = (uint32_t)i;
	for (size_t i = V / 2; i-- > 0;)
		sift(p, heap, V, i);
	if (k < V)
		for (sum = 0; V - n < k;)
			sum += (double)p[pop(p, heap, &n)];
	*mass = 0;
	for (kept = 0; kept < k; kept++) {
		uint32_t id = k < V ? heap[V - 1 - kept] : heap[0];

		/* the largest p is 1 */
		if (kept > 0 && (p[id] < s->min_p || *mass >= (double)s->top_p * sum))
			break;
		*mass += (double)p[id];
		if (k == V)
			pop(p, heap, &n);
	}
	return kept;
}

void bd_sample_penalise(float *z, const uint32_t *ids, size_t n, float penalty)
{
	float *was = bd_alloc(n, sizeof(*was)); /* an id that occurs twice is penalised once */

	for (size_t i = 0; i < n; i++)
		was[i] = z[ids[i]];
	for (size_t i = 0; i < n; i++)
		z[ids[i]] = was[i] > 0 ? was[i] / penalty : was[i] * penalty;
	bd_free(was);
}

uint32_t bd_sample(struct bd_sampler *s, float *z, size_t V)
{
	uint32_t *heap, id;
	double sum, mass, u;
	size_t n, i;

	if (s->temperature <= 0)
		return argmax(z, V);
	sum = weigh(z, V, s->temperature);
	u = bd_rng_uniform(s->seed, 0, s->drawn++);
	if (s->top_k <= 0 && s->top_p >= 1 && s->min_p <= 0) { /* no limits: no order needed */
		for (i = 0, mass = (double)z[0]; i + 1 < V && mass <= u * sum; mass += (double)z[++i])
			;
		return (uint32_t)i;
	}
	heap = bd_alloc(V, sizeof(*heap));
	n = keep(s, z, heap, V, sum, &mass);
	for (i = V, u *= mass; i > V - n + 1 && u >= (double)z[heap[i - 1]]; i--)
		u -= (double)z[heap[i - 1]];
	id = heap[i - 1];
	bd_free(heap);
	return id;
}
