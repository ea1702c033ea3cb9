/* Counting what is left out. */
#include "data/leftout.h"

#include "base/mem.h"
#include "base/msg.h"

#include <inttypes.h>
#include <stdio.h>

void bd_leftout_add(struct bd_leftout *l, const char *why, const char *message)
{
	int i = 0;

	while (i + 1 < BD_LEFTOUT_KINDS && l->kind[i].n > 0 && l->kind[i].why != why)
		i++;
	l->kind[i].why = why;
	l->kind[i].n++;
	if (l->n++ == 0)
		snprintf(l->first, sizeof(l->first), "%s", message);
}

void bd_leftout_report(const struct bd_leftout *l, const char *what)
{
	struct bd_buf b = {0};

	for (int i = 0; i < BD_LEFTOUT_KINDS && l->kind[i].n > 0; i++)
		bd_buf_fmt(&b, "%s%" PRIu64 " %s", i > 0 ? ", " : "", l->kind[i].n, l->kind[i].why);
	if (l->n > 0)
		bd_warn("%s left out: %" PRIu64 " (%s); the first: %s", what, l->n, b.p, l->first);
	bd_buf_free(&b);
}
