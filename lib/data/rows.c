/* Rows: files, lines and their order; what is in a line is rows/format.c's. */
#include "base/msg.h"
#include "base/rng.h"
#include "data/nottext.h"
#include "data/rows/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct bd_rows *bd_rows_open(char *const *file, size_t files, const struct bd_rows_opts *opts,
                             const char *const *field, size_t n)
{
	static char *const stdin_only[] = {"-"};
	struct bd_rows *r = bd_zalloc(1, sizeof(*r));

	r->file = files ? file : stdin_only;
	r->files = files ? files : 1;
	r->o = *opts;
	r->o.max_line = opts->max_line ? opts->max_line : BD_LINE_MAX;
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
	bd_buf_free(&r->record);
	bd_buf_free(&r->bad);
	bd_buf_free(&r->saved);
	bd_free(r->cell);
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

void bd_rows_bad(struct bd_rows *r, const char *why, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (r->why != NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->why = why;
	bd_buf_clear(&r->bad);
	bd_buf_fmt(&r->bad, "%s: %s", r->where.p, text);
}

char *bd_rows_line(struct bd_rows *r, size_t *n)
{
	char *line = bd_in_line_within(r->in, r->o.max_line, n);
	const char *bad;

	r->line += line != NULL;
	r->cr = line != NULL && *n != SIZE_MAX && *n > 0 && line[*n - 1] == '\r';
	if (r->cr)
		line[--*n] = '\0';
	if (line != NULL && *n == SIZE_MAX)
		bd_rows_bad(r, "too long", "a line of over %zu bytes", r->o.max_line);
	else if (line != NULL && (bad = bd_nottext_line(line, *n)) != NULL)
		bd_rows_bad(r, "not UTF-8 text", "%s", bad);
	return line;
}

/* Opens the next file; false: there is none. */
static bool open_next(struct bd_rows *r)
{
	const char *p, *what = NULL;
	size_t n;

	if (!r->files)
		return false;
	r->in = bd_in_open(*r->file++);
	r->files--;
	r->line = 0;
	r->fresh = true;
	if (r->o.inputs && !bd_in_seekable(r->in))
		return true;
	p = bd_in_peek(r->in, BD_NOTTEXT_MAX, &n);
	if ((what = bd_nottext(p, n)) != NULL)
		bd_die(BD_DATA, "%s: %s", bd_in_name(r->in), what);
	return true;
}

/* The next line that is not empty, without a file's byte order mark; opens the next file when one ends. */
static char *next_line(struct bd_rows *r, size_t *n)
{
	for (;;) {
		if (r->in == NULL && !open_next(r))
			return NULL;
		r->why = NULL;
		bd_buf_clear(&r->where);
		bd_buf_fmt(&r->where, "%s: line %zu", bd_in_name(r->in), r->line + 1);
		char *line = bd_rows_line(r, n);
		if (line == NULL) {
			bd_in_close(r->in);
			r->in = NULL;
			continue;
		}
		if (r->line == 1 && *n != SIZE_MAX && *n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
			line += 3;
			*n -= 3;
		}
		if (*n)
			return line;
	}
}

/* A row, or a bad one: r->why says so. */
static bool any_row(struct bd_rows *r, const char **value, size_t *length)
{
	size_t n;
	char *line;
	bool header;

	do {
		line = next_line(r, &n);
		if (line == NULL)
			return false;
		header = r->fresh && bd_rows_begin(r, line, n);
		r->fresh = false;
	} while (header);
	bd_rows_parse(r, line, n, value, length);
	return true;
}

static bool read_row(struct bd_rows *r, const char **value, size_t *length)
{
	while (any_row(r, value, length)) {
		if (r->why == NULL)
			return true;
		if (r->o.skip == NULL)
			bd_die(BD_DATA, "%s", r->bad.p);
		bd_leftout_add(r->o.skip, r->why, r->bad.p);
	}
	return false;
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

bool bd_rows_ready(struct bd_rows *r)
{
	return r->in == NULL || bd_in_ready(r->in);
}

bool bd_rows_try(struct bd_rows *r, const char **value, size_t *length, const char **bad)
{
	bool any = any_row(r, value, length);

	*bad = any && r->why != NULL ? r->bad.p : NULL;
	return any;
}
