/* Task templates: how a row of fields becomes a prompt and an answer (examples/templates/, bd-data(1)).
 *
 *	{ "name": "sst2", "fields": ["sentence", "label"],
 *	  "prompt": "{sentence} It was", "label": "label", "labels": [[" bad", "bad"], [" good", "good"]] }
 *	{ "name": "aeslc", "fields": ["body", "subject"], "prompt": "{body}\n\nSubject:",
 *	"answer": " {subject}" }
 *
 * A label may list alternatives: the first set (same position for all classes) that is one token each and
 * distinct is taken, else the first. `label` names the field with the class: an index, or one of `classes`
 * (optional array of names). */
#ifndef BD_TEMPLATE_H
#define BD_TEMPLATE_H

#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer.h"

struct bd_template;
struct bd_template *bd_template_load(const char *path);
struct bd_template *bd_template_from(const json_t *obj, const char *name);
/* Where a template is: a path, or the bare name of one in ../share/bd/templates or ../examples/templates
 * beside the executable. */
char *bd_template_path(const char *name); /* caller frees */
void bd_template_free(struct bd_template *t);
/* Whether they present and answer rows alike, whatever the fields are called. NULL, no template, goes with
 * any. Its name for messages, "?" if it has none. */
bool bd_template_same(const json_t *a, const json_t *b);
const char *bd_template_called(const json_t *template_);
const json_t *bd_template_json(const struct bd_template *t);
size_t bd_template_fields(const struct bd_template *t);
const char *bd_template_field(const struct bd_template *t, size_t i);
bool bd_template_prompts(const struct bd_template *t, size_t i); /* the prompt mentions field i */
size_t bd_template_classes(const struct bd_template *t);         /* 0: generation */
/* its name for people: classes[i], else the label text trimmed */
const char *bd_template_class(const struct bd_template *t, size_t i);

/* A row: one string per field of the template (NULL: absent). The prompt's text; absent fields
 * die naming `where`. */
void bd_template_prompt(const struct bd_template *t, const char *const *row, const char *where,
                        struct bd_buf *out);
/* Class of the row, or -1 if the row has no label field; an unknown label dies BD_DATA. */
int bd_template_label(const struct bd_template *t, const char *const *row, const char *where);
/* Answer text of a generation task ("" if its field is absent). */
void bd_template_answer(const struct bd_template *t, const char *const *row, struct bd_buf *out);
/* The text of each label for this tokenizer and its token ids; choice[i] = first token. Dies if two labels
 * begin with the same token. The caller frees each of the classes and the array. */
struct bd_ids *bd_template_choices(const struct bd_template *t, const struct bd_tok *tok);

#endif
