/* Packing with a part of the vocabulary. */
#include "pack/pack_vocab.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "data/template.h"
#include "text/chat.h"
#include "text/prune.h"

#include <stdio.h>
#include <string.h>

/* ---- ids of a config ---- */

/* An integer of the JSON that is an id. */
typedef void visit(void *ctx, json_t *id);

static void visit_all(json_t *j, visit *fn, void *ctx)
{
	json_t *e;
	size_t i;

	if (json_is_integer(j))
		fn(ctx, j);
	json_array_foreach(j, i, e)
		visit_all(e, fn, ctx);
}

/* Special tokens, labels, golden prompts. */
static void visit_config(json_t *config, visit *fn, void *ctx)
{
	static const char *const ends[] = {"_token_id", "_token_ids"};
	json_t *own = bd_json_get(config, "bitdistill"), *v;
	const char *key;

	json_object_foreach(config, key, v)
		for (size_t i = 0; i < 2; i++)
			if (strlen(key) > strlen(ends[i]) &&
			    strcmp(key + strlen(key) - strlen(ends[i]), ends[i]) == 0)
				visit_all(v, fn, ctx);
	visit_all(bd_json_get(bd_json_get(own, "task"), "choices"), fn, ctx);
	visit_all(bd_json_get(own, "golden"), fn, ctx);
}

/* ---- what is needed ---- */

struct need {
	bool *keep; /* [V] */
	size_t V;
	const struct bd_tok *tok;
};

static void set_id(const struct need *k, int64_t id)
{
	if (id >= 0 && (uint64_t)id < k->V)
		k->keep[id] = true;
}

static void set_integer(void *need, json_t *id)
{
	set_id(need, json_integer_value(id));
}

static void set_all(const struct need *k, const uint32_t *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		set_id(k, id[i]);
}

static void set_labels(const struct need *k, const json_t *template, const char *name)
{
	struct bd_template *t = template != NULL ? bd_template_from(template, name) : NULL;
	size_t n = t != NULL ? bd_template_classes(t) : 0;
	struct bd_ids *label = n > 0 ? bd_template_choices(t, k->tok) : NULL;

	for (size_t i = 0; i < n; i++) {
		set_all(k, label[i].id, label[i].n);
		bd_ids_free(&label[i]);
	}
	bd_free(label);
	bd_template_free(t);
}

/* What the chat template writes around texts. */
static void set_chat(const struct need *k, const char *dir)
{
	static const struct bd_message turns[] = {
	    {"system", "a"}, {"user", "a"}, {"assistant", "a"}, {"user", "a"}};
	char *jinja = bd_chat_source(dir);
	struct bd_chat *chat = jinja != NULL ? bd_chat_detect(jinja, k->tok) : NULL;
	struct bd_buf text = {0};
	struct bd_ids ids = {0};

	if (chat != NULL) {
		bd_chat_render(chat, turns + chat->no_system, 4 - chat->no_system, dir, &text);
		bd_tok_encode(k->tok, text.p, text.n, 0, &ids);
	}
	set_all(k, ids.id, ids.n);
	bd_ids_free(&ids);
	bd_buf_free(&text);
	bd_chat_free(chat);
	bd_free(jinja);
}

/* Returns the stream, read to its end. */
static struct bd_source *set_stream(const struct need *k, const char *path, const char *dir)
{
	struct bd_source *s = bd_source_open(path);
	const struct bd_stream_head *h = bd_source_head(s);
	struct bd_record r = {0};

	bd_source_fits(s, bd_tok_digest(k->tok), (uint32_t)k->V, dir);
	set_all(k, h->choice, h->n_choice);
	set_labels(k, h->template_, path);
	while (bd_source_next(s, &r))
		set_all(k, r.ids, r.n);
	return s;
}

static struct bd_tok *whole(const char *dir, size_t V)
{
	char *path = bd_path(dir, "tokenizer.json");
	struct bd_tok *tok;

	if (!bd_exists(path))
		bd_die(BD_DATA, "%s: --vocab-from: there is no tokenizer.json to take tokens from", dir);
	tok = bd_tok_open(dir);
	if (bd_tok_vocab(tok) > V)
		bd_die(BD_DATA,
		       "%s: --vocab-from: the tokenizer has ids up to %u, beyond the model's vocabulary of "
		       "%zu",
		       dir, bd_tok_vocab(tok) - 1, V);
	bd_free(path);
	return tok;
}

