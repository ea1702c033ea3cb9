/* A stream as training takes it: passes, held, shuffled. */
#include "data/feed.h"
#include "fuzz.h"

static void read_feed(void *ctx)
{
	struct fuzz *f = ctx;
	unsigned flags = fuzz_byte(f);
	struct bd_feed_plan plan = {.epochs = (flags & 7) / 4.0,
	                            .count = flags & 8,
	                            .hold = flags & 16,
	                            .shuffle = flags & 32,
	                            .seed = flags};
	struct bd_feed *feed = bd_feed_open(fuzz_file("stream.bds", *f), &plan);
	struct bd_record r;

	while (bd_feed_take(feed, &r))
		bd_record_free(&r);
	bd_feed_close(feed);
}
FUZZ(read_feed)
