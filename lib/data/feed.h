/* The records of a stream as training takes them: several passes, in order or in a new random order each
 * pass. */
#ifndef BD_FEED_H
#define BD_FEED_H

#include "data/stream.h"

struct bd_feed_plan {
	double epochs; /* passes, any fraction; 0: one, or without end when `endless` */
	bool endless;  /* with epochs 0: repeat as long as the caller takes records (a pipe still ends) */
	bool count;    /* a regular file whose length is unknown is read once to count its records */
	bool hold;     /* keep ids and targets in memory: passes over a pipe become possible */
	bool shuffle;  /* implies hold; pass p is the permutation (seed, p) */
	uint64_t seed;
	size_t context; /* of the model, for bd_source_limit; 0: any length */
};

struct bd_feed;
/* Several streams are read as one (stream.h). Dies BD_DATA on an empty stream, BD_USAGE on passes that a pipe
 * cannot give. */
struct bd_feed *bd_feed_open(struct bd_parts parts, const struct bd_feed_plan *plan);
void bd_feed_close(struct bd_feed *f); /* NULL is fine */
const struct bd_stream_head *bd_feed_head(const struct bd_feed *f);
const struct bd_source *bd_feed_source(const struct bd_feed *f);
uint64_t bd_feed_total(const struct bd_feed *f); /* records of all passes; 0: unknown or endless */

/* The record that comes next, NULL at the end. Owned by f; reading is done here, so a broken stream dies
 * here. */
const struct bd_record *bd_feed_peek(struct bd_feed *f);
/* Hands it over: *r is filled (its old members are not freed) and owned by the caller. */
bool bd_feed_take(struct bd_feed *f, struct bd_record *r);

#endif
