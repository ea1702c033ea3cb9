/* Choosing the next token. */
#ifndef BD_SAMPLE_H
#define BD_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

struct bd_sampler {
	float temperature; /* 0: greedy (first of equals) */
	int top_k;         /* 0: off */
	float top_p;       /* 1: off */
	float min_p;       /* 0: off */
	uint64_t seed;
	uint64_t drawn; /* counter */
};
/* Repetition penalty (Keskar et al., arXiv 1909.05858): the logit of every token among ids[n], however often
 * it occurs, is divided by `penalty` if positive, else multiplied. 1: nothing changes. */
void bd_sample_penalise(float *z, const uint32_t *ids, size_t n, float penalty);
/* z[V] is destroyed. */
uint32_t bd_sample(struct bd_sampler *s, float *z, size_t V);

#endif
