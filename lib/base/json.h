/* JSON over jansson: parsing with one-sentence errors, getters that check type and range.
 * `name` names the file in messages. A JSON null counts as absent. */
#ifndef BD_JSON_H
#define BD_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

json_t *bd_json_parse(const char *text, size_t n, const char *name); /* dies BD_DATA; duplicates refused */
/* The same; NULL if it is not valid: *e then says where and why. */
json_t *bd_json_read(const char *text, size_t n, json_error_t *e);
json_t *bd_json_load(const char *path);
/* NULL if there is no such file. Integers are read as reals: Python writes some that fit into no integer of
 * C, such as a model_max_length of 10^30. */
json_t *bd_json_try(const char *path);
char *bd_json_text(const json_t *j, bool pretty); /* caller bd_free()s; keys in insertion order */
struct bd_out;
void bd_json_line(struct bd_out *out, const json_t *j); /* as one line */

/* Getters: the value of obj[key], or def when absent; the wrong type or range dies BD_DATA
 * naming file and key. */
int64_t bd_json_int(const json_t *obj, const char *key, int64_t def, int64_t min, int64_t max,
                    const char *name);
double bd_json_real(const json_t *obj, const char *key, double def, const char *name);
bool bd_json_bool(const json_t *obj, const char *key, bool def, const char *name);
const char *bd_json_str(const json_t *obj, const char *key, const char *def, const char *name);
json_t *bd_json_get(const json_t *obj, const char *key); /* NULL when absent or null; borrowed */

/* Makes jansson's memory part of the scope of a guard (guard.h), and lack of it fail the guarded call:
 * without a guard, jansson is as it was. Once for a process. */
void bd_json_guard(void);

/* Of a text from outside, such as a path: bytes that are not UTF-8, which JSON cannot say, become U+FFFD. */
json_t *bd_json_string(const char *s);
json_t *bd_json_number(double x); /* null if it is not finite, which JSON cannot say */

#endif
