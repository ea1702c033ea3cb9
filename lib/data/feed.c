/* Passes over a stream of records; see feed.h. One record is read ahead. */
#include "data/feed.h"

#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct bd_feed {
	struct bd_feed_plan plan;
	struct bd_source *src;
	uint64_t count;           /* records of one pass; 0: not known yet */
	uint64_t total;           /* records to give; 0: no limit except the passes */
	uint64_t passes;          /* passes, complete or started; 0: no limit */
	uint64_t given, pass, at; /* records given; the current pass and the records read of it */
	struct bd_record next;    /* read ahead; n = 0: none */
	bool ended;
	struct bd_record *held; /* [count] when held */
	uint64_t *order;        /* [count] permutation of the pass */
};

static void *copy(const void *p, size_t bytes)
{
	return memcpy(bd_alloc(bytes, 1), p, bytes);
}

/* What an example stream needs of a record; teacher parts are not held. */
static struct bd_record record_copy(const struct bd_record *r)
{
	struct bd_record c = *r;

	c.ids = copy(r->ids, r->n * sizeof(*r->ids));
	c.target = copy(r->target, r->n);
	c.ref = r->ref != NULL ? bd_strdup(r->ref) : NULL;
	return c;
}

static void hold_all(struct bd_feed *f)
{
	struct bd_record r = {0};
	uint64_t cap = 0;

	while (bd_source_next(f->src, &r)) {
		if (f->count == cap) {
			f->held = bd_resize(f->held, cap, 2 * cap + 1024, sizeof(*f->held));
			cap = 2 * cap + 1024;
		}
		f->held[f->count++] = r;
		r = (struct bd_record){0};
	}
	f->order = bd_alloc(f->count + 1, sizeof(*f->order));
	for (uint64_t i = 0; i < f->count; i++)
		f->order[i] = i;
}

static void count_all(struct bd_feed *f)
{
	struct bd_record r = {0};

	while (bd_source_next(f->src, &r))
		f->count++;
	bd_source_rewind(f->src);
}

static void limit(struct bd_feed *f)
{
	const struct bd_feed_plan *p = &f->plan;
	double epochs = p->epochs > 0 ? p->epochs : p->endless ? 0 : 1;
	bool again = f->held != NULL || bd_source_seekable(f->src);

	if (!again && epochs > 1)
		bd_die(BD_USAGE,
		       "%s: a pipe cannot be read %g times; store the stream in a file, or let "
		       "bd-teacher-dump --epochs repeat it",
		       bd_source_name(f->src), epochs);
	if (!again && epochs != floor(epochs) && f->count == 0)
		bd_die(BD_USAGE, "%s: %g passes over a stream of unknown length; store it in a file",
		       bd_source_name(f->src), epochs);
	f->passes = !again ? 1 : (uint64_t)ceil(epochs);
	f->total = (uint64_t)llround(epochs * (double)f->count);
	if (f->count > 0 && epochs > 0 && f->total == 0)
		f->total = 1;
	if (!again && epochs == 0)
		f->total = f->count;
}

struct bd_feed *bd_feed_open(struct bd_parts parts, const struct bd_feed_plan *plan)
{
	struct bd_feed *f = bd_zalloc(1, sizeof(*f));

	f->plan = *plan;
	f->src = bd_source_join(parts);
	const struct bd_stream_head *h = bd_source_head(f->src);
	bd_source_limit(f->src, plan->context);
	if ((plan->hold || plan->shuffle) && h->teacher)
		bd_die(BD_USAGE,
		       "%s: a teacher stream cannot be shuffled here; give --shuffle to bd-teacher-dump",
		       bd_source_name(f->src));
	if (plan->hold || plan->shuffle)
		hold_all(f);
	else if (h->examples > 0)
		f->count = h->examples;
	else if (bd_source_seekable(f->src) && (plan->count || plan->epochs != floor(plan->epochs)))
		count_all(f);
	limit(f);
	if (bd_feed_peek(f) == NULL)
		bd_die(BD_DATA, "%s: the stream has no examples", bd_source_name(f->src));
	return f;
}

void bd_feed_close(struct bd_feed *f)
{
	if (f == NULL)
		return;
	for (uint64_t i = 0; f->held != NULL && i < f->count; i++)
		bd_record_free(&f->held[i]);
	bd_free(f->held);
	bd_free(f->order);
	bd_record_free(&f->next);
	bd_source_close(f->src);
	bd_free(f);
}

const struct bd_stream_head *bd_feed_head(const struct bd_feed *f)
{
	return bd_source_head(f->src);
}

const struct bd_source *bd_feed_source(const struct bd_feed *f)
{
	return f->src;
}

uint64_t bd_feed_total(const struct bd_feed *f)
{
	return f->total;
}

/* The next record of this pass into f->next. */
static bool read_pass(struct bd_feed *f)
{
	if (f->held == NULL)
		return bd_source_next(f->src, &f->next);
	if (f->at == f->count)
		return false;
	if (f->at == 0 && f->plan.shuffle)
		bd_rng_permutation(f->plan.seed, f->pass, f->count, f->order);
	f->next = record_copy(&f->held[f->order[f->at]]);
	return true;
}

const struct bd_record *bd_feed_peek(struct bd_feed *f)
{
	while (f->next.n == 0 && !f->ended) {
		bool enough = f->total > 0 && f->given == f->total && f->at < f->count;

		if (!enough && read_pass(f)) {
			f->at++;
		} else if (enough || f->at == 0 || f->pass + 1 == f->passes) {
			f->ended = true;
		} else {
			f->pass++;
			f->at = 0;
			if (f->held == NULL)
				bd_source_rewind(f->src);
		}
	}
	return f->next.n > 0 ? &f->next : NULL;
}

bool bd_feed_take(struct bd_feed *f, struct bd_record *r)
{
	if (bd_feed_peek(f) == NULL)
		return false;
	*r = f->next;
	f->next = (struct bd_record){0};
	f->given++;
	return true;
}
