/* Post-processors: only TemplateProcessing of one text adds anything. */
#include "text/tok_post.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "text/special.h"
#include "text/tok_vocab.h"

#include <string.h>

/* Appends the ids of the special token that a template names. */
static void push_special(struct bd_ids *out, const json_t *processor, const json_t *step, const char *name)
{
	const char *id = bd_json_str(step, "id", "", name);
	const json_t *ids = bd_json_get(bd_json_get(bd_json_get(processor, "special_tokens"), id), "ids"), *e;
	size_t i;

	if (json_array_size(ids) == 0)
		bd_die(BD_DATA, "%s: post_processor: special token \"%s\" has no ids", name, id);
	json_array_foreach(ids, i, e) {
		if (!json_is_integer(e) || json_integer_value(e) < 0 || json_integer_value(e) > BD_MAX_ID)
			bd_die(BD_DATA, "%s: post_processor: special token \"%s\" has an id out of range",
			       name, id);
		if (out->n == BD_POST_MAX)
			bd_die(BD_DATA, "%s: post_processor: more than %d tokens before or after the text",
			       name, BD_POST_MAX);
		bd_ids_push(out, (uint32_t)json_integer_value(e));
	}
}

static void parse_template(struct bd_post *p, const json_t *j, const char *name)
{
	const json_t *single = bd_json_get(j, "single"), *step;
	bool text = false;
	size_t i;

	if (p->front.n + p->back.n > 0)
		bd_die(BD_DATA, "%s: post_processor: more than one TemplateProcessing is not supported",
		       name);
	json_array_foreach(single, i, step) {
		const json_t *special = bd_json_get(step, "SpecialToken"),
		             *sequence = bd_json_get(step, "Sequence");

		if (special != NULL)
			push_special(text ? &p->back : &p->front, j, special, name);
		else if (sequence == NULL || text)
			bd_die(BD_DATA,
			       "%s: post_processor: TemplateProcessing is supported only with the text "
			       "occurring once",
			       name);
		text = text || sequence != NULL;
	}
	if (!text)
		bd_die(BD_DATA, "%s: post_processor: TemplateProcessing without the text", name);
}

void bd_post_parse(struct bd_post *p, const json_t *j, const char *name)
{
	const char *type = bd_json_str(j, "type", "", name);
	json_t *e;
	size_t i;

	if (j == NULL)
		return;
	if (strcmp(type, "Sequence") == 0) {
		json_array_foreach(bd_json_get(j, "processors"), i, e)
			bd_post_parse(p, e, name);
	} else if (strcmp(type, "TemplateProcessing") == 0) {
		parse_template(p, j, name);
	} else if (strcmp(type, "ByteLevel") != 0) {
		bd_die(BD_DATA, "%s: post_processor: %s is not supported", name,
		       *type != '\0' ? type : "a step without a type");
	}
}

void bd_post_free(struct bd_post *p)
{
	bd_ids_free(&p->front);
	bd_ids_free(&p->back);
}

/* ---- tokenizer_config.json ---- */

/* Appends the token config[key], a string or {"content"}, to the template if config[flag]. */
static void add(json_t *processor, const json_t *root, const json_t *config, const char *flag,
                const char *key, const char *name)
{
	const char *text = bd_token_of(config, key);
	json_int_t id;

	if (!bd_json_bool(config, flag, false, name))
		return;
	if (text == NULL || (id = bd_token_id(root, text)) < 0)
		bd_die(BD_DATA, "%s: %s is set, but %s is not a token of the tokenizer", name, flag, key);
	json_array_append_new(json_object_get(processor, "single"),
	                      json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", text, "type_id", 0));
	json_object_set_new(json_object_get(processor, "special_tokens"), text,
	                    json_pack("{s:s, s:[I], s:[s]}", "id", text, "ids", id, "tokens", text));
}

bool bd_post_complete(json_t *root, const char *dir)
{
	char *path = bd_path(dir, "tokenizer_config.json");
	json_t *config = bd_tokenizer_config(dir);
	json_t *p = json_pack("{s:s, s:[], s:[], s:{}}", "type", "TemplateProcessing", "single", "pair",
	                      "special_tokens");
	bool added = false;

	if (bd_json_get(root, "post_processor") == NULL) {
		add(p, root, config, "add_bos_token", "bos_token", path);
		json_array_append_new(json_object_get(p, "single"),
		                      json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
		add(p, root, config, "add_eos_token", "eos_token", path);
		added = json_object_size(json_object_get(p, "special_tokens")) > 0;
	}
	if (added)
		json_object_set(root, "post_processor", p);
	json_decref(p);
	json_decref(config);
	bd_free(path);
	return added;
}
