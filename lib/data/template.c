/* Templates: a prompt with {fields}, and either the labels of classes or an answer with {fields}. */
#include "data/template.h"

#include "base/io.h"
#include "base/msg.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct bd_template {
	json_t *json;
	const char *name; /* for messages: the template's own name */
	char **field;
	size_t fields;
	const char *prompt, *answer; /* answer NULL: classification */
	const char ***label;         /* [classes][sets], NULL-terminated sets of equal length */
	char **class_name;           /* [classes] */
	size_t classes, sets;
	size_t label_field;
};

static size_t field_index(const struct bd_template *t, const char *name, size_t n)
{
	for (size_t i = 0; i < t->fields; i++)
		if (strlen(t->field[i]) == n && !memcmp(t->field[i], name, n))
			return i;
	return t->fields;
}

/* Length of the "{name}" at s and its field; 0 if s is not a placeholder, which includes other braces. */
static size_t placeholder(const struct bd_template *t, const char *s, size_t *field)
{
	size_t n = 1;

	while (*s == '{' && (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '-'))
		n++;
	if (n == 1 || s[n] != '}')
		return 0;
	*field = field_index(t, s + 1, n - 1);
	return n + 1;
}

/* Checks that every placeholder names a field. */
static void check_text(const struct bd_template *t, const char *text, const char *file)
{
	size_t field;

	for (const char *s = text; *s; s++) {
		size_t n = placeholder(t, s, &field);

		if (n && field == t->fields)
			bd_die(BD_DATA, "%s: %.*s is not one of the template's fields", file, (int)n, s);
	}
}

static char **strings(const json_t *list, size_t *n, const char *key, const char *file)
{
	*n = json_array_size(list);
	char **v = bd_zalloc(*n, sizeof(*v));
	for (size_t i = 0; i < *n; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s == NULL || !*s)
			bd_die(BD_DATA, "%s: \"%s\" is not a list of words", file, key);
		v[i] = bd_strdup(s);
	}
	return v;
}

/* Alternative `set` of a label: a string is its own only alternative. */
static const char *alternative(const json_t *label, size_t set)
{
	return json_string_value(json_is_array(label) ? json_array_get(label, set) : label);
}

static void read_labels(struct bd_template *t, const json_t *labels, const char *file)
{
	const char *name = bd_json_str(t->json, "label", "label", file);

	t->label_field = field_index(t, name, strlen(name));
	if (t->label_field == t->fields)
		bd_die(BD_DATA, "%s: the label's field \"%s\" is not one of the template's fields", file,
		       name);
	t->classes = json_array_size(labels);
	if (t->classes < 2 || t->classes > 1000)
		bd_die(BD_DATA, "%s: \"labels\" must list 2 to 1000 labels", file);
	t->label = bd_zalloc(t->classes, sizeof(*t->label));
	t->sets = json_is_array(json_array_get(labels, 0)) ? json_array_size(json_array_get(labels, 0)) : 1;
	for (size_t i = 0; i < t->classes; i++) {
		const json_t *label = json_array_get(labels, i);

		if (!t->sets || (json_is_array(label) ? json_array_size(label) : 1) != t->sets)
			bd_die(BD_DATA, "%s: \"labels\": every class needs the same number of alternatives",
			       file);
		t->label[i] = bd_zalloc(t->sets, sizeof(**t->label));
		for (size_t k = 0; k < t->sets; k++) {
			t->label[i][k] = alternative(label, k);
			if (t->label[i][k] == NULL || !*t->label[i][k])
				bd_die(BD_DATA, "%s: \"labels\": label %zu is not text", file, i);
		}
	}
}

static char *trimmed(const char *s)
{
	size_t n;

	s += strspn(s, " \t\n");
	for (n = strlen(s); n && strchr(" \t\n", s[n - 1]) != NULL; n--)
		;
	return bd_strndup(s, n);
}

