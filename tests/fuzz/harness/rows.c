/* Rows of a file; the first byte chooses the format, the second how they are read. */
#include "base/word.h"
#include "data/rows.h"
#include "fuzz.h"

static void read_rows(void *ctx)
{
	static const char *const field[] = {"text", "label", "id"};
	struct fuzz *f = ctx;
	unsigned format = fuzz_byte(f), flags = fuzz_byte(f), formats = 1;
	const char *value[3], *bad = NULL;
	size_t length[3], rows = 0;
	struct bd_leftout skip = {0};
	struct bd_rows_opts opts;
	struct bd_rows *r;
	volatile char last;

	for (const char *s = BD_ROWS_FORMATS; (s = strchr(s, '|')) != NULL; s++)
		formats++;
	char *file = (char *)(uintptr_t)fuzz_file("rows", *f);
	opts = (struct bd_rows_opts){.format = (enum bd_rows_format)(format % formats),
	                             .skip = flags & 4 ? &skip : NULL,
	                             .inputs = flags & 8 ? 1 : 0,
	                             .max_line = flags & 16 ? 20 : 0};
	r = bd_rows_open(&file, 1, &opts, field, 1 + flags % 3);
	if (flags & 128)
		bd_rows_shuffle(r, flags);
	for (; flags & 4 ? bd_rows_try(r, value, length, &bad) : bd_rows_next(r, value, length); rows++)
		for (size_t i = 0; i < 1 + flags % 3; i++)
			if (bad == NULL && value[i] != NULL)
				last = value[i][length[i]];
	(void)last;
	bd_rows_where(r);
	bd_rows_close(r);
}
FUZZ(read_rows)
