#include "train/dry_run.h"

#include "train/memory.h"

#include <inttypes.h>
#include <stdio.h>

static double mib(size_t bytes)
{
	return (double)bytes / 1048576;
}

static void print_item(const char *name, size_t bytes)
{
	if (bytes > 0)
		printf(", %s %.0f", name, mib(bytes));
}

static void print_memory(const struct bd_memory *y, size_t params)
{
	printf("memory       %.0f MiB: parameters %.0f, gradients %.0f, moments %.0f",
	       mib(bd_memory_total(y)), mib(params), mib(y->gradients), mib(y->moments));
	print_item("quantised", y->quantised);
	print_item("best", y->best);
	print_item("activations", y->activations);
	print_item("logits", y->logits);
	print_item("evaluation", y->evaluation);
	print_item("records", y->records);
	print_item("program", y->process - (params < y->process ? params : y->process) + y->other);
	printf("\n             for micro-batches of %zu tokens at most, the largest of the first %zu steps\n",
	       y->tokens, y->steps);
}

static void print_model(const struct bd_train *t, const struct bd_model *m, size_t linear)
{
	const struct bd_config *c = &m->cfg;
	size_t tables = (c->tied ? 1 : 2) * (size_t)c->vocab * (size_t)c->hidden;

	printf("model        %s, %d layers, %s linears\n", t->model, c->layers,
	       c->ternary ? "ternary" : "dense");
	printf("parameters   %zu, %zu of them in linears, %zu in %s\n", m->n, linear, tables,
	       c->tied ? "the tied embedding" : "embedding and head");
}

static void print_length(const struct bd_plan *p, const struct bd_feed *f)
{
	static const char *const unit[] = {"steps", "tokens", "examples"};

	if (p->total > 0)
		printf("length       %" PRId64 " %s", p->total, unit[p->unit]);
	else
		printf("length       to the end of the input");
	if (bd_feed_total(f) > 0)
		printf(" (%" PRIu64 " examples)", bd_feed_total(f));
	printf("\n");
}

static void print_losses(const struct bd_train *t, const struct bd_objective *o)
{
	printf("loss         %g CE", t->ce);
	if (o->ld)
		printf(" + LD of the %s positions", o->head->all_positions ? "teacher's" : "answer");
	if (o->ad)
		printf(" + AD of layer %d to the teacher's %d, %zu heads", o->layer, o->head->layer,
		       o->heads);
	printf("\n");
}

void bd_dry_run(const struct bd_train *t, const struct bd_plan *p, struct bd_model *m, struct bd_feed *f)
{
	struct bd_memory y = bd_memory_of(t, p, m, f);
	size_t linear = 0;

	for (size_t i = 0; i < m->n_param; i++)
		if (bd_slot_info(m->param[i].slot)->kind == BD_KIND_LINEAR)
			linear += m->param[i].rows * m->param[i].cols;
	print_model(t, m, linear);
	print_memory(&y, m->n * sizeof(float));
	printf(
	    "work         %.1f MFLOP per token, and %.1f per position with logits (forward and backward)\n",
	    6e-6 * (double)linear, 6e-6 * (double)m->cfg.vocab * (double)m->cfg.hidden);
	printf("step         %" PRId64 " x %" PRId64 " %s\n", t->accum,
	       t->batch_tokens > 0 ? t->batch_tokens : t->batch,
	       t->batch_tokens > 0 ? "tokens" : "sequences");
	print_length(p, f);
	print_losses(t, &p->o);
}