struct bd_pack_vocab *bd_pack_vocab_new(const char *dir, const struct bd_config *c,
                                        const struct bd_list *streams)
{
	struct bd_pack_vocab *v = bd_zalloc(1, sizeof(*v));
	size_t V = v->of = (size_t)c->vocab;
	struct bd_tok *tok = whole(dir, V);
	struct need k = {bd_zalloc(V, sizeof(bool)), V, tok};

	snprintf(v->tokenizer, sizeof(v->tokenizer), "%s", bd_tok_digest(tok));
	v->stream = bd_alloc(streams->n, sizeof(*v->stream));
	for (; v->streams < streams->n; v->streams++)
		v->stream[v->streams] = set_stream(&k, streams->item[v->streams], dir);
	visit_config(c->json, set_integer, &k);
	set_id(&k, c->special.bos);
	set_id(&k, c->special.pad);
	set_all(&k, c->special.eos, (size_t)c->special.n_eos);
	set_labels(&k, bd_json_get(bd_json_get(bd_json_get(c->json, "bitdistill"), "task"), "template"), dir);
	set_chat(&k, dir);
	v->to = bd_alloc(V, sizeof(*v->to));
	v->tok = bd_tok_prune(tok, k.keep, V, v->to);
	v->id = bd_alloc(V, sizeof(*v->id));
	for (size_t i = 0; i < V; i++)
		if (k.keep[i])
			v->id[v->n++] = (uint32_t)i;
	bd_free(k.keep);
	bd_tok_free(tok);
	return v;
}

void bd_pack_vocab_free(struct bd_pack_vocab *v)
{
	if (v == NULL)
		return;
	for (size_t i = 0; i < v->streams; i++)
		bd_source_close(v->stream[i]);
	bd_free(v->stream);
	bd_free(v->id);
	bd_free(v->to);
	bd_tok_free(v->tok);
	bd_free(v);
}

/* ---- the model ---- */

/* A token that the model does not have stays one. */
static void renumber(void *ctx, json_t *id)
{
	const struct bd_pack_vocab *v = ctx;
	json_int_t i = json_integer_value(id);

	if (i >= 0 && (uint64_t)i < v->of)
		json_integer_set(id, v->to[i]);
}

static void take_rows(const struct bd_pack_vocab *v, struct bd_net *net, struct bd_table *t)
{
	size_t stride = bd_ggml_stride(t->type, t->cols);
	uint8_t *row = bd_alloc(v->n, stride);

	for (size_t i = 0; i < v->n; i++)
		bd_dev_from(net->dev, row + i * stride, (const uint8_t *)t->p + v->id[i] * stride, stride);
	t->p = bd_net_keep(net, row, v->n * stride);
	t->rows = v->n;
	bd_free(row);
}

void bd_pack_vocab_apply(const struct bd_pack_vocab *v, struct bd_net *net)
{
	struct bd_config *c = &net->cfg;
	struct bd_special *s = &c->special;

	take_rows(v, net, &net->embed);
	if (c->tied)
		net->head = net->embed;
	else
		take_rows(v, net, &net->head);
	visit_config(c->json, renumber, (void *)(uintptr_t)v);
	json_object_set_new(c->json, "vocab_size", json_integer((json_int_t)v->n));
	c->vocab = (int)v->n;
	s->bos = s->bos >= 0 ? (int64_t)v->to[s->bos] : -1;
	s->pad = s->pad >= 0 ? (int64_t)v->to[s->pad] : -1;
	for (int i = 0; i < s->n_eos; i++)
		s->eos[i] = v->to[s->eos[i]];
}

/* ---- keys ---- */

void bd_pack_vocab_keys(const struct bd_pack_vocab *v, struct bd_gguf_writer *w)
{
	json_t *j = json_pack("{s:I, s:I, s:s}", "kept", (json_int_t)v->n, "of", (json_int_t)v->of,
	                      "tokenizer", v->tokenizer);
	char *text = bd_json_text(j, false);

	bd_gguf_put_str(w, BD_PACKED_VOCAB, text);
	bd_gguf_put_u32s(w, BD_PACKED_VOCAB_IDS, v->id, v->n);
	bd_free(text);
	json_decref(j);
}

bool bd_packed_vocab(const struct bd_gguf *g, size_t n, struct bd_packed_vocab *v)
{
	const char *path = bd_gguf_path(g), *text;
	const void *data;
	uint32_t type;
	size_t len;
	json_t *j;

	if (!bd_gguf_has(g, BD_PACKED_VOCAB))
		return false;
	text = bd_gguf_str(g, BD_PACKED_VOCAB, &len);
	j = bd_json_parse(text, len, path);
	snprintf(v->tokenizer, sizeof(v->tokenizer), "%s", bd_json_str(j, "tokenizer", "", path));
	json_decref(j);
	len = bd_gguf_array(g, BD_PACKED_VOCAB_IDS, &type, &data);
	if (type != BD_GGUF_U32 || len != n)
		bd_die(BD_DATA, "%s: " BD_PACKED_VOCAB_IDS ": %zu entries for a vocabulary of %zu", path, len,
		       n);
	v->id = data;
	for (size_t i = 1; i < n; i++)
		if (v->id[i] <= v->id[i - 1])
			bd_die(BD_DATA, "%s: " BD_PACKED_VOCAB_IDS ": entry %zu does not ascend", path, i);
	return true;
}
