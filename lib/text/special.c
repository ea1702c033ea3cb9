#include "text/special.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf.h"

#include <inttypes.h>
#include <string.h>

/* ---- by number ---- */

/* The id, or -1 for none: config.json has null, -1 or a number beyond the vocabulary for it. */
static int64_t usable(int64_t id, const char *key, size_t vocab, const char *name)
{
	if (id >= 0 && (uint64_t)id < vocab)
		return id;
	if (id != -1)
		bd_warn("%s: %s %" PRId64 " is not one of the %zu tokens of the vocabulary, and is ignored",
		        name, key, id, vocab);
	return -1;
}

static int64_t id_of(const json_t *j, const char *key, size_t vocab, const char *name)
{
	if (!json_is_integer(j))
		bd_die(BD_DATA, "%s: %s is neither a whole number nor a list of them", name, key);
	return usable(json_integer_value(j), key, vocab, name);
}

static void add_eos(struct bd_special *s, int64_t id, const char *name)
{
	if (id < 0 || bd_special_ends(s, (uint32_t)id))
		return;
	if (s->n_eos == BD_EOS_MAX)
		bd_die(BD_DATA, "%s: more than %d tokens end a text", name, BD_EOS_MAX);
	s->eos[s->n_eos++] = (uint32_t)id;
}

void bd_special_config(struct bd_special *s, const json_t *config, size_t vocab, const char *name)
{
	const json_t *eos = bd_json_get(config, "eos_token_id"), *bos = bd_json_get(config, "bos_token_id"),
	             *pad = bd_json_get(config, "pad_token_id"), *id;
	struct bd_special found = {0};
	size_t i;

	if (json_is_array(eos))
		json_array_foreach(eos, i, id)
			add_eos(&found, id_of(id, "eos_token_id", vocab, name), name);
	else if (eos != NULL)
		add_eos(&found, id_of(eos, "eos_token_id", vocab, name), name);
	if (found.n_eos > 0) {
		memcpy(s->eos, found.eos, sizeof(s->eos));
		s->n_eos = found.n_eos;
	}
	if (bos != NULL)
		s->bos = id_of(bos, "bos_token_id", vocab, name);
	if (pad != NULL)
		s->pad = id_of(pad, "pad_token_id", vocab, name);
}

bool bd_special_ends(const struct bd_special *s, uint32_t id)
{
	for (int i = 0; i < s->n_eos; i++)
		if (s->eos[i] == id)
			return true;
	return false;
}

json_t *bd_special_eos_json(const struct bd_special *s)
{
	json_t *list;

	if (s->n_eos < 2)
		return s->n_eos == 1 ? json_integer(s->eos[0]) : NULL;
	list = json_array();
	for (int i = 0; i < s->n_eos; i++)
		json_array_append_new(list, json_integer(s->eos[i]));
	return list;
}

/* ---- a directory ---- */

static json_t *beside(const char *dir, const char *name)
{
	char *path = bd_path(dir, name);
	json_t *j = bd_json_try(path);

	bd_free(path);
	return j;
}

json_t *bd_tokenizer_config(const char *dir)
{
	return beside(dir, "tokenizer_config.json");
}

const char *bd_token_of(const json_t *config, const char *key)
{
	const json_t *token = bd_json_get(config, key);

	return json_string_value(json_is_object(token) ? bd_json_get(token, "content") : token);
}

int64_t bd_token_id(const json_t *tokenizer, const char *token)
{
	const json_t *id = bd_json_get(bd_json_get(bd_json_get(tokenizer, "model"), "vocab"), token), *e;
	size_t i;

	json_array_foreach(bd_json_get(tokenizer, "added_tokens"), i, e) {
		const char *content = json_string_value(bd_json_get(e, "content"));

		if (content != NULL && strcmp(content, token) == 0)
			return json_integer_value(bd_json_get(e, "id"));
	}
	return json_is_integer(id) ? json_integer_value(id) : -1;
}

/* Adds the end of text that the tokenizer's own files name. */
static void named_eos(struct bd_special *s, const char *dir, size_t vocab)
{
	char *path = bd_path(dir, "tokenizer.json");
	json_t *config = bd_tokenizer_config(dir), *map = beside(dir, "special_tokens_map.json");
	const char *token = bd_token_of(config, "eos_token");

	token = token != NULL ? token : bd_token_of(map, "eos_token");
	if (token != NULL && bd_exists(path)) {
		json_t *tokenizer = bd_json_load(path);
		int64_t id = bd_token_id(tokenizer, token);

		if (id < 0)
			bd_warn("%s: has no token \"%s\", with which its texts should end", path, token);
		else
			add_eos(s, usable(id, "eos_token", vocab, path), path);
		json_decref(tokenizer);
	}
	json_decref(config);
	json_decref(map);
	bd_free(path);
}

void bd_special_dir(struct bd_special *s, const char *dir, size_t vocab)
{
	char *path = bd_path(dir, "generation_config.json");

	if (bd_exists(path)) {
		json_t *j = bd_json_load(path);

		bd_special_config(s, j, vocab, path);
		json_decref(j);
	}
	if (s->n_eos == 0)
		named_eos(s, dir, vocab);
	bd_free(path);
}

/* ---- a GGUF file ---- */

static int64_t key_id(const struct bd_gguf *g, const char *key, size_t vocab)
{
	uint64_t id = bd_gguf_uint_or(g, key, UINT64_MAX);

	/* 2^32 - 1 means none */
	return id >= UINT32_MAX ? -1 : usable((int64_t)id, key, vocab, bd_gguf_path(g));
}

void bd_special_gguf(struct bd_special *s, const struct bd_gguf *g, size_t vocab)
{
	static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
	                                   "tokenizer.ggml.eom_token_id"};

	*s = BD_SPECIAL_NONE;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		add_eos(s, key_id(g, ends[i], vocab), bd_gguf_path(g));
	s->bos = key_id(g, "tokenizer.ggml.bos_token_id", vocab);
	s->pad = key_id(g, "tokenizer.ggml.padding_token_id", vocab);
}
