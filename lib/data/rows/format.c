/* Formats of rows: which one a file has, and the values of a row in each. */
#include "base/msg.h"
#include "data/rows/parts.h"

#include <string.h>

/* ---- cells: TSV and CSV ---- */

static void add_cell(struct bd_rows *r, size_t at)
{
	if (r->cells == r->cell_cap) {
		r->cell = bd_resize(r->cell, r->cells, 2 * r->cell_cap + 16, sizeof(*r->cell));
		r->cell_cap = 2 * r->cell_cap + 16;
	}
	r->cell[r->cells++] = (struct bd_cell){at, r->record.n - at};
	bd_buf_add(&r->record, "", 1);
}

static void start_cells(struct bd_rows *r)
{
	bd_buf_clear(&r->record);
	r->cells = 0;
}

static void tsv_cells(struct bd_rows *r, const char *line, size_t n)
{
	const char *end = line + n;

	start_cells(r);
	for (;;) {
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		size_t at = r->record.n;

		bd_buf_add(&r->record, line, (size_t)((tab != NULL ? tab : end) - line));
		add_cell(r, at);
		if (tab == NULL)
			return;
		line = tab + 1;
	}
}

/* The quoted text behind line[i], with "" for a quote and newlines, for which more lines are read; returns
 * the index behind its closing quote in *line, which is the last one read. */
static size_t csv_quoted(struct bd_rows *r, const char **line, size_t *n, size_t i)
{
	for (;;) {
		const char *quote = memchr(*line + i, '"', *n - i);
		size_t k = quote != NULL ? (size_t)(quote - *line) : *n;

		bd_buf_add(&r->record, *line + i, k - i);
		i = k + 1;
		if (quote != NULL && (i == *n || (*line)[i] != '"'))
			return i;
		if (quote != NULL) {
			bd_buf_add(&r->record, "\"", 1);
			i++;
			continue;
		}
		bd_buf_str(&r->record, r->cr ? "\r\n" : "\n");
		if (r->record.n > BD_LINE_MAX || (*line = bd_rows_line(r, n)) == NULL) {
			bd_rows_bad(r, "with an open quote", "a quote is opened and never closed");
			*line = "";
			*n = 0;
			return 0;
		}
		if (*n == SIZE_MAX) /* too long: the row is bad already */
			*n = 0;
		i = 0;
	}
}

static void csv_cells(struct bd_rows *r, const char *line, size_t n)
{
	size_t i = 0;

	start_cells(r);
	for (;;) {
		size_t at = r->record.n;
		bool quoted = i < n && line[i] == '"';

		if (quoted) {
			i = csv_quoted(r, &line, &n, i + 1);
		} else {
			const char *comma = memchr(line + i, ',', n - i);
			size_t k = comma != NULL ? (size_t)(comma - line) : n;

			bd_buf_add(&r->record, line + i, k - i);
			i = k;
		}
		add_cell(r, at);
		if (i >= n)
			return;
		if (line[i++] != ',') {
			bd_rows_bad(r, "with text behind a quote",
			            "text behind the closing quote of column %zu", r->cells);
			return;
		}
	}
}

/* Index of the field that the cell names; n: none. */
static size_t named(const struct bd_rows *r, const struct bd_cell *c)
{
	size_t i = 0;

	while (i < r->n &&
	       (strlen(r->field[i]) != c->n || memcmp(r->field[i], r->record.p + c->at, c->n) != 0))
		i++;
	return i;
}

/* Columns by the names in the first line, or, when it names none of the fields, in the fields' order. True:
 * it is a header. */
