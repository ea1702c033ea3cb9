/* Rows of a file; the first byte chooses the format, the second whether they are shuffled. */
#include "base/word.h"
#include "data/rows.h"
#include "fuzz.h"

static void read_rows(void *ctx)
{
	static const char *const field[] = {"text", "label", "id"};
	struct fuzz *f = ctx;
	unsigned format = fuzz_byte(f), flags = fuzz_byte(f), formats = 1;
	const char *value[3];
	size_t length[3], rows = 0;
	struct bd_rows *r;
	volatile char last;

	for (const char *s = BD_ROWS_FORMATS; (s = strchr(s, '|')) != NULL; s++)
		formats++;
	char *file = (char *)(uintptr_t)fuzz_file("rows", *f);
	r = bd_rows_open(&file, 1, (enum bd_rows_format)(format % formats), field, 1 + flags % 3);
	if (flags & 128)
		bd_rows_shuffle(r, flags);
	for (; bd_rows_next(r, value, length); rows++)
		for (size_t i = 0; i < 1 + flags % 3; i++)
			if (value[i] != NULL)
				last = value[i][length[i]];
	(void)last;
	bd_rows_where(r);
	bd_rows_close(r);
}
FUZZ(read_rows)
