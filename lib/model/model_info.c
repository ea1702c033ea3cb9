/* What a model directory, a safetensors file, a config or a tokenizer holds. */
#include "model/model_info.h"

#include "base/digest.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "model/ckpt.h"
#include "text/tokenizer.h"

#include <math.h>

json_t *bd_info_kind(const char *path, const char *what)
{
	return json_pack("{s:o, s:s}", "file", bd_json_string(path), "kind", what);
}

void bd_info_int(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static json_t *shape_json(const struct bd_st_tensor *t)
{
	json_t *a = json_array();

	for (int i = 0; i < t->ndim; i++)
		json_array_append_new(a, json_integer((json_int_t)t->shape[i]));
	return a;
}

static json_t *tensor_json(const char *name, const struct bd_st_tensor *t)
{
	return json_pack("{s:s, s:s, s:o}", "name", name, "type", bd_dtype_name(t->dtype), "shape",
	                 shape_json(t));
}

static void describe_config(json_t *o, const struct bd_config *c)
{
	json_t *b = bd_json_get(c->json, "bitdistill"), *eos = json_array();

	json_object_set_new(o, "family", json_string(bd_family_name(c->family)));
	json_object_set_new(o, "weights", json_string(c->ternary ? "ternary" : "full"));
	json_object_set_new(o, "norms", json_string(bd_norms_name(c->norms)));
	const struct {
		const char *key;
		int value;
	} sizes[] = {{"hidden", c->hidden},     {"layers", c->layers},     {"heads", c->heads},
	             {"kv_heads", c->kv_heads}, {"head_dim", c->head_dim}, {"ffn", c->ffn},
	             {"vocab", c->vocab},       {"context", c->context}};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		bd_info_int(o, sizes[i].key, (uint64_t)sizes[i].value);
	json_object_set_new(o, "rope", json_string(bd_rope_name(c->rope.kind)));
	json_object_set_new(o, "rope_theta", json_real(c->rope.theta));
	json_object_set_new(o, "activation", json_string(bd_act_name(c->act)));
	if (c->window > 0)
		bd_info_int(o, "window", (uint64_t)c->window);
	json_object_set_new(o, "tied", json_boolean(c->tied));
	for (int i = 0; i < c->special.n_eos; i++)
		json_array_append_new(eos, json_integer(c->special.eos[i]));
	json_object_set_new(o, "eos", eos);
	static const char *const keys[] = {"stage", "parent", "task", "history"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (bd_json_get(b, keys[i]) != NULL)
			json_object_set(o, keys[i], bd_json_get(b, keys[i]));
}

static size_t not_finite(const struct bd_st_tensor *t)
{
	enum { BLOCK = 4096 };
	float x[BLOCK];
	size_t bad = 0;

	if (t->dtype == BD_U8) /* codes */
		return 0;
	for (size_t i = 0; i < t->count; i += BLOCK) {
		size_t n = t->count - i < BLOCK ? t->count - i : BLOCK;

		bd_st_f32(t, i, n, x);
		for (size_t j = 0; j < n; j++)
			bad += isfinite(x[j]) ? 0 : 1;
	}
	return bad;
}

static void sort_file(void *ctx, const char *name, enum bd_digest_state s)
{
	static const char *const keys[] = {[BD_DIGEST_RIGHT] = "right",
	                                   [BD_DIGEST_NONE] = "not_listed",
	                                   [BD_DIGEST_WRONG] = "wrong",
	                                   [BD_DIGEST_MISSING] = "missing"};

	json_array_append_new(json_object_get(ctx, keys[s]), bd_json_string(name));
}

json_t *bd_info_digests(const char *dir, size_t *bad)
{
	json_t *o = json_pack("{s:[], s:[], s:[], s:[]}", "right", "not_listed", "wrong", "missing");

	*bad = 0;
	if (!bd_digest_all(dir, sort_file, o)) {
		bd_warn("%s: has no digests; only its structure and its values were checked", dir);
		json_decref(o);
		return NULL;
	}
	*bad = json_array_size(json_object_get(o, "wrong")) + json_array_size(json_object_get(o, "missing"));
	return o;
}

static void describe_tokenizer(json_t *o, const char *path)
{
	struct bd_tok *t = bd_tok_open(path);

	json_object_set_new(o, "tokenizer", json_string(bd_tok_digest(t)));
	json_object_set_new(o, "tokenizer_model", json_string(bd_tok_ggml_model(t)));
	json_object_set_new(o, "tokenizer_pre", json_string(bd_tok_ggml_pre(t)));
	bd_info_int(o, "tokenizer_vocab", bd_tok_vocab(t));
	bd_tok_free(t);
}

json_t *bd_info_model(const char *path, bool list_all, bool check, size_t *bad)
{
	json_t *o = bd_info_kind(path, "model"), *list = json_array();
	struct bd_ckpt *k = bd_ckpt_open(path);
	const struct bd_config *c = bd_ckpt_config(k);
	size_t all = 0, linear = 0, bytes = 0;
	char name[128];

	*bad = 0;
	describe_config(o, c);
	for (enum bd_slot s = 0; s < BD_SLOTS; s++)
		for (int l = 0; l < (bd_slot_info(s)->per_layer ? c->layers : 1); l++) {
			const struct bd_st_tensor *t = bd_ckpt_tensor(k, s, l);

			if (t == NULL)
				continue;
			bd_slot_name(c, s, l, name, sizeof(name));
			json_array_append_new(list, tensor_json(name, t));
			all += t->count;
			linear += bd_slot_info(s)->kind == BD_KIND_LINEAR ? t->count : 0;
			bytes += t->bytes;
			*bad += check ? not_finite(t) : 0;
		}
	bd_info_int(o, "parameters", all);
	bd_info_int(o, "linear_parameters", linear);
	bd_info_int(o, "bytes", bytes);
	char *tokenizer = bd_path(path, "tokenizer.json");
	if (bd_exists(tokenizer))
		describe_tokenizer(o, tokenizer);
	bd_free(tokenizer);
	if (check) {
		json_object_set_new(o, "digest", json_string(bd_ckpt_digest(k)));
		bd_info_int(o, "not_finite", *bad);
	}
	if (list_all)
		json_object_set(o, "tensors", list);
	json_decref(list);
	bd_ckpt_close(k);
	return o;
}

json_t *bd_info_safetensors(const char *path, bool list_all)
{
	json_t *o = bd_info_kind(path, "safetensors"), *list = json_array();
	struct bd_st *s = bd_st_open(path);
	size_t count = 0, bytes = 0;

	for (size_t i = 0; i < bd_st_count(s); i++) {
		const struct bd_st_tensor *t = bd_st_at(s, i);

		json_array_append_new(list, tensor_json(t->name, t));
		count += t->count;
		bytes += t->bytes;
	}
	bd_info_int(o, "tensor_count", bd_st_count(s));
	bd_info_int(o, "parameters", count);
	bd_info_int(o, "bytes", bytes);
	if (bd_st_metadata(s) != NULL)
		json_object_set_new(o, "metadata", json_deep_copy(bd_st_metadata(s)));
	if (list_all)
		json_object_set(o, "tensors", list);
	json_decref(list);
	bd_st_close(s);
	return o;
}

json_t *bd_info_json(const char *path, bool list_all)
{
	json_t *j = bd_json_load(path), *o;

	if (bd_json_get(j, "weight_map") != NULL) {
		o = bd_info_safetensors(path, list_all);
	} else if (bd_json_get(j, "model_type") != NULL) {
		struct bd_config c = bd_config_load(path);

		o = bd_info_kind(path, "config");
		describe_config(o, &c);
		bd_config_free(&c);
	} else if (bd_json_get(j, "history") != NULL) { /* of bd-eval or bd-bench */
		o = bd_info_kind(path, "result");
		json_object_update(o, j);
	} else {
		o = bd_info_kind(path, "tokenizer");
		describe_tokenizer(o, path);
	}
	json_decref(j);
	return o;
}
