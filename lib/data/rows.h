/* Rows of named fields from TSV, JSONL and plain lines, one after the other. */
#ifndef BD_ROWS_H
#define BD_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bd_rows_format {
	/* of each file by its first line: JSONL if that is a JSON object, else TSV, or lines
	 * for a single field */
	BD_ROWS_AUTO,
	/* tabs separate, quotes are plain characters; the first line may name the columns, else they are in
	 * the order of the fields */
	BD_ROWS_TSV,
	BD_ROWS_JSONL, /* one object per line; numbers and true/false are taken as their text */
	BD_ROWS_LINES, /* the line is the first field */
};
#define BD_ROWS_FORMATS "auto|tsv|jsonl|lines"

struct bd_rows;
/* Reads the files one after the other ("-": stdin; no file: stdin). field[n]: the requested names; they must
 * outlive the rows. Empty lines are skipped, and a carriage return at the end of a line is not part of it. */
struct bd_rows *bd_rows_open(char *const *file, size_t files, enum bd_rows_format format,
                             const char *const *field, size_t n);
/* Reads all rows into memory; they then come in an order that depends only on the seed and their number. */
void bd_rows_shuffle(struct bd_rows *r, uint64_t seed);
/* The next row: value[i] of field i, or NULL, and its length[i]; valid until the next
 * call. False at the end. */
bool bd_rows_next(struct bd_rows *r, const char **value, size_t *length);
/* "train.tsv: line 12", for messages; valid until the next row */
const char *bd_rows_where(const struct bd_rows *r);
void bd_rows_close(struct bd_rows *r);

#endif
