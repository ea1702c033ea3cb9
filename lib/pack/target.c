/* Which student can run where. The facts are those of the loaders: llama.cpp and its relatives refuse a file
 * that has one tensor more or less than its architecture requires, and compute what the architecture says,
 * whatever the file was made from. */
#include "pack/target.h"

#include "base/mem.h"
#include "format/gguf_ternary.h"
#include "model/ckpt.h"
#include "model/family.h"
#include "model/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TARGET(id, name, runtime) [id] = {name, runtime},

static const struct {
	const char *name, *runtime;
} targets[BD_TARGETS] = {BD_TARGET_LIST(TARGET)};

const char *bd_target_name(enum bd_target t)
{
	return targets[t].name;
}

bool bd_target_find(const char *name, enum bd_target *t)
{
	for (int i = 0; i < BD_TARGETS; i++)
		if (strcmp(name, targets[i].name) == 0) {
			*t = (enum bd_target)i;
			return true;
		}
	return false;
}

size_t bd_target_types(enum bd_target t, enum bd_ggml_type type[BD_TERNARIES])
{
	size_t rows, n = 0;
	const struct bd_ggml *row = bd_ggml_rows(&rows);

	for (int rank = 1; rank <= BD_TERNARIES; rank++)
		for (size_t i = 0; i < rows; i++)
			if (row[i].rank[t] == rank)
				type[n++] = row[i].id;
	return n;
}

/* ---- architectures ---- */

/* llama.cpp's YaRN has the usual constants built in. */
static bool usual_yarn(const struct bd_rope *r)
{
	return r->high == 32 && r->low == 1 && r->truncate &&
	       fabs(r->attention - (0.1 * log(r->factor) + 1)) < 1e-6;
}

/* Rope scaling that keys (or, with freqs, llama3's tensor) can express. */
static char *rope_misfit(const struct bd_layout *l, const struct bd_config *c, bool freqs)
{
	const struct bd_rope *r = &c->rope;

	if (r->kind == BD_ROPE_LLAMA3 && !freqs)
		return bd_sprintf("architecture %s of %s does not support llama3 rope scaling; give the "
		                  "student plain rope before it is trained",
		                  l->arch, targets[l->target].runtime);
	if (r->kind == BD_ROPE_YARN && !usual_yarn(r))
		return bd_sprintf("%s supports YaRN only with its usual constants",
		                  targets[l->target].runtime);
	return NULL;
}

/* Architecture bitnet: the only one with SubLN in llama.cpp and ik_llama.cpp. bitnet-b1.58 is
 * ik's, with ReLU^2. */
static char *bitnet(struct bd_layout *l, const struct bd_config *c)
{
	const char *runtime = targets[l->target].runtime;
	bool relu2 = l->target == BD_TARGET_IK && c->act == BD_RELU2;

	strcpy(l->arch, relu2 ? "bitnet-b1.58" : "bitnet");
	if (c->norms == BD_NORMS_ALL)
		return bd_sprintf(
		    "no architecture of %s has slots for a norm on the input of every linear layer", runtime);
	if (c->qk_norm || c->post_norms)
		return bd_sprintf("SubLN: the only architecture of %s with slots for it, bitnet, has none "
		                  "for q and k norms",
		                  runtime);
	if (c->attn_bias || c->mlp_bias)
		return bd_sprintf(
		    "SubLN: the only architecture of %s with slots for it, bitnet, has no biases", runtime);
	if (c->heads * c->head_dim != c->hidden)
		return bd_sprintf(
		    "architecture %s of %s needs heads x head size = hidden size; here %d x %d and %d",
		    l->arch, runtime, c->heads, c->head_dim, c->hidden);
	if (c->act != (relu2 ? BD_RELU2 : BD_SILU))
		return bd_sprintf("architecture %s of %s computes silu, but this student needs %s", l->arch,
		                  runtime, bd_act_name(c->act));
	if (!c->tied && !relu2)
		return bd_sprintf("architecture %s of %s has no separate head; tie the head to the embedding "
		                  "before training",
		                  l->arch, runtime);
	return rope_misfit(l, c, relu2);
}

/* Gemma 3's layers as its architecture has them built in: five that slide, one that does not. */
static char *gemma3(const struct bd_layout *l, const struct bd_config *c)
{
	const char *runtime = targets[l->target].runtime;

	for (int i = 0; i < c->layers; i++)
		if (c->window == 0 || c->sliding[i] != ((i + 1) % 6 != 0))
			return bd_sprintf(
			    "%s uses sliding attention in five of six layers, but this student in others",
			    runtime);
	if (fabs((double)c->attn_scale * sqrt(c->head_dim) - 1) > 1e-6)
		return bd_sprintf("%s scales attention by head size^-1/2, but this student by %g", runtime,
		                  (double)c->attn_scale);
	if (c->rope_local.kind != BD_ROPE_DEFAULT)
		return bd_sprintf("%s does not scale the rope of sliding layers", runtime);
	return NULL;
}

