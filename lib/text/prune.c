/* Smaller vocabularies: on the JSON of the tokenizer, so that what is not about ids stays as it is. */
#include "text/prune.h"

#include "base/json.h"
#include "text/tok_parts.h"

#include <string.h>

struct prune {
	const struct bd_tok *t;
	bool *keep;
	uint32_t *to;
	size_t V;
};

static bool known(const struct prune *p, const json_t *id)
{
	return json_is_integer(id) && json_integer_value(id) >= 0 && (uint64_t)json_integer_value(id) < p->V;
}

/* ---- ids in the JSON beside the vocabulary ---- */

/* An integer of the JSON that is an id. */
typedef void visit(struct prune *p, json_t *id);

static void set_kept(struct prune *p, json_t *id)
{
	if (known(p, id))
		p->keep[json_integer_value(id)] = true;
}

static void renumber(struct prune *p, json_t *id)
{
	if (known(p, id))
		json_integer_set(id, p->to[json_integer_value(id)]);
}

static void visit_post(struct prune *p, json_t *post, visit *fn)
{
	json_t *e, *id;
	const char *key;
	size_t i;

	json_array_foreach(bd_json_get(post, "processors"), i, e)
		visit_post(p, e, fn);
	json_object_foreach(bd_json_get(post, "special_tokens"), key, e)
		json_array_foreach(bd_json_get(e, "ids"), i, id)
			fn(p, id);
}

static void visit_ids(struct prune *p, json_t *root, visit *fn)
{
	json_t *e;
	size_t i;

	json_array_foreach(bd_json_get(root, "added_tokens"), i, e)
		fn(p, bd_json_get(e, "id"));
	visit_post(p, bd_json_get(root, "post_processor"), fn);
	fn(p, bd_json_get(bd_json_get(root, "padding"), "pad_id"));
}

/* ---- what is kept ---- */

static void keep_all(struct prune *p, struct bd_ids *id)
{
	for (size_t i = 0; i < id->n; i++)
		p->keep[id->id[i]] = true;
	id->n = 0;
}

/* The parts of a token include the parts of its parts: one pass is enough. */
static void complete(struct prune *p, json_t *root)
{
	struct bd_bpe_work work = {0};
	struct bd_ids ids = {0};

	visit_ids(p, root, set_kept);
	bd_bpe_units(p->t->bpe, &ids);
	keep_all(p, &ids);
	for (size_t id = 0; id < p->V; id++)
		if (p->keep[id])
			bd_bpe_parts(p->t->bpe, (uint32_t)id, &work, &ids);
	keep_all(p, &ids);
	bd_bpe_work_free(&work);
	bd_ids_free(&ids);
}

static void number(struct prune *p)
{
	uint32_t n = 0;

	for (size_t i = 0; i < p->V; i++)
		p->to[i] = p->keep[i] ? n++ : BD_NOT_KEPT;
}

/* ---- the smaller model ---- */

static json_t *vocab_of(const struct prune *p, json_t *vocab)
{
	json_t *kept = json_object();

	for (void *i = json_object_iter(vocab); i != NULL; i = json_object_iter_next(vocab, i)) {
		json_int_t id = json_integer_value(json_object_iter_value(i));

		if (p->keep[id])
			json_object_setn_new_nocheck(kept, json_object_iter_key(i),
			                             json_object_iter_key_len(i), json_integer(p->to[id]));
	}
	return kept;
}

static json_t *merges_of(const struct prune *p, const json_t *merges)
{
	json_t *kept = json_array();

	for (size_t i = 0; i < bd_bpe_merges(p->t->bpe); i++) {
		uint32_t pair[2];

		bd_bpe_merge_at(p->t->bpe, i, pair);
		if (p->keep[pair[0]] && p->keep[pair[1]] && p->keep[bd_bpe_merged(p->t->bpe, i)])
			json_array_append(kept, json_array_get(merges, i));
	}
	return kept;
}

struct bd_tok *bd_tok_prune(const struct bd_tok *t, bool *keep, size_t V, uint32_t *to)
{
	struct prune p = {t, keep, to, V};
	size_t n;
	const char *whole = bd_tok_json(t, &n);
	json_t *root = bd_json_parse(whole, n, "tokenizer.json"), *model = bd_json_get(root, "model");
	struct bd_tok *pruned;
	char *text;

	complete(&p, root);
	number(&p);
	visit_ids(&p, root, renumber);
	json_object_set_new(model, "merges", merges_of(&p, bd_json_get(model, "merges")));
	json_object_set_new(model, "vocab", vocab_of(&p, bd_json_get(model, "vocab")));
	text = bd_json_text(root, false);
	pruned = bd_tok_parse(text, strlen(text), "the pruned tokenizer.json");
	bd_free(text);
	json_decref(root);
	return pruned;
}
