/* Rotary parameters. transformers v4 has rope_theta beside rope_scaling (and rope_local_base_freq), v5 keeps
 * everything in rope_parameters, by layer type where the layers differ. Old files say "type" for "rope_type".
 */
#include "model/config_rope.h"

#include "base/msg.h"
#include "model/family.h"

#include <math.h>
#include <string.h>

#define ORIGINAL "original_max_position_embeddings"
#define FULL     "full_attention"
#define SLIDING  "sliding_attention"

static const char *const kinds[] = {[BD_ROPE_DEFAULT] = "default",
                                    [BD_ROPE_LINEAR] = "linear",
                                    [BD_ROPE_LLAMA3] = "llama3",
                                    [BD_ROPE_YARN] = "yarn"};

const char *bd_rope_name(enum bd_rope_kind k)
{
	return kinds[k];
}

static double positive(const json_t *obj, const char *key, double def, const char *name)
{
	double v = bd_json_real(obj, key, def, name);

	if (!(v > 0) || !isfinite(v))
		bd_die(BD_DATA, "%s: \"%s\" is missing or not positive", name, key);
	return v;
}

static enum bd_rope_kind kind_of(const json_t *p, const char *name)
{
	const char *s =
	    bd_json_str(p, bd_json_get(p, "rope_type") != NULL ? "rope_type" : "type", "default", name);

	for (int i = 0; i <= BD_ROPE_YARN; i++)
		if (strcmp(s, kinds[i]) == 0)
			return (enum bd_rope_kind)i;
	bd_die(BD_DATA, "%s: rope_type \"%s\" is not supported; supported are: default, linear, llama3, yarn",
	       name, s);
}

/* YaRN, arXiv 2309.00071, eq. 22: 0.1 m ln(factor) + 1. */
static double mscale(double factor, double m)
{
	return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

static void read_yarn(struct bd_rope *r, const json_t *p, const char *name)
{
	double m = bd_json_real(p, "mscale", 0, name), all = bd_json_real(p, "mscale_all_dim", 0, name);

	r->high = positive(p, "beta_fast", 32, name);
	r->low = positive(p, "beta_slow", 1, name);
	r->truncate = bd_json_bool(p, "truncate", true, name);
	r->attention =
	    m != 0 && all != 0 ? mscale(r->factor, m) / mscale(r->factor, all) : mscale(r->factor, 1);
	r->attention = positive(p, "attention_factor", r->attention, name);
	if (r->high < r->low || r->theta <= 1)
		bd_die(BD_DATA, "%s: yarn needs a beta_fast not below beta_slow, and a rope_theta above 1",
		       name);
}

/* One set from p ("rope_type", "factor", ...; NULL: default); j is the whole config. */
static struct bd_rope read_one(const json_t *p, const json_t *j, double theta, int context, const char *name)
{
	struct bd_rope r = {
	    .kind = kind_of(p, name), .factor = 1, .low = 1, .high = 1, .original = 1, .attention = 1};

	r.theta = positive(p, "rope_theta", theta, name);
	if (bd_json_real(p, "partial_rotary_factor", 1, name) != 1 || bd_json_get(p, "mrope_section") != NULL)
		bd_die(BD_DATA,
		       "%s: rope over a part of the head (partial_rotary_factor, mrope_section) is not "
		       "supported",
		       name);
	if (r.kind == BD_ROPE_DEFAULT)
		return r;
	r.factor = positive(p, "factor", 0, name);
	if (r.kind == BD_ROPE_LINEAR)
		return r;
	/* In transformers, the key of the whole config takes precedence. */
	r.original = positive(bd_json_get(j, ORIGINAL) != NULL ? j : p, ORIGINAL,
	                      r.kind == BD_ROPE_YARN ? context : 0, name);
	if (r.kind == BD_ROPE_YARN) {
		read_yarn(&r, p, name);
		return r;
	}
	r.low = positive(p, "low_freq_factor", 0, name);
	r.high = positive(p, "high_freq_factor", 0, name);
	if (r.high <= r.low)
		bd_die(BD_DATA, "%s: high_freq_factor must be above low_freq_factor", name);
	return r;
}

void bd_config_read_rope(struct bd_config *c, const json_t *j, const char *name)
{
	double local = bd_family_row(c->family)->local;
	const json_t *p = bd_json_get(j, "rope_parameters"),
	             *scaling = p != NULL ? p : bd_json_get(j, "rope_scaling");
	const json_t *full = bd_json_get(p, FULL), *sliding = bd_json_get(p, SLIDING);
	bool nested = full != NULL || sliding != NULL;

	if (p != NULL && nested != (local > 0))
		bd_die(BD_DATA, "%s: rope_parameters %s entries for " FULL " and " SLIDING, name,
		       nested ? "must not have" : "must have");
	double theta = positive(j, "rope_theta", bd_family_row(c->family)->theta, name);
	c->rope = read_one(nested ? full : scaling, j, theta, c->context, name);
	c->rope_local = c->rope;
	if (local > 0)
		c->rope_local =
		    read_one(sliding, j, positive(j, "rope_local_base_freq", local, name), c->context, name);
}

/* ---- writing ---- */

static json_t *rope_json(const struct bd_rope *r)
{
	json_t *p = json_pack("{s:f, s:s}", "rope_theta", r->theta, "rope_type", kinds[r->kind]);

	if (r->kind != BD_ROPE_DEFAULT)
		json_object_set_new(p, "factor", json_real(r->factor));
	if (r->kind == BD_ROPE_LLAMA3) {
		json_object_set_new(p, "low_freq_factor", json_real(r->low));
		json_object_set_new(p, "high_freq_factor", json_real(r->high));
	} else if (r->kind == BD_ROPE_YARN) {
		json_object_set_new(p, "beta_fast", json_real(r->high));
		json_object_set_new(p, "beta_slow", json_real(r->low));
		if (r->attention != mscale(r->factor, 1))
			json_object_set_new(p, "attention_factor", json_real(r->attention));
		json_object_set_new(p, "truncate", json_boolean(r->truncate));
	}
	if (r->kind == BD_ROPE_LLAMA3 || r->kind == BD_ROPE_YARN)
		json_object_set_new(p, ORIGINAL, json_integer((json_int_t)r->original));
	return p;
}

void bd_config_write_rope(const struct bd_config *c, json_t *j)
{
	json_t *p = rope_json(&c->rope),
	       *scaling = c->rope.kind == BD_ROPE_DEFAULT ? json_null() : json_deep_copy(p);

	json_object_del(scaling, "rope_theta"); /* nothing for null */
	json_object_set_new(j, "rope_theta", json_real(c->rope.theta));
	json_object_set_new(j, "rope_scaling", scaling);
	if (bd_family_row(c->family)->local > 0) {
		json_object_set_new(j, "rope_local_base_freq", json_real(c->rope_local.theta));
		p = json_pack("{s:o, s:o}", FULL, p, SLIDING, rope_json(&c->rope_local));
	}
	json_object_set_new(j, "rope_parameters", p);
}