static void read_classes(struct bd_template *t, const char *file)
{
	size_t n;
	const json_t *list = bd_json_get(t->json, "classes");

	if (list != NULL) {
		t->class_name = strings(list, &n, "classes", file);
		if (n != t->classes)
			bd_die(BD_DATA, "%s: %zu \"classes\" for %zu labels", file, n, t->classes);
		return;
	}
	t->class_name = bd_zalloc(t->classes, sizeof(*t->class_name));
	for (size_t i = 0; i < t->classes; i++)
		t->class_name[i] = trimmed(t->label[i][0]);
}

struct bd_template *bd_template_from(const json_t *obj, const char *file)
{
	struct bd_template *t = bd_zalloc(1, sizeof(*t));

	if (!json_is_object(obj))
		bd_die(BD_DATA, "%s: a template is a JSON object", file);
	t->json = json_deep_copy(obj);
	t->name = bd_json_str(t->json, "name", "template", file);
	t->prompt = bd_json_str(t->json, "prompt", NULL, file);
	t->answer = bd_json_str(t->json, "answer", NULL, file);
	t->field = strings(bd_json_get(t->json, "fields"), &t->fields, "fields", file);
	const json_t *labels = bd_json_get(t->json, "labels");
	if (t->prompt == NULL || !t->fields || (t->answer == NULL) == (labels == NULL))
		bd_die(BD_DATA,
		       "%s: a template needs \"fields\", \"prompt\", and either \"labels\" or \"answer\"",
		       file);
	check_text(t, t->prompt, file);
	if (t->answer != NULL) {
		check_text(t, t->answer, file);
		return t;
	}
	read_labels(t, labels, file);
	read_classes(t, file);
	return t;
}

struct bd_template *bd_template_load(const char *path)
{
	json_t *j = bd_json_load(path);
	struct bd_template *t = bd_template_from(j, path);

	json_decref(j);
	return t;
}

char *bd_template_path(const char *name)
{
	static const char *const beside[] = {"../share/bd/templates", "../examples/templates"};
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (bd_exists(name) && !bd_is_dir(name))
		return bd_strdup(name);
	while (n > 0 && exe[n - 1] != '/')
		n--;
	for (size_t i = 0; n > 0 && strchr(name, '/') == NULL && i < 2; i++) {
		char *path = bd_sprintf("%.*s%s/%s.json", (int)n, exe, beside[i], name);

		if (bd_exists(path))
			return path;
		bd_free(path);
	}
	bd_die(BD_DATA, "%s: no such template: neither a file nor the name of one in share/bd/templates",
	       name);
}

void bd_template_free(struct bd_template *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->fields; i++)
		bd_free(t->field[i]);
	for (size_t i = 0; i < t->classes; i++) {
		bd_free(t->class_name[i]);
		bd_free(t->label[i]);
	}
	bd_free(t->field);
	bd_free(t->class_name);
	bd_free(t->label);
	json_decref(t->json);
	bd_free(t);
}

bool bd_template_same(const json_t *a, const json_t *b)
{
	static const char *const key[] = {"prompt", "labels", "answer"};

	for (size_t i = 0; a != NULL && b != NULL && i < sizeof(key) / sizeof(*key); i++) {
		const json_t *x = bd_json_get(a, key[i]), *y = bd_json_get(b, key[i]);

		if ((x == NULL) != (y == NULL) || (x != NULL && !json_equal(x, y)))
			return false;
	}
	return true;
}

const char *bd_template_called(const json_t *template_)
{
	const char *name = json_string_value(bd_json_get(template_, "name"));

	return name != NULL ? name : "?";
}

const json_t *bd_template_json(const struct bd_template *t)
{
	return t->json;
}

size_t bd_template_fields(const struct bd_template *t)
{
	return t->fields;
}

const char *bd_template_field(const struct bd_template *t, size_t i)
{
	return t->field[i];
}

bool bd_template_prompts(const struct bd_template *t, size_t i)
{
	size_t field;

	for (const char *s = t->prompt; *s; s++)
		if (placeholder(t, s, &field) && field == i)
			return true;
	return false;
}

