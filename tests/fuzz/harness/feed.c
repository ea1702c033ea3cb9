/* A stream as training takes it: passes, held, shuffled; or two streams as one. */
#include "data/feed.h"
#include "fuzz.h"

static void read_feed(void *ctx)
{
	struct fuzz *f = ctx, first;
	unsigned flags = fuzz_byte(f);
	struct bd_feed_plan plan = {.epochs = (flags & 7) / 4.0,
	                            .count = flags & 8,
	                            .hold = flags & 16,
	                            .shuffle = flags & 32,
	                            .context = flags & 128 ? 4 : 0,
	                            .seed = flags};
	char *path[2];
	struct bd_feed *feed;
	struct bd_record r;

	first = *f;
	if (flags & 64) { /* two more bytes say where the second one begins */
		size_t n = fuzz_byte(f) << 8;

		n |= fuzz_byte(f);
		first = (struct fuzz){f->p, n < f->n ? n : f->n};
		f->p += first.n;
		f->n -= first.n;
		path[1] = (char *)(uintptr_t)fuzz_file("second.bds", *f);
	}
	path[0] = (char *)(uintptr_t)fuzz_file("first.bds", first);
	feed = bd_feed_open((struct bd_parts){path, flags & 64 ? 2 : 1}, &plan);
	while (bd_feed_take(feed, &r))
		bd_record_free(&r);
	bd_feed_close(feed);
}
FUZZ(read_feed)
