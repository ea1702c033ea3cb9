/* config.json, writing: what was read, with the facts that may have changed in both dialects. */
#include "base/mem.h"
#include "model/config.h"
#include "model/config_rope.h"
#include "model/family.h"

#include <stdio.h>

/* The smallest p for which all but every p-th layer slide; 0: there is none. */
static int sliding_pattern(const struct bd_config *c)
{
	for (int p = 1; p <= c->layers + 1; p++) {
		int i = 0;

		while (i < c->layers && c->sliding[i] == ((i + 1) % p != 0))
			i++;
		if (i == c->layers)
			return p;
	}
	return 0;
}

/* v5 reads layer_types; the first gemma3 of v4 a pattern. */
static void write_sliding(const struct bd_config *c, json_t *j)
{
	json_t *types = json_array();

	if (bd_family_row(c->family)->slides == BD_SLIDES_BUT && sliding_pattern(c) > 0)
		json_object_set_new(j, "sliding_window_pattern", json_integer(sliding_pattern(c)));
	for (int i = 0; i < c->layers; i++)
		json_array_append_new(types,
		                      json_string(c->sliding[i] ? "sliding_attention" : "full_attention"));
	json_object_set_new(j, "layer_types", types);
	json_object_set_new(j, "sliding_window", json_integer(c->window));
}

/* eps is a float: its shortest decimal form, not the double next to it. */
static json_t *short_real(float x)
{
	char s[32];
	double v = x;

	for (int digits = 1; digits <= 9; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, (double)x);
		sscanf(s, "%lf", &v);
		if ((float)v == x)
			break;
	}
	return json_real(v);
}

json_t *bd_config_json(const struct bd_config *c)
{
	struct bd_config copy = bd_config_copy(c);
	json_t *b = bd_config_bitdistill(&copy), *eos = bd_special_eos_json(&c->special);

	/* Both dialects say the same, so that either kind of reader finds what it looks for. */
	bd_config_write_rope(c, copy.json);
	if (c->window > 0)
		write_sliding(c, copy.json);
	json_object_del(copy.json, "quantization_config"); /* hf.h writes it */
	if (eos != NULL)
		json_object_set_new(copy.json, "eos_token_id", eos);
	json_object_set_new(copy.json, "tie_word_embeddings", json_boolean(c->tied));
	json_object_set_new(b, "norms", json_string(bd_norms_name(c->norms)));
	json_object_set_new(b, "weights", json_string(c->ternary ? "ternary" : "full"));
	json_object_set_new(b, "eps", short_real(c->eps));
	json_object_set_new(b, "quantizer", json_string(BD_QUANTIZER));
	bd_free(copy.sliding);
	return copy.json;
}