size_t bd_template_classes(const struct bd_template *t)
{
	return t->classes;
}

const char *bd_template_class(const struct bd_template *t, size_t i)
{
	return t->class_name[i];
}

/* Appends text with its placeholders filled; false, with *field set, if one is absent from the row. */
static bool fill(const struct bd_template *t, const char *text, const char *const *row, size_t *field,
                 struct bd_buf *out)
{
	while (*text) {
		size_t n = placeholder(t, text, field);

		if (n && row[*field] == NULL)
			return false;
		if (n)
			bd_buf_str(out, row[*field]);
		else
			bd_buf_add(out, text, n = 1 + strcspn(text + 1, "{"));
		text += n;
	}
	return true;
}

void bd_template_prompt(const struct bd_template *t, const char *const *row, const char *where,
                        struct bd_buf *out)
{
	size_t field;

	if (!fill(t, t->prompt, row, &field, out))
		bd_die(BD_DATA, "%s: the field \"%s\" that template %s needs is missing", where,
		       t->field[field], t->name);
}

int bd_template_label(const struct bd_template *t, const char *const *row, const char *where)
{
	const char *s = t->classes ? row[t->label_field] : NULL;
	char number[24];

	if (s == NULL)
		return -1;
	for (size_t i = 0; i < t->classes; i++) {
		snprintf(number, sizeof(number), "%zu", i);
		if (!strcmp(s, number) || !strcmp(s, t->class_name[i]))
			return (int)i;
	}
	bd_die(BD_DATA, "%s: label \"%.60s\" is not one of template %s: 0 to %zu, or \"%s\" to \"%s\"", where,
	       s, t->name, t->classes - 1, t->class_name[0], t->class_name[t->classes - 1]);
}

void bd_template_answer(const struct bd_template *t, const char *const *row, struct bd_buf *out)
{
	size_t field, before = out->n;

	if (t->answer != NULL && !fill(t, t->answer, row, &field, out)) {
		out->n = before;
		bd_buf_str(out, "");
	}
}

static void encode_set(const struct bd_template *t, size_t set, const struct bd_tok *tok,
                       struct bd_ids *choice)
{
	for (size_t i = 0; i < t->classes; i++) {
		choice[i].n = 0;
		bd_tok_encode(tok, t->label[i][set], strlen(t->label[i][set]), BD_TOK_CONT, &choice[i]);
	}
}

/* True if every label is a single token, and no two are the same. */
static bool distinct(const struct bd_ids *choice, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (choice[i].n != 1)
			return false;
		for (size_t k = 0; k < i; k++)
			if (choice[k].id[0] == choice[i].id[0])
				return false;
	}
	return true;
}

/* Labels of several tokens are told apart by their first ones. */
static void check_first(const struct bd_template *t, const struct bd_ids *choice, const struct bd_tok *tok)
{
	for (size_t i = 0; i < t->classes; i++) {
		if (!choice[i].n)
			bd_die(BD_DATA, "template %s: the label \"%s\" has no token in this tokenizer",
			       t->name, t->label[i][0]);
		for (size_t k = 0; k < i; k++)
			if (choice[k].id[0] == choice[i].id[0])
				bd_die(BD_DATA,
				       "template %s: the labels \"%s\" and \"%s\" begin with the same token, "
				       "%" PRIu32 " (\"%s\"), of this tokenizer; give it other \"labels\"",
				       t->name, t->label[k][0], t->label[i][0], choice[i].id[0],
				       bd_tok_text(tok, choice[i].id[0]));
	}
}

struct bd_ids *bd_template_choices(const struct bd_template *t, const struct bd_tok *tok)
{
	struct bd_ids *choice = bd_zalloc(t->classes, sizeof(*choice));

	for (size_t set = 0; set < t->sets; set++) {
		encode_set(t, set, tok, choice);
		if (distinct(choice, t->classes))
			return choice;
	}
	encode_set(t, 0, tok, choice);
	check_first(t, choice, tok);
	return choice;
}