/* The family's own architecture. */
static char *native(struct bd_layout *l, const struct bd_config *c)
{
	const char *runtime = targets[l->target].runtime;
	const struct bd_family_row *f = bd_family_row(c->family);

	snprintf(l->arch, sizeof(l->arch), "%s", f->gguf);
	l->pairs = strcmp(f->gguf, "llama") == 0;
	if (c->act != f->act)
		return bd_sprintf("architecture %s of %s does not compute %s", l->arch, runtime,
		                  bd_act_name(c->act));
	if (c->attn_bias && !l->pairs && !f->qkv_bias)
		return bd_sprintf("architecture %s of %s has no biases", l->arch, runtime);
	if (c->window > 0 && !f->gemma)
		return bd_sprintf("architecture %s of %s has no sliding layers", l->arch, runtime);
	char *why = f->gemma ? gemma3(l, c) : NULL;
	return why != NULL ? why : rope_misfit(l, c, l->pairs);
}

/* bitnet.cpp of July 2026: qwen3 and gemma3 have a norm on every linear's input, if the file has it. Its
 * qwen3 uses that of down only if gate has one, hence the fold. */
static char *bitnet_cpp(struct bd_layout *l, const struct bd_config *c)
{
	bool modern = c->family == BD_QWEN3 || c->family == BD_GEMMA3;

	if (c->family == BD_QWEN2)
		return bd_strdup(
		    c->norms == BD_NORMS_NONE
		        ? "bitnet.cpp computes I2_S only in its architectures qwen3, gemma3, llama and bitnet"
		        : "no architecture of bitnet.cpp has both biases and SubLN");
	if (!modern && c->norms != BD_NORMS_NONE)
		return bitnet(l, c);
	l->norm_in = modern;
	l->folded = c->family == BD_QWEN3 && c->norms == BD_NORMS_SUBLN;
	return native(l, c);
}

/* Rows that a type without padding can hold, and what ik's kernels also require. */
static bool row_fits(enum bd_target t, enum bd_ggml_type type, size_t cols)
{
	return t == BD_TARGET_BD || (cols % bd_ggml_block(type) == 0 && (t != BD_TARGET_IK || cols >= 512));
}

/* The first linear whose rows the type cannot hold, or BD_LINS. */
static enum bd_lin misfit(const struct bd_config *c, enum bd_target t, enum bd_ggml_type type)
{
	enum bd_lin i = BD_LIN_Q;

	while (i < BD_LINS && row_fits(t, type, bd_lin_in(c, i)))
		i++;
	return i;
}

/* "attn_q" of "blk.%d.attn_q.weight". */
static char *short_name(enum bd_lin i)
{
	const char *name = bd_slot_info(BD_W + i)->gguf + strlen("blk.%d.");

	return bd_strndup(name, strlen(name) - strlen(".weight"));
}

/* The target's types that fit, the preferred one first; returns how many. */
static size_t fitting(const struct bd_config *c, enum bd_target t, enum bd_ggml_type type[BD_TERNARIES])
{
	size_t all = bd_target_types(t, type), n = 0;

	for (size_t i = 0; i < all; i++)
		if (misfit(c, t, type[i]) == BD_LINS)
			type[n++] = type[i];
	return n;
}

/* "; types that fit: i2_s q2_0", or nothing. */
static char *advice(const struct bd_config *c, enum bd_target t)
{
	enum bd_ggml_type type[BD_TERNARIES];
	size_t n = fitting(c, t, type);
	struct bd_buf b = {0};

	bd_buf_str(&b, n > 0 ? "; types that fit:" : "");
	for (size_t i = 0; i < n; i++)
		bd_buf_fmt(&b, " %s", bd_ggml(type[i])->word);
	return b.p;
}

char *bd_target_misfit(const struct bd_config *c, enum bd_target t, enum bd_ggml_type type)
{
	enum bd_lin bad = misfit(c, t, type);
	char *fit, *lin, *text;
	bool known = bd_ggml(type)->rank[t] > 0;
	const char *word = bd_ggml(type)->word;
	size_t cols;

	if (known && bad == BD_LINS)
		return NULL;
	fit = advice(c, t);
	if (!known) {
		text = bd_sprintf("%s does not support %s%s", targets[t].runtime, word, fit);
		bd_free(fit);
		return text;
	}
	lin = short_name(bad);
	cols = bd_lin_in(c, bad);
	if (cols % bd_ggml_block(type) == 0)
		text = bd_sprintf("%s has rows of %zu, but %s computes %s only in rows of 512 or more%s", lin,
		                  cols, targets[t].runtime, word, fit);
	else
		text = bd_sprintf("%s has rows of %zu, but %s stores only multiples of %zu%s", lin, cols,
		                  word, bd_ggml_block(type), fit);
	bd_free(lin);
	bd_free(fit);
	return text;
}

