/* Internals of rows: rows.c goes through files and lines, rows/format.c takes a line apart. */
#ifndef BD_ROWS_PARTS_H
#define BD_ROWS_PARTS_H

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/rows.h"

struct bd_cell {
	size_t at, n; /* in the record's text, with a NUL behind it */
};

struct bd_rows {
	char *const *file; /* the remaining files */
	size_t files;
	struct bd_in *in; /* NULL: the next one is to be opened */
	struct bd_rows_opts o;
	enum bd_rows_format format; /* of this file */
	const char *const *field;
	size_t n;
	size_t *column; /* [n] of the TSV or CSV file; SIZE_MAX: it has no such column */
	size_t columns; /* of its header; 0: it has none */
	size_t line;
	bool fresh; /* no row of this file has been read */
	bool cr;    /* a carriage return was cut off the present line */

	/* the present row */
	struct bd_buf record; /* its cells, one behind the other */
	struct bd_cell *cell; /* [cells] of [cell_cap] */
	size_t cells, cell_cap;
	json_t *object;
	struct bd_buf where, *text; /* text[n]: values that are not strings */
	const char *why;            /* NULL, or it is bad: its kind, for struct bd_leftout */
	struct bd_buf bad;          /* and the message */

	/* shuffled */
	struct bd_buf saved; /* rows: where, then size_t length (SIZE_MAX: absent) and text of each value;
	                        every text with its NUL */
	size_t *offset;      /* [count] of each row in saved */
	uint64_t *order;     /* [count] */
	size_t count, next;
};

/* The present row is bad, of this kind; the first reason counts. */
void bd_rows_bad(struct bd_rows *r, const char *why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The next line as it is, without its \r; NULL at the end of the file. Makes the row bad if it is too long or
 * no text. */
char *bd_rows_line(struct bd_rows *r, size_t *n);

/* The first line of a file: decides its format. True if it is only a header. */
bool bd_rows_begin(struct bd_rows *r, const char *line, size_t n);
/* The values of a row that begins with this line; NULL for absent ones. */
void bd_rows_parse(struct bd_rows *r, const char *line, size_t n, const char **value, size_t *length);

#endif
