#include "train/identity.h"

#include "base/opt_identity.h"
#include "train/identity_first.h"

#include <inttypes.h>

/* What no row of the tables says: the inputs, what options were resolved to, and what has no option. */
static void add_facts(struct bd_buf *b, const struct bd_train *t, const struct bd_objective *o,
                      const struct bd_model *m, const struct bd_stream_head *h)
{
	bd_buf_fmt(b, "stage %s\nmodel %s\ntokenizer %s\nteacher %s %u layer %d\n", t->stage, m->digest,
	           h->tokenizer, h->teacher_digest, h->top_k, h->layer);
	if (h->sample > 0)
		bd_buf_fmt(b, "sample %u\n", h->sample);
	if (h->logits && h->vocab != (uint32_t)m->cfg.vocab)
		bd_buf_fmt(b, "common %zu\n", o->common);
	bd_buf_fmt(b, "ternary %d\nseed %" PRId64 "\neps %.17g\n", m->cfg.ternary, t->common.seed, t->eps);
	bd_buf_fmt(b, "states %d%d%d heads %zu layer %d\n", o->states[0], o->states[1], o->states[2],
	           o->heads, o->layer);
}

struct bd_identity bd_identity_of(const struct bd_train *t, const struct bd_objective *o,
                                  const struct bd_model *m, const struct bd_stream_head *h)
{
	struct bd_train copy = *t;
	const struct bd_opt rows[] = {BD_TRAIN_OPTIONS(copy), BD_DISTILL_OPTIONS(copy), {0}};
	struct bd_identity i;
	struct bd_buf b = {0};

	bd_opt_identity(&b, rows);
	add_facts(&b, t, o, m, h);
	bd_hash128_hex(b.p, b.n, i.digest);
	bd_buf_free(&b);
	bd_identity_first(i.first, t, o, m, h);
	return i;
}

const char *bd_identity_digest(const struct bd_identity *i, int64_t version)
{
	return version == 1 ? i->first : i->digest;
}
