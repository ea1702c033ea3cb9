/* What was left out of a result on request: counted by reason, for one sentence at the end. */
#ifndef BD_LEFTOUT_H
#define BD_LEFTOUT_H

#include <stdint.h>

enum { BD_LEFTOUT_KINDS = 16 };

struct bd_leftout {
	struct {
		const char *why; /* one of few words, compared by address: "rows that are no JSON" */
		uint64_t n;
	} kind[BD_LEFTOUT_KINDS];
	uint64_t n;      /* in all */
	char first[512]; /* the first message */
};

void bd_leftout_add(struct bd_leftout *l, const char *why, const char *message);
/* Warns "WHAT left out: 3 (2 WHY, 1 WHY); the first: MESSAGE"; nothing if nothing was left out. */
void bd_leftout_report(const struct bd_leftout *l, const char *what);

#endif
