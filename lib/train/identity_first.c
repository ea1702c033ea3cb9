#include "train/identity_first.h"

#include "base/mem.h"

#include <inttypes.h>

void bd_identity_first(char digest[BD_HEX], const struct bd_train *t, const struct bd_objective *o,
                       const struct bd_model *m, const struct bd_stream_head *h)
{
	struct bd_buf b = {0};

	bd_buf_fmt(&b, "%s %s %s %u ternary=%d dtype=%d ", m->digest, h->tokenizer, h->teacher_digest,
	           h->top_k, m->cfg.ternary, (int)t->dtype);
	bd_buf_fmt(&b, "%s %.17g %" PRId64 " %" PRId64 " shuffle=%d seed=%" PRId64 " ", t->stage, t->epochs,
	           t->steps, t->tokens, t->shuffle, t->common.seed);
	bd_buf_fmt(&b, "batch %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " ", t->batch, t->batch_tokens,
	           t->accum, t->micro_tokens);
	bd_buf_fmt(&b, "lr %.17g %.17g %d adam %.17g %.17g %.17g %.17g %.17g ", t->lr, t->warmup,
	           (int)t->sched, t->decay, t->beta1, t->beta2, t->eps, t->clip);
	bd_buf_fmt(&b, "eval %s %" PRId64 " ", t->eval != NULL ? t->eval : "", t->eval_every);
	bd_buf_fmt(&b, "loss %.17g %.17g %.17g %.17g %.17g ", t->ce, t->lambda, t->gamma, t->lambda_ratio,
	           t->gamma_ratio);
	bd_buf_fmt(&b, "kd %.17g %d %d %.17g ", t->tau, t->no_tau2, (int)t->objective, t->cakld_beta);
	bd_buf_fmt(&b, "ad %zu %.17g %d %d %d%d%d %d %d", o->heads, t->relation_temp, (int)t->relation,
	           (int)t->relation_norm, o->states[0], o->states[1], o->states[2], o->layer, h->layer);
	bd_hash128_hex(b.p, b.n, digest);
	bd_buf_free(&b);
}