static bool read_header(struct bd_rows *r)
{
	bool header = false;

	for (size_t i = 0; i < r->n; i++)
		r->column[i] = SIZE_MAX;
	for (size_t c = 0; c < r->cells; c++) {
		size_t i = named(r, &r->cell[c]);

		if (i == r->n)
			continue;
		if (r->column[i] != SIZE_MAX && !r->o.inputs)
			bd_die(BD_DATA, "%s: the header names \"%s\" twice", r->where.p, r->field[i]);
		r->column[i] = c;
		header = true;
	}
	r->columns = header ? r->cells : 0;
	for (size_t i = 0; i < r->n && !header; i++)
		r->column[i] = i;
	return header;
}

/* A header has all columns of the rows below; without one, they are the fields. */
static void check_columns(struct bd_rows *r)
{
	const char *s = r->cells == 1 ? "" : "s", *why = "with another number of columns";
	size_t want = r->columns ? r->columns : r->n, least = r->columns || !r->o.inputs ? want : r->o.inputs;

	if (r->cells >= least && r->cells <= want)
		return;
	if (r->columns)
		bd_rows_bad(r, why, "%zu column%s, the header has %zu", r->cells, s, want);
	else if (r->n == 1)
		bd_rows_bad(r, why, "%zu column%s, and no first line names the one called \"%s\"", r->cells,
		            s, r->field[0]);
	else
		bd_rows_bad(r, why,
		            "%zu column%s, but there are %zu fields and no first line that names them",
		            r->cells, s, want);
}

static void cell_values(struct bd_rows *r, const char **value, size_t *length)
{
	check_columns(r);
	for (size_t i = 0; i < r->n; i++)
		if (r->column[i] < r->cells) {
			value[i] = r->record.p + r->cell[r->column[i]].at;
			length[i] = r->cell[r->column[i]].n;
		}
}

/* ---- objects ---- */

static void json_values(struct bd_rows *r, const char *line, size_t n, const char **value, size_t *length)
{
	const char *no_json = "not valid JSON", *no_text = "with a value that is no text";
	json_error_t e;

	json_decref(r->object);
	r->object = bd_json_read(line, n, &e);
	if (r->object == NULL)
		bd_rows_bad(r, no_json, "column %d: not valid JSON: %s", e.column, e.text);
	else if (!json_is_object(r->object))
		bd_rows_bad(r, no_json, "not a JSON object");
	for (size_t i = 0; i < r->n && r->why == NULL; i++) {
		const json_t *j = bd_json_get(r->object, r->field[i]);

		if (j == NULL)
			continue;
		if (!r->o.lists && (json_is_array(j) || json_is_object(j))) {
			bd_rows_bad(r, no_text, "\"%s\" is neither text nor a number", r->field[i]);
			continue;
		}
		value[i] = json_string_value(j);
		length[i] = json_string_length(j);
		if (value[i] != NULL && strlen(value[i]) != length[i])
			bd_rows_bad(r, no_text, "\"%s\" contains a NUL character", r->field[i]);
		if (value[i] != NULL)
			continue;
		char *text = bd_json_text(j, false);
		bd_buf_clear(&r->text[i]);
		bd_buf_str(&r->text[i], text);
		bd_free(text);
		value[i] = r->text[i].p;
		length[i] = r->text[i].n;
	}
}

/* ---- which format ---- */

static bool is_object(struct bd_rows *r, const char *line, size_t n)
{
	(void)r, (void)n;
	return line[strspn(line, " \t")] == '{';
}

/* '[' and what can follow it in JSON, but hardly in text. */
static bool is_array(struct bd_rows *r, const char *line, size_t n)
{
	const char *p = line + strspn(line, " \t");

	(void)n;
	if (r->o.inputs || *p != '[')
		return false;
	p += 1 + strspn(p + 1, " \t");
	return *p == '\0' || strchr("{[\"]-0123456789", *p) != NULL;
}

static bool called_csv(struct bd_rows *r, const char *line, size_t n)
{
	static const char *const end[] = {".csv", ".csv.gz", ".csv.zst"};
	const char *name = bd_in_name(r->in);

	(void)line, (void)n;
	for (size_t i = 0; i < sizeof(end) / sizeof(*end); i++)
		if (strlen(name) > strlen(end[i]) && !strcmp(name + strlen(name) - strlen(end[i]), end[i]))
			return true;
	return false;
}

