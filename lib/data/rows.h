/* Rows of named fields from TSV, CSV, JSONL and plain lines, one after the other. */
#ifndef BD_ROWS_H
#define BD_ROWS_H

#include "data/leftout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bd_rows_format {
	BD_ROWS_AUTO, /* of each file by its name and first line: the table in rows/format.c */
	/* tabs separate, quotes are plain characters; the first line may name the columns, else they are in
	 * the order of the fields */
	BD_ROWS_TSV,
	BD_ROWS_CSV,   /* RFC 4180: commas separate, "quoted" cells may contain commas, "" and newlines */
	BD_ROWS_JSONL, /* one object per line; numbers and true/false are taken as their text */
	BD_ROWS_LINES, /* the line is the first field */
};
#define BD_ROWS_FORMATS "auto|tsv|csv|jsonl|lines"

struct bd_rows_opts {
	enum bd_rows_format format;
	/* Rows that are bad (no UTF-8, a NUL, no JSON, another number of columns than the header, or without
	 * one than the fields) are left out and counted here. NULL: they die. */
	struct bd_leftout *skip;
	/* Not 0: lines of a service, which no line ends. Without a header a row may have just this many
	 * columns, and no first line is refused as a sign of another format. */
	size_t inputs;
	bool lists;      /* JSONL: lists and objects are values too, as their JSON text */
	size_t max_line; /* bytes; a row with a longer line is bad; 0: BD_LINE_MAX (io.h) */
};

struct bd_rows;
/* Reads the files one after the other ("-": stdin; no file: stdin). field[n]: the requested names; they must
 * outlive the rows. Empty lines are skipped, and a carriage return at the end of a line is not part of it. A
 * file that holds no text (nottext.h), or a JSON array, dies naming what it is. */
struct bd_rows *bd_rows_open(char *const *file, size_t files, const struct bd_rows_opts *opts,
                             const char *const *field, size_t n);
/* Reads all rows into memory; they then come in an order that depends only on the seed and their number. */
void bd_rows_shuffle(struct bd_rows *r, uint64_t seed);
/* The next row: value[i] of field i, or NULL, and its length[i]; valid until the next
 * call. False at the end. */
bool bd_rows_next(struct bd_rows *r, const char **value, size_t *length);
/* The same, but a bad row is returned too: *bad is NULL or says, with its place, what is wrong. */
bool bd_rows_try(struct bd_rows *r, const char **value, size_t *length, const char **bad);
bool bd_rows_ready(struct bd_rows *r); /* bd_in_ready, for the next line */
/* "train.tsv: line 12", for messages; valid until the next row */
const char *bd_rows_where(const struct bd_rows *r);
void bd_rows_close(struct bd_rows *r);

#endif
