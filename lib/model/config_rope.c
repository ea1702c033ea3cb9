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
	const char *old = bd_json_str(p, "type", "default", name),
	           *s = bd_json_str(p, "rope_type", old, name);

	if (bd_json_get(p, "type") != NULL && strcmp(old, s) != 0)
		bd_die(BD_DATA, "%s: rope_type \"%s\" and type \"%s\" of the same rope differ; remove one",
		       name, s, old);
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

/* j[key], an object of parameters; NULL: absent, or says nothing. */
static const json_t *parameters(const json_t *j, const char *key, const char *name)
{
	const json_t *p = bd_json_get(j, key);

	if (p != NULL && !json_is_object(p))
		bd_die(BD_DATA, "%s: \"%s\" is not an object", name, key);
	return json_object_size(p) > 0 ? p : NULL;
}

static void check_nested(const json_t *p, const char *key, bool wanted, const char *name)
{
	bool nested = bd_json_get(p, FULL) != NULL || bd_json_get(p, SLIDING) != NULL;

	if (p != NULL && nested != wanted)
		bd_die(BD_DATA, "%s: %s %s entries for " FULL " and " SLIDING, name, key,
		       nested ? "must not have" : "must have");
}

/* The base of rope_parameters where another one counts: refused if that would be a default. */
static void check_theta(const struct bd_config *c, const json_t *j, const json_t *p, const json_t *scaling,
                        const char *name)
{
	bool said = bd_json_get(j, "rope_theta") != NULL || bd_json_get(scaling, "rope_theta") != NULL;
	double top = bd_json_real(j, "rope_theta", bd_family_row(c->family)->theta, name),
	       of_p = bd_json_real(p, "rope_theta", top, name),
	       used = scaling != NULL ? bd_json_real(scaling, "rope_theta", top, name) : of_p;

	if (scaling != NULL && !said && of_p != used)
		bd_die(
		    BD_DATA,
		    "%s: rope_scaling takes the place of rope_parameters, with which rope_theta %g would be "
		    "lost; put it into rope_scaling, and remove rope_parameters",
		    name, of_p);
	if (of_p != used || (of_p != top && bd_json_get(j, "rope_theta") != NULL))
		bd_warn("%s: has more than one rope_theta; %g is used", name, used);
}

/* The full layers' parameters where sliding layers have others: rope_scaling is added to them. */
static json_t *full_parameters(const json_t *p, const json_t *scaling)
{
	json_t *full = json_object();

	json_object_update(full, (json_t *)bd_json_get(p, FULL));
	json_object_update(full, (json_t *)scaling);
	return full;
}

/* Of a config in both dialects, what transformers 5 uses (modeling_rope_utils.py and
 * configuration_gemma3.py): rope_scaling before rope_parameters. */
void bd_config_read_rope(struct bd_config *c, const json_t *j, const char *name)
{
	double local = bd_family_row(c->family)->local;
	double theta = positive(j, "rope_theta", bd_family_row(c->family)->theta, name);
	const json_t *p = parameters(j, "rope_parameters", name),
	             *scaling = parameters(j, "rope_scaling", name);

	check_nested(p, "rope_parameters", local > 0, name);
	check_nested(scaling, "rope_scaling", false, name);
	if (local > 0) {
		json_t *full = full_parameters(p, scaling);

		c->rope = read_one(full, j, theta, c->context, name);
		c->rope_local = read_one(bd_json_get(p, SLIDING), j,
		                         positive(j, "rope_local_base_freq", local, name), c->context, name);
		json_decref(full);
		return;
	}
	check_theta(c, j, p, scaling, name);
	c->rope = read_one(scaling != NULL ? scaling : p, j, theta, c->context, name);
	c->rope_local = c->rope;
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
