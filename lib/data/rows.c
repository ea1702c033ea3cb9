/* Rows: each format is one function that fills in the values of a line. */
#include "data/rows.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/rng.h"

#include <string.h>

struct bd_rows {
	char *const *file; /* the remaining files */
	size_t files;
	struct bd_in *in; /* NULL: the next one is to be opened */
	enum bd_rows_format asked, format;
	const char *const *field;
	size_t n;
	size_t *column; /* [n] of the TSV file; SIZE_MAX: it has no such column */
	size_t line;
	bool fresh;                 /* no row of this file has been read */
	json_t *object;             /* of the present row */
	struct bd_buf where, *text; /* text[n]: values that are not strings */
	/* shuffled */
	struct bd_buf saved; /* rows: where, then size_t length (SIZE_MAX: absent) and text of each value;
	                        every text with its NUL */
	size_t *offset;      /* [count] of each row in saved */
	uint64_t *order;     /* [count] */
	size_t count, next;
};

struct bd_rows *bd_rows_open(char *const *file, size_t files, enum bd_rows_format format,
                             const char *const *field, size_t n)
{
	static char *const stdin_only[] = {"-"};
	struct bd_rows *r = bd_zalloc(1, sizeof(*r));

	r->file = files ? file : stdin_only;
	r->files = files ? files : 1;
	r->asked = format;
	r->field = field;
	r->n = n;
	r->column = bd_alloc(n, sizeof(*r->column));
	r->text = bd_zalloc(n, sizeof(*r->text));
	return r;
}

void bd_rows_close(struct bd_rows *r)
{
	if (r == NULL)
		return;
	bd_in_close(r->in);
	json_decref(r->object);
	for (size_t i = 0; i < r->n; i++)
		bd_buf_free(&r->text[i]);
	bd_buf_free(&r->where);
	bd_buf_free(&r->saved);
	bd_free(r->offset);
	bd_free(r->order);
	bd_free(r->text);
	bd_free(r->column);
	bd_free(r);
}

const char *bd_rows_where(const struct bd_rows *r)
{
	return r->where.p;
}

static size_t field_index(const struct bd_rows *r, const char *name, size_t n)
{
	for (size_t i = 0; i < r->n; i++)
		if (strlen(r->field[i]) == n && !memcmp(r->field[i], name, n))
			return i;
	return r->n;
}

/* Columns by the names in the first line, or, when it names none of the fields, in the fields' order. True:
 * it is a header. */
static bool read_header(struct bd_rows *r, const char *line)
{
	bool header = false;

	for (size_t i = 0; i < r->n; i++)
		r->column[i] = SIZE_MAX;
	for (size_t column = 0;; column++) {
		size_t len = strcspn(line, "\t"), i = field_index(r, line, len);

		if (i < r->n) {
			r->column[i] = column;
			header = true;
		}
		if (!line[len])
			break;
		line += len + 1;
	}
	for (size_t i = 0; i < r->n && !header; i++)
		r->column[i] = i;
	return header;
}

static void tsv_row(struct bd_rows *r, char *line, const char **value, size_t *length)
{
	for (size_t column = 0;; column++) {
		size_t len = strcspn(line, "\t");
		bool last = !line[len];

		line[len] = '\0';
		for (size_t i = 0; i < r->n; i++)
			if (r->column[i] == column) {
				value[i] = line;
				length[i] = len;
			}
		if (last)
			return;
		line += len + 1;
	}
}