/* Several cells, of which one names a field. */
static bool names_field(const struct bd_rows *r)
{
	size_t c = 0;

	while (c < r->cells && named(r, &r->cell[c]) == r->n)
		c++;
	return r->cells > 1 && c < r->cells;
}

static bool names_tsv(struct bd_rows *r, const char *line, size_t n)
{
	tsv_cells(r, line, n);
	return names_field(r);
}

/* "text, in other words," is a sentence: names of columns are not empty, and have no space at an end. */
static bool like_names(const struct bd_rows *r)
{
	for (size_t c = 0; c < r->cells; c++) {
		const char *p = r->record.p + r->cell[c].at;
		size_t n = r->cell[c].n;

		if (n == 0 || p[0] == ' ' || p[n - 1] == ' ')
			return false;
	}
	return true;
}

/* A header with quotes over several lines is not recognised. */
static bool names_csv(struct bd_rows *r, const char *line, size_t n)
{
	size_t quotes = 0;

	for (size_t i = 0; i < n; i++)
		quotes += line[i] == '"';
	if (r->why != NULL || quotes % 2 || memchr(line, '\t', n) != NULL)
		return false;
	csv_cells(r, line, n);
	r->why = NULL;
	return names_field(r) && like_names(r);
}

static bool has_one(struct bd_rows *r, const char *line, size_t n)
{
	(void)line, (void)n;
	return r->n == 1;
}

static bool any(struct bd_rows *r, const char *line, size_t n)
{
	(void)r, (void)line, (void)n;
	return true;
}

/* By the first line: the first of these that is true. AUTO: refused. */
static const struct guess {
	bool (*is)(struct bd_rows *r, const char *line, size_t n);
	enum bd_rows_format format;
} guesses[] = {
    {is_object, BD_ROWS_JSONL}, {is_array, BD_ROWS_AUTO}, {called_csv, BD_ROWS_CSV}, {names_tsv, BD_ROWS_TSV},
    {names_csv, BD_ROWS_CSV},   {has_one, BD_ROWS_LINES}, {any, BD_ROWS_TSV},
};

bool bd_rows_begin(struct bd_rows *r, const char *line, size_t n)
{
	const char *broken = r->why;
	size_t i = 0;

	if (broken != NULL && !r->o.inputs)
		bd_die(BD_DATA, "%s", r->bad.p);
	r->format = r->o.format;
	r->columns = 0;
	if (broken != NULL)
		n = 0; /* of a service: its format is that of such a line */
	if (r->format == BD_ROWS_AUTO) {
		while (!guesses[i].is(r, n ? line : "", n))
			i++;
		r->format = guesses[i].format;
	}
	if (r->format == BD_ROWS_AUTO)
		bd_die(BD_DATA,
		       "%s: a JSON array; one object a line is wanted (--format lines takes it as text)",
		       r->where.p);
	if (r->format == BD_ROWS_TSV)
		tsv_cells(r, line, n);
	else if (r->format == BD_ROWS_CSV)
		csv_cells(r, line, n);
	else
		return false;
	return read_header(r);
}

void bd_rows_parse(struct bd_rows *r, const char *line, size_t n, const char **value, size_t *length)
{
	for (size_t i = 0; i < r->n; i++) {
		value[i] = NULL;
		length[i] = 0;
	}
	if (r->why != NULL)
		return;
	switch (r->format) {
	case BD_ROWS_JSONL:
		json_values(r, line, n, value, length);
		break;
	case BD_ROWS_TSV:
		tsv_cells(r, line, n);
		cell_values(r, value, length);
		break;
	case BD_ROWS_CSV:
		csv_cells(r, line, n);
		cell_values(r, value, length);
		break;
	default:
		value[0] = line;
		length[0] = n;
	}
}
