/* JSON through jansson. */
#include "base/json.h"

#include "base/guard.h"
#include "base/io.h"
#include "base/kind.h"
#include "base/mem.h"
#include "base/msg.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

/* ---- memory ---- */

static json_malloc_t outer_malloc = malloc; /* as the program had them */
static json_free_t outer_free = free;

static void release(void *p, size_t n)
{
	(void)n;
	outer_free(p);
}

static void *guarded_malloc(size_t n)
{
	void *p;

	if (bd_guard_scope() == NULL)
		return outer_malloc(n);
	p = bd_guard_fails() ? NULL : outer_malloc(n);
	if (p == NULL)
		bd_die(BD_SYS, "out of memory: %zu bytes", n);
	bd_guard_keep(p, n, release);
	return p;
}

static void guarded_free(void *p)
{
	bd_guard_drop(p);
	outer_free(p);
}

static void set_guarded(void)
{
	json_get_alloc_funcs(&outer_malloc, &outer_free);
	json_set_alloc_funcs(guarded_malloc, guarded_free);
}

void bd_json_guard(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_guarded);
}

/* ---- reading and writing ---- */

static json_t *read_flags(const char *text, size_t n, size_t flags, json_error_t *e)
{
	/* Tokenizer files hold "\u0000" as a vocabulary entry. */
	return json_loadb(text, n, flags | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, e);
}

json_t *bd_json_read(const char *text, size_t n, json_error_t *e)
{
	return read_flags(text, n, 0, e);
}

static json_t *parse(const char *text, size_t n, const char *name, size_t flags)
{
	json_error_t e;
	json_t *j = read_flags(text, n, flags, &e);
	const char *kind = j == NULL ? bd_file_kind(text, n) : NULL;

	if (kind != NULL && n > 0 && *text != '{')
		bd_die(BD_DATA, "%s: not JSON, but %s", name, kind);
	if (j == NULL)
		bd_die(BD_DATA, "%s: line %d, column %d: not valid JSON: %s", name, e.line, e.column, e.text);
	return j;
}

json_t *bd_json_parse(const char *text, size_t n, const char *name)
{
	return parse(text, n, name, 0);
}

static json_t *load(const char *path, size_t flags)
{
	size_t n;
	char *text = bd_read_file(path, &n);
	json_t *j = parse(text, n, path, flags);

	bd_free(text);
	return j;
}

json_t *bd_json_load(const char *path)
{
	return load(path, 0);
}

json_t *bd_json_try(const char *path)
{
	return bd_exists(path) ? load(path, JSON_DECODE_INT_AS_REAL) : NULL;
}

/* The fewest digits, 15 to 17, from which every real number within j is read back exactly: jansson applies
 * one precision to a whole document, and 17 would print 1e-06 as 9.9999999999999995e-07. */
static size_t real_digits(const json_t *j)
{
	size_t digits = 15, d, i;
	const char *key;
	json_t *v;
	char s[40];

	if (json_is_real(j))
		for (; digits < 17; digits++) {
			snprintf(s, sizeof(s), "%.*g", (int)digits, json_real_value(j));
			if (strtod(s, NULL) == json_real_value(j))
				break;
		}
	json_array_foreach(j, i, v) { /* anything but an array has no elements */
		digits = (d = real_digits(v)) > digits ? d : digits;
	}
	json_object_foreach((json_t *)j, key, v) {
		digits = (d = real_digits(v)) > digits ? d : digits;
	}
	return digits;
}

static int append(const char *s, size_t n, void *buf)
{
	bd_buf_add(buf, s, n);
	return 0;
}

char *bd_json_text(const json_t *j, bool pretty)
{
	size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(real_digits(j));
	struct bd_buf b = {0};

	flags |= pretty ? JSON_INDENT(2) : JSON_COMPACT;
	if (json_dump_callback(j, append, &b, flags) != 0)
		bd_die(BD_SYS, "internal error: this JSON value cannot be written");
	return b.p;
}

void bd_json_line(struct bd_out *out, const json_t *j)
{
	char *text = bd_json_text(j, false);

	bd_out_str(out, text);
	bd_out_str(out, "\n");
	bd_free(text);
}

json_t *bd_json_get(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	return json_is_null(v) ? NULL : v;
}

int64_t bd_json_int(const json_t *obj, const char *key, int64_t def, int64_t min, int64_t max,
                    const char *name)
{
	const json_t *j = bd_json_get(obj, key);
	int64_t v;

	if (j == NULL)
		return def;
	if (!json_is_integer(j))
		bd_die(BD_DATA, "%s: \"%s\" is not a whole number", name, key);
	v = json_integer_value(j);
	if (v < min || v > max)
		bd_die(BD_DATA, "%s: \"%s\" is %" PRId64 "; it must be %" PRId64 " to %" PRId64, name, key, v,
		       min, max);
	return v;
}

double bd_json_real(const json_t *obj, const char *key, double def, const char *name)
{
	const json_t *j = bd_json_get(obj, key);

	if (j == NULL)
		return def;
	if (!json_is_number(j))
		bd_die(BD_DATA, "%s: \"%s\" is not a number", name, key);
	return json_number_value(j);
}

bool bd_json_bool(const json_t *obj, const char *key, bool def, const char *name)
{
	const json_t *j = bd_json_get(obj, key);

	if (j == NULL)
		return def;
	if (!json_is_boolean(j))
		bd_die(BD_DATA, "%s: \"%s\" is not true or false", name, key);
	return json_is_true(j);
}

const char *bd_json_str(const json_t *obj, const char *key, const char *def, const char *name)
{
	const json_t *j = bd_json_get(obj, key);

	if (j == NULL)
		return def;
	if (!json_is_string(j))
		bd_die(BD_DATA, "%s: \"%s\" is not a string", name, key);
	return json_string_value(j);
}

json_t *bd_json_string(const char *s)
{
	json_t *j = json_string(s);
	struct bd_buf b = {0};
	utf8proc_int32_t c;

	if (j != NULL)
		return j;
	while (*s != '\0') {
		utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, -1, &c);

		if (n > 0)
			bd_buf_add(&b, s, (size_t)n);
		else
			bd_buf_str(&b, "\xef\xbf\xbd");
		s += n > 0 ? n : 1;
	}
	j = json_string(b.p);
	bd_buf_free(&b);
	return j;
}

json_t *bd_json_number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}