char *bd_target_type(const struct bd_config *c, enum bd_target t, enum bd_ggml_type *type)
{
	enum bd_ggml_type list[BD_TERNARIES];

	if (fitting(c, t, list) == 0) {
		bd_target_types(t, list);
		return bd_target_misfit(c, t, list[0]);
	}
	*type = list[0];
	return NULL;
}

char *bd_target_layout(struct bd_layout *l, const struct bd_config *c, enum bd_target t)
{
	char *why = NULL;

	*l = (struct bd_layout){
	    .target = t, .padded = t == BD_TARGET_BD, .scales = t == BD_TARGET_BD || t == BD_TARGET_STOCK};
	if (t == BD_TARGET_BD)
		/* A name of our own: a runtime that knows the family, but neither SubLN nor the padding, must
		 * not mistake the file for its own. */
		snprintf(l->arch, sizeof(l->arch), "bd-%s", bd_family_name(c->family));
	else if (t == BD_TARGET_BITNET_CPP)
		why = bitnet_cpp(l, c);
	else if (t != BD_TARGET_HF)
		why = c->norms == BD_NORMS_NONE ? native(l, c) : bitnet(l, c);
	l->freqs = t != BD_TARGET_BD && c->rope.kind == BD_ROPE_LLAMA3;
	return why;
}

/* ---- names and order ---- */

void bd_layout_name(const struct bd_layout *l, enum bd_slot s, int layer, char *out, size_t n)
{
	if (l->norm_in && s == BD_SUBLN + BD_LIN_O)
		snprintf(out, n, "blk.%d.attn_output_norm_in.weight", layer);
	else if (l->norm_in && s == BD_SUBLN + BD_LIN_DOWN)
		snprintf(out, n, "blk.%d.ffn_down_norm_in.weight", layer);
	else
		bd_slot_gguf_name(l->folded && s == BD_FFN_NORM ? BD_SUBLN + BD_LIN_GATE : s, layer, out, n);
}

size_t bd_layout_row(const struct bd_layout *l, enum bd_slot s, size_t r, size_t D)
{
	bool turned = s == BD_W + BD_LIN_Q || s == BD_W + BD_LIN_K || s == BD_BIAS + BD_LIN_Q ||
	              s == BD_BIAS + BD_LIN_K;

	if (!l->pairs || !turned)
		return r;
	return r / D * D + r % 2 * (D / 2) + r % D / 2;
}

/* ---- the promise ---- */

/* A GGUF target: architecture and types; or the reason why not, which the caller frees. */
static char *describe(json_t *o, const struct bd_config *c, enum bd_target t)
{
	json_t *list = json_array();
	enum bd_ggml_type type, fit[BD_TERNARIES];
	size_t n = fitting(c, t, fit);
	struct bd_layout l;
	char *why = bd_target_layout(&l, c, t);

	if (why == NULL)
		why = bd_target_type(c, t, &type);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(bd_ggml(fit[i])->word));
	if (why == NULL)
		json_object_update_new(o, json_pack("{s:s, s:O}", "arch", l.arch, "types", list));
	json_decref(list);
	return why;
}

/* transformers: the formats that are possible. */
static char *describe_hf(json_t *o, const struct bd_ckpt *k)
{
	static const char *const forms[] = {BD_HF_FORM_LIST(BD_WORD_TEXT)};
	json_t *list = json_array();
	char *why = NULL;

	for (int form = BD_HF_ONLINE; form <= BD_HF_OFFLINE; form++) {
		char *no =
		    bd_hf_why_not(k, &(struct bd_hf_opt){.form = (enum bd_hf_form)form, .force = true});

		if (no == NULL)
			json_array_append_new(list, json_string(forms[form]));
		bd_free(why);
		why = no;
	}
	if (json_array_size(list) > 0) {
		bd_free(why);
		why = NULL;
		json_object_set(o, "types", list);
	}
	json_decref(list);
	return why;
}

static json_t *list_one(const struct bd_ckpt *k, enum bd_target t)
{
	json_t *o = json_pack("{s:s}", "target", targets[t].name);
	char *why = t == BD_TARGET_HF ? describe_hf(o, k) : describe(o, bd_ckpt_config(k), t);

	json_object_set_new(o, "possible", json_boolean(why == NULL));
	if (why != NULL)
		json_object_set_new(o, "reason", json_string(why));
	bd_free(why);
	return o;
}

json_t *bd_target_list(const struct bd_ckpt *k)
{
	json_t *list = json_array();

	for (int t = 0; t < BD_TARGETS; t++)
		json_array_append_new(list, list_one(k, (enum bd_target)t));
	return list;
}
