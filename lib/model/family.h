/* THE table of model families: what a model_type implies, and its defaults where config.json says nothing. */
#ifndef BD_FAMILY_H
#define BD_FAMILY_H

#include "model/config.h"

/* Which layers slide if layer_types does not say it: none; from max_window_layers on, if use_sliding_window;
 * all but each sliding_window_pattern-th. */
enum bd_slides { BD_SLIDES_NONE, BD_SLIDES_FROM, BD_SLIDES_BUT };

struct bd_family_row {
	const char *name; /* model_type */
	const char *gguf; /* llama.cpp's architecture */
	const char *act_key;
	enum bd_act act;
	int head_dim;        /* 0: hidden / heads */
	double theta, local; /* bases of rope; local, of sliding layers, 0: the same */
	double eps;
	bool tied, qk_norm;
	/* norms behind attention and ffn, gains stored less one, scaled embeddings, query_pre_attn_scalar */
	bool gemma;
	bool qkv_bias;       /* always, and on q, k, v only; else as attention_bias says */
	bool mlp_bias;       /* if mlp_bias says so */
	enum bd_norms norms; /* that it always has */
	enum bd_slides slides;
};
const struct bd_family_row *bd_family_row(enum bd_family f);

#endif
