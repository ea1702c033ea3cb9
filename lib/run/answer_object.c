/* Requests: objects with a prompt, messages or fields, and options of their own. */
#include "base/mem.h"
#include "base/msg.h"
#include "run/answer.h"

#include <string.h>

static double real(const json_t *o, const char *key, double def, double min, double max, const char *where)
{
	double v = bd_json_real(o, key, def, where);

	if (!(v >= min && v <= max))
		bd_die(BD_DATA, "%s: \"%s\" is %g; it must be %g to %g", where, key, v, min, max);
	return v;
}

static const char *text_of(const json_t *j, const char *key, const char *where)
{
	const char *s = json_string_value(j);

	if (s == NULL)
		bd_die(BD_DATA, "%s: \"%s\" is not a string", where, key);
	if (strlen(s) != json_string_length(j))
		bd_die(BD_DATA, "%s: \"%s\" contains a NUL character", where, key);
	return s;
}

/* "stop": a text or a list of texts; *n of them. Caller frees the array. */
static const char **stops(const json_t *stop, size_t *n, const char *where)
{
	size_t count = json_is_array(stop) ? json_array_size(stop) : 1;
	const char **list = bd_alloc(count, sizeof(*list));

	for (*n = 0; *n < count; ++*n) {
		list[*n] = text_of(json_is_array(stop) ? json_array_get(stop, *n) : stop, "stop", where);
		if (*list[*n] == '\0')
			bd_die(BD_DATA, "%s: \"stop\": an empty text would stop at once", where);
	}
	return list;
}

/* The options given in the object; the bounds are those of the command line. */
static void override(struct bd_gen_opts *g, const json_t *o, const char *where)
{
	struct bd_sampler *s = &g->sampler;
	int64_t top;

	g->max_tokens = (size_t)bd_json_int(o, "max_tokens", (int64_t)g->max_tokens, 1, 1000000000, where);
	s->temperature = (float)real(o, "temperature", (double)s->temperature, 0, 100, where);
	s->top_k = (int)bd_json_int(o, "top_k", s->top_k, 0, 1000000000, where);
	s->top_p = (float)real(o, "top_p", (double)s->top_p, 0, 1, where);
	s->min_p = (float)real(o, "min_p", (double)s->min_p, 0, 1, where);
	s->seed = (uint64_t)bd_json_int(o, "seed", (int64_t)s->seed, 0, INT64_C(1) << 62, where);
	g->repeat_penalty = (float)real(o, "repeat_penalty", (double)g->repeat_penalty, 0.01, 100, where);
	g->repeat_last =
	    (size_t)bd_json_int(o, "repeat_last_n", (int64_t)g->repeat_last, 0, 1000000000, where);
	top = bd_json_int(o, "logprobs", g->logprobs ? (int64_t)g->top : -1, -1, 100, where);
	g->logprobs = top >= 0;
	g->top = top > 0 ? (size_t)top : 0;
}

/* A misspelt option would be overlooked. Tasks may have fields that the prompt does not need, so there all
 * keys are allowed. */
static void check_keys(const json_t *object, const char *input, const char *where)
{
	static const char *const known[] = {"id",    "max_tokens", "temperature",    "top_k",
	                                    "top_p", "min_p",      "repeat_penalty", "repeat_last_n",
	                                    "seed",  "stop",       "logprobs",       "thinking"};
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)object, key, v) {
		bool ok = strcmp(key, input) == 0;

		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			ok = ok || strcmp(key, known[i]) == 0;
		if (!ok)
			bd_die(BD_DATA, "%s: unknown key \"%s\" beside \"%s\"", where, key, input);
	}
}

static json_t *messages(struct bd_asked *a, const json_t *object, const json_t *list, const char *where)
{
	size_t n = json_array_size(list);
	struct bd_message *m = bd_alloc(n, sizeof(*m));
	struct bd_chat *chat = bd_asked_chat(a);
	bool before = chat->no_thinking;
	json_t *answer;

	if (!json_is_array(list))
		bd_die(BD_DATA, "%s: \"messages\" is not a list", where);
	for (size_t i = 0; i < n; i++) {
		const json_t *e = json_array_get(list, i);

		m[i] = (struct bd_message){text_of(bd_json_get(e, "role"), "role", where),
		                           text_of(bd_json_get(e, "content"), "content", where)};
	}
	chat->no_thinking = !bd_json_bool(object, "thinking", !before, where);
	answer = bd_answer_chat(a, m, n, where, NULL, NULL);
	chat->no_thinking = before;
	bd_free(m);
	return answer;
}

/* The task's fields; numbers and true/false are taken as their text. */
static json_t *fields(struct bd_asked *a, const json_t *object, const char *where)
{
	size_t n = bd_template_fields(a->m->task);
	const char **value = bd_zalloc(n, sizeof(*value));
	char **own = bd_zalloc(n, sizeof(*own));
	json_t *answer;

	for (size_t i = 0; i < n; i++) {
		const char *key = bd_template_field(a->m->task, i);
		const json_t *v = bd_json_get(object, key);

		if (json_is_number(v) || json_is_boolean(v))
			own[i] = bd_json_text(v, false);
		else if (v != NULL)
			text_of(v, key, where);
		value[i] = own[i] != NULL ? own[i] : json_string_value(v);
	}
	answer = bd_answer_row(a, value, where, NULL, NULL);
	for (size_t i = 0; i < n; i++)
		bd_free(own[i]);
	bd_free(own);
	bd_free(value);
	return answer;
}

static bool is_field(const struct bd_infer *m, const char *key)
{
	for (size_t i = 0; m->task != NULL && i < bd_template_fields(m->task); i++)
		if (strcmp(bd_template_field(m->task, i), key) == 0)
			return true;
	return false;
}

/* What the object asks for; "prompt" or "messages" is a field if the task has one of that name. */
static json_t *answer(struct bd_asked *a, const json_t *object, const char *where)
{
	const json_t *prompt = is_field(a->m, "prompt") ? NULL : bd_json_get(object, "prompt");
	const json_t *list = is_field(a->m, "messages") ? NULL : bd_json_get(object, "messages");

	if (list != NULL) {
		check_keys(object, "messages", where);
		return messages(a, object, list, where);
	}
	if (prompt != NULL) {
		check_keys(object, "prompt", where);
		if (!json_is_string(prompt))
			bd_die(BD_DATA, "%s: \"prompt\" is not a string", where);
		return bd_answer_text(a, json_string_value(prompt), json_string_length(prompt), NULL, NULL);
	}
	if (a->m->task == NULL)
		bd_die(BD_DATA, "%s: neither \"prompt\" nor \"messages\", and %s has no task with fields",
		       where, a->m->path);
	return fields(a, object, where);
}

json_t *bd_answer_object(struct bd_asked *a, const json_t *object, const char *where)
{
	struct bd_gen_opts before = a->opts;
	const json_t *stop = bd_json_get(object, "stop");
	json_t *id = json_object_get(object, "id"), *out = json_object(), *got;
	const char **list = NULL;

	if (!json_is_object(object))
		bd_die(BD_DATA, "%s: not a JSON object", where);
	override(&a->opts, object, where);
	if (stop != NULL)
		a->opts.stop = list = stops(stop, &a->opts.n_stop, where);
	if (id != NULL)
		json_object_set(out, "id", id);
	got = answer(a, object, where);
	json_object_update(out, got);
	json_decref(got);
	a->opts = before;
	bd_free(list);
	return out;
}