static void json_row(struct bd_rows *r, const char *line, size_t n, const char **value, size_t *length)
{
	json_decref(r->object);
	r->object = bd_json_parse(line, n, r->where.p);
	if (!json_is_object(r->object))
		bd_die(BD_DATA, "%s: not a JSON object", r->where.p);
	for (size_t i = 0; i < r->n; i++) {
		const json_t *j = bd_json_get(r->object, r->field[i]);

		if (j == NULL)
			continue;
		if (json_is_array(j) || json_is_object(j))
			bd_die(BD_DATA, "%s: \"%s\" is neither text nor a number", r->where.p, r->field[i]);
		value[i] = json_string_value(j);
		length[i] = json_string_length(j);
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

/* The first line of a file decides its format. True if it is only a header. */
static bool first_line(struct bd_rows *r, char *line, size_t n)
{
	size_t blank = strspn(line, " \t");
	json_t *j = NULL;

	r->format = r->asked;
	if (r->asked == BD_ROWS_AUTO) {
		r->format = r->n == 1 ? BD_ROWS_LINES : BD_ROWS_TSV;
		if (line[blank] == '{' && (j = json_loadb(line, n, JSON_ALLOW_NUL, NULL)) != NULL)
			r->format = BD_ROWS_JSONL;
		json_decref(j);
	}
	return r->format == BD_ROWS_TSV && read_header(r, line);
}

/* The next line that is not empty, without its \r and a file's byte order mark; opens the next file at the
 * end of one. */
static char *next_line(struct bd_rows *r, size_t *n)
{
	for (;;) {
		if (r->in == NULL) {
			if (!r->files)
				return NULL;
			r->in = bd_in_open(*r->file++);
			r->files--;
			r->line = 0;
			r->fresh = true;
		}
		char *line = bd_in_line(r->in, n);
		if (line == NULL) {
			bd_in_close(r->in);
			r->in = NULL;
			continue;
		}
		if (++r->line == 1 && *n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
			line += 3;
			*n -= 3;
		}
		if (*n && line[*n - 1] == '\r')
			line[--*n] = '\0';
		if (*n)
			return line;
	}
}

static bool read_row(struct bd_rows *r, const char **value, size_t *length)
{
	size_t n;
	char *line;
	bool header;

	do {
		line = next_line(r, &n);
		if (line == NULL)
			return false;
		bd_buf_clear(&r->where);
		bd_buf_fmt(&r->where, "%s: line %zu", bd_in_name(r->in), r->line);
		header = r->fresh && first_line(r, line, n);
		r->fresh = false;
	} while (header);
	for (size_t i = 0; i < r->n; i++) {
		value[i] = NULL;
		length[i] = 0;
	}
	if (r->format == BD_ROWS_JSONL)
		json_row(r, line, n, value, length);
	else if (r->format == BD_ROWS_TSV)
		tsv_row(r, line, value, length);
	else {
		value[0] = line;
		length[0] = n;
	}
	return true;
}

static void save(struct bd_rows *r, const char *const *value, const size_t *length, size_t *cap)
{
	if (r->count == *cap) {
		*cap = *cap ? 2 * *cap : 1024;
		r->offset = bd_resize(r->offset, r->count, *cap, sizeof(*r->offset));
	}
	r->offset[r->count++] = r->saved.n;
	bd_buf_add(&r->saved, r->where.p, r->where.n + 1);
	for (size_t i = 0; i < r->n; i++) {
		size_t n = value[i] != NULL ? length[i] : SIZE_MAX;

		bd_buf_add(&r->saved, &n, sizeof(n));
		if (value[i] != NULL)
			bd_buf_add(&r->saved, value[i], n + 1);
	}
}

static void saved_row(struct bd_rows *r, size_t row, const char **value, size_t *length)
{
	const char *p = r->saved.p + r->offset[row];

	bd_buf_clear(&r->where);
	bd_buf_str(&r->where, p);
	p += r->where.n + 1;
	for (size_t i = 0; i < r->n; i++) {
		memcpy(&length[i], p, sizeof(*length));
		p += sizeof(*length);
		bool absent = length[i] == SIZE_MAX;
		value[i] = absent ? NULL : p;
		length[i] = absent ? 0 : length[i];
		p += absent ? 0 : length[i] + 1;
	}
}

void bd_rows_shuffle(struct bd_rows *r, uint64_t seed)
{
	const char **value = bd_alloc(r->n, sizeof(*value));
	size_t *length = bd_alloc(r->n, sizeof(*length)), cap = 0;

	while (read_row(r, value, length))
		save(r, value, length, &cap);
	r->order = bd_alloc(r->count, sizeof(*r->order));
	bd_rng_permutation(seed, 0, r->count, r->order);
	bd_free(value);
	bd_free(length);
}

bool bd_rows_next(struct bd_rows *r, const char **value, size_t *length)
{
	if (r->order == NULL)
		return read_row(r, value, length);
	if (r->next == r->count)
		return false;
	saved_row(r, (size_t)r->order[r->next++], value, length);
	return true;
}
