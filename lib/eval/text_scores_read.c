/* Pairs of prediction and references from JSON lines. */
#include "base/mem.h"
#include "base/msg.h"
#include "eval/text_scores.h"

#include <string.h>

static struct bd_text text_of(const json_t *j, const char *key, const char *where)
{
	if (!json_is_string(j))
		bd_die(BD_DATA, "%s: \"%s\" is not a text", where, key);
	return (struct bd_text){json_string_value(j), json_string_length(j)};
}

/* "reference" or "references": a text or a list; returns how many, and the list, which the caller frees. */
static size_t references(const json_t *o, struct bd_text **list, const char *where)
{
	const json_t *one = bd_json_get(o, "reference"), *many = bd_json_get(o, "references");
	const json_t *j = one != NULL ? one : many;
	const char *key = one != NULL ? "reference" : "references";
	size_t n = json_is_array(j) ? json_array_size(j) : 1;

	if (j == NULL || (one != NULL && many != NULL) || n == 0)
		bd_die(BD_DATA,
		       "%s: one of \"reference\" and \"references\" is needed, with at least one text",
		       where);
	*list = bd_alloc(n, sizeof(**list));
	for (size_t i = 0; i < n; i++)
		(*list)[i] = text_of(json_is_array(j) ? json_array_get(j, i) : j, key, where);
	return n;
}

static void read_pair(struct bd_text_scores *s, const char *line, size_t n, const char *where,
                      struct bd_out *lines)
{
	json_t *o = bd_json_parse(line, n, where), *scores;
	struct bd_text *list;

	if (!json_is_object(o))
		bd_die(BD_DATA, "%s: not a JSON object", where);
	struct bd_text prediction = text_of(bd_json_get(o, "prediction"), "prediction", where);
	size_t count = references(o, &list, where), index = bd_text_scores_count(s);
	scores = bd_text_scores_add(s, prediction, list, count, lines != NULL);
	if (lines != NULL) {
		json_object_set_new(scores, "index", json_integer((json_int_t)index));
		bd_json_line(lines, scores);
	}
	json_decref(scores);
	json_decref(o);
	bd_free(list);
}

void bd_text_scores_read(struct bd_text_scores *s, const char *path, struct bd_out *lines)
{
	struct bd_in *in = bd_in_open(path);
	size_t n;
	char *line;

	for (size_t i = 1; (line = bd_in_line(in, &n)) != NULL; i++) {
		char *where = bd_sprintf("%s: line %zu", bd_in_name(in), i);

		if (n > strspn(line, " \t\r"))
			read_pair(s, line, n, where, lines);
		bd_free(where);
	}
	if (!bd_text_scores_count(s))
		bd_die(BD_DATA,
		       "%s: empty; give one JSON object with \"prediction\" and \"reference\" per line",
		       bd_in_name(in));
	bd_in_close(in);
}
