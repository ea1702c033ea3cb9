/* The keys of a packed file that say what the model is. */
#include "pack/pack_keys.h"

#include "base/history.h"
#include "base/mem.h"
#include "pack/packed.h"

#include <stdio.h>

/* Writer of "ARCH.key". */
struct arch {
	struct bd_gguf_writer *w;
	const char *name;
};

static void put_u32(const struct arch *a, const char *key, int value)
{
	char *full = bd_sprintf("%s.%s", a->name, key);

	bd_gguf_put_u32(a->w, full, (uint32_t)value);
	bd_free(full);
}

static void put_f32(const struct arch *a, const char *key, double value)
{
	char *full = bd_sprintf("%s.%s", a->name, key);

	bd_gguf_put_f32(a->w, full, (float)value);
	bd_free(full);
}

static void put_str(const struct arch *a, const char *key, const char *value)
{
	char *full = bd_sprintf("%s.%s", a->name, key);

	bd_gguf_put_str(a->w, full, value);
	bd_free(full);
}

/* llama3's scaling is a tensor (rope_freqs), not a key. */
static void put_rope(const struct arch *a, const struct bd_config *c)
{
	const struct bd_rope *r = &c->rope;

	put_f32(a, "rope.freq_base", r->theta);
	put_u32(a, "rope.dimension_count", c->head_dim);
	if (r->kind == BD_ROPE_LINEAR || r->kind == BD_ROPE_YARN) {
		put_str(a, "rope.scaling.type", bd_rope_name(r->kind));
		put_f32(a, "rope.scaling.factor", r->factor);
	}
	if (r->kind == BD_ROPE_YARN)
		put_u32(a, "rope.scaling.original_context_length", (int)r->original);
}

static void put_arch(const struct arch *a, const struct bd_config *c)
{
	put_u32(a, "context_length", c->context);
	put_u32(a, "embedding_length", c->hidden);
	put_u32(a, "block_count", c->layers);
	put_u32(a, "feed_forward_length", c->ffn);
	put_u32(a, "attention.head_count", c->heads);
	put_u32(a, "attention.head_count_kv", c->kv_heads);
	put_u32(a, "attention.key_length", c->head_dim);
	put_u32(a, "attention.value_length", c->head_dim);
	put_f32(a, "attention.layer_norm_rms_epsilon", (double)c->eps);
	put_rope(a, c);
	if (c->window > 0) {
		put_u32(a, "attention.sliding_window", c->window);
		put_f32(a, "rope.freq_base_swa", c->rope_local.theta);
	}
	put_u32(a, "vocab_size", c->vocab);
}

void bd_pack_keys(struct bd_gguf_writer *w, const struct bd_config *c, const struct bd_layout *l,
                  enum bd_ggml_type ternary, const char *name)
{
	static const char *const tags[] = {"text-generation", "bitnet", "1.58-bit"};
	const char *base = json_string_value(bd_json_get(c->json, "_name_or_path"));
	struct arch a = {w, l->arch};

	bd_gguf_put_str(w, "general.architecture", l->arch);
	bd_gguf_put_str(w, "general.type", "model");
	bd_gguf_put_str(w, "general.name", name != NULL ? name : c->name);
	if (base != NULL && *base != '\0') {
		bd_gguf_put_u32(w, "general.base_model.count", 1);
		bd_gguf_put_str(w, "general.base_model.0.name", base);
	}
	bd_gguf_put_strs(w, "general.tags", tags, 3);
	bd_gguf_put_u32(w, "general.alignment", 32);
	bd_gguf_put_u32(w, "general.quantization_version", 2);
	bd_gguf_put_u32(w, "general.file_type", bd_ggml(ternary)->file_type);
	put_arch(&a, c);
}

static void put_json(struct bd_gguf_writer *w, const char *key, const json_t *value)
{
	char *text;

	if (value == NULL)
		return;
	text = bd_json_text(value, false);
	bd_gguf_put_str(w, key, text);
	bd_free(text);
}

/* Of the checkpoint and of the streams that its vocabulary was chosen by. */
static json_t *history_of(const struct bd_config *c, const char *digest, const struct bd_pack_vocab *vocab)
{
	size_t n = vocab != NULL ? vocab->streams : 0;
	struct bd_input *in = bd_alloc(n + 1, sizeof(*in));
	json_t *list;

	in[0] = (struct bd_input){"model", digest, bd_config_history(c)};
	for (size_t i = 0; i < n; i++) {
		size_t one;
		struct bd_input *stream = bd_source_inputs(vocab->stream[i], "examples", &one);

		in[i + 1] = stream[0];
		bd_free(stream);
	}
	list = bd_history(in, n + 1);
	bd_free(in);
	return list;
}

void bd_pack_own_keys(struct bd_gguf_writer *w, const struct bd_config *c, const struct bd_layout *l,
                      const json_t *golden, const char *digest, const struct bd_pack_vocab *vocab)
{
	json_t *config = bd_config_json(c), *own = bd_json_get(config, "bitdistill");
	json_t *list = history_of(c, digest, vocab);
	size_t n = json_array_size(list);
	const char **history = bd_alloc(n, sizeof(*history));

	json_object_del(own, "history"); /* is in bd.history */
	bd_gguf_put_u32(w, "bd.version", BD_PACKED_VERSION);
	bd_gguf_put_str(w, "bd.target", bd_target_name(l->target));
	put_json(w, "bd.config", config);
	bd_gguf_put_str(w, "bd.activation", bd_act_name(c->act));
	bd_gguf_put_str(w, "bd.norms", bd_norms_name(c->norms));
	for (size_t i = 0; i < n; i++)
		history[i] = json_string_value(json_array_get(list, i));
	bd_gguf_put_strs(w, "bd.history", history, n);
	put_json(w, "bd.task", bd_json_get(own, "task"));
	put_json(w, "bd.golden", golden);
	if (vocab != NULL)
		bd_pack_vocab_keys(vocab, w);
	bd_free(history);
	json_decref(list);
	json_decref(config);
}
