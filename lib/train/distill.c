/* One micro-batch: records become a batch of sequences, the wanted positions get logits chunk by chunk, and
 * every loss leaves its gradient where backward starts or passes by. */
#include "train/distill.h"

#include "base/mem.h"
#include "machine/quant.h"
#include "math/adamw.h"
#include "math/loss.h"

#include <math.h>
#include <string.h>

/* A position whose logits are wanted: hidden row `row` predicts token y. */
struct position {
	size_t row;
	uint32_t y;
	bool target, ld;
	const struct bd_record *r;
	size_t j; /* of the teacher's logits of r */
};

struct bd_distill {
	struct bd_objective o;
	struct bd_net *net;
	size_t V, C, chunk, threads;
	size_t width[3]; /* of the student's q, k, v */
	struct bd_batch batch;
	struct position *pos;
	size_t n_pos;
	float *dh;    /* [T,C] */
	float *ds[3]; /* [T,width] */
	size_t cap_start, cap_ids, cap_pos, cap_dh, cap_ds[3], cap_scratch, cap_term;
	float *z, *dz;        /* [chunk,V] */
	size_t *row;          /* [chunk] */
	float **scratch;      /* [threads] of cap_scratch floats */
	struct bd_sums *term; /* one for each position of a chunk, or each relation */
};

size_t bd_distill_chunk(size_t vocab)
{
	size_t fit = ((size_t)1 << 24) / vocab; /* 64 MiB of f32 */

	return fit < 64 ? 64 : fit > 512 ? 512 : fit;
}

struct bd_distill *bd_distill_new(const struct bd_objective *o, struct bd_net *net)
{
	struct bd_distill *d = bd_zalloc(1, sizeof(*d));
	size_t D = (size_t)net->cfg.head_dim;

	d->o = *o;
	d->net = net;
	d->V = (size_t)net->cfg.vocab;
	d->C = (size_t)net->cfg.hidden;
	d->chunk = bd_distill_chunk(d->V);
	d->threads = (size_t)bd_par_threads(net->par);
	d->width[0] = (size_t)net->cfg.heads * D;
	d->width[1] = d->width[2] = (size_t)net->cfg.kv_heads * D;
	d->z = bd_alloc(bd_mul(d->chunk, d->V), sizeof(*d->z));
	d->dz = bd_alloc(bd_mul(d->chunk, d->V), sizeof(*d->dz));
	d->row = bd_alloc(d->chunk, sizeof(*d->row));
	d->scratch = bd_zalloc(d->threads, sizeof(*d->scratch));
	return d;
}

void bd_distill_free(struct bd_distill *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->threads; i++)
		bd_free(d->scratch[i]);
	for (int i = 0; i < 3; i++)
		bd_free(d->ds[i]);
	bd_free(d->scratch);
	bd_free(d->batch.start);
	bd_free(d->batch.ids);
	bd_free(d->pos);
	bd_free(d->dh);
	bd_free(d->z);
	bd_free(d->dz);
	bd_free(d->row);
	bd_free(d->term);
	bd_free(d);
}

/* Room for n elements; what was there is lost. */
static void *reach(void *p, size_t *cap, size_t n, size_t size)
{
	if (n <= *cap)
		return p;
	*cap = n + n / 4;
	bd_free(p);
	return bd_alloc(*cap, size);
}

static void reach_scratch(struct bd_distill *d, size_t n)
{
	if (n <= d->cap_scratch)
		return;
	d->cap_scratch = n + n / 4;
	for (size_t i = 0; i < d->threads; i++) {
		bd_free(d->scratch[i]);
		d->scratch[i] = bd_alloc(d->cap_scratch, sizeof(float));
	}
}

void bd_counts_add(struct bd_counts *c, const struct bd_objective *o, const struct bd_record *r)
{
	for (size_t i = 1; i < r->n; i++)
		c->targets += r->target[i];
	c->ld += o->ld ? r->positions : 0;
	c->rows += r->n;
}

/* ---- the batch ---- */

static void lay_batch(struct bd_distill *d, const struct bd_record *r, size_t n)
{
	struct bd_batch *b = &d->batch;
	size_t T = 0;

	for (size_t s = 0; s < n; s++)
		T += r[s].n;
	b->start = reach(b->start, &d->cap_start, n + 1, sizeof(*b->start));
	b->ids = reach(b->ids, &d->cap_ids, T, sizeof(*b->ids));
	d->pos = reach(d->pos, &d->cap_pos, T, sizeof(*d->pos));
	d->dh = reach(d->dh, &d->cap_dh, bd_mul(T, d->C), sizeof(*d->dh));
	memset(d->dh, 0, T * d->C * sizeof(*d->dh));
	b->n_seq = n;
	b->T = 0;
	for (size_t s = 0; s < n; s++) {
		b->start[s] = b->T;
		memcpy(b->ids + b->T, r[s].ids, r[s].n * sizeof(*b->ids));
		b->T += r[s].n;
	}
	b->start[n] = b->T;
}

static void list_positions(struct bd_distill *d, const struct bd_record *r, size_t n)
{
	bool all = d->o.ld && d->o.head->all_positions;

	d->n_pos = 0;
	for (size_t s = 0; s < n; s++) {
		size_t answer = 0;

		for (size_t i = 1; i < r[s].n; i++) {
			bool target = r[s].target[i];

			if (!target && !all)
				continue;
			d->pos[d->n_pos++] = (struct position){
			    .row = d->batch.start[s] + i - 1,
			    .y = r[s].ids[i],
			    .target = target,
			    .ld = d->o.ld,
			    .r = &r[s],
			    .j = all ? i - 1 : answer,
			};
			answer += target;
		}
	}
}

/* ---- losses at the logits ---- */

struct logits_job {
	struct bd_distill *d;
	const struct position *pos; /* of this chunk */
	const struct bd_mix *mix;
	float unit_ce, unit_ld;
};

/* LD of one position: the loss; its gradient is added to g[V]. */
static double ld_row(const struct logits_job *job, const struct position *p, float *g, const float *z,
                     float *scratch)
{
	const struct bd_distill *d = job->d;
	const struct bd_kern *k = d->net->kern;
	size_t K = d->o.head->top_k, at = p->j * (K ? K : d->V);
	const uint16_t *zt = p->r->z + at;

	if (d->o.kind == BD_OBJ_CAKLD)
		return bd_loss_cakld(k, g, z, zt, (float)job->mix->beta, job->unit_ld, 1, d->V, scratch);
	if (K)
		return bd_loss_kl_topk(k, g, z, zt, p->r->zi + at, p->r->zr + p->j, K, (float)d->o.tau,
		                       d->o.tau2, job->unit_ld, 1, d->V, scratch);
	return bd_loss_kl(k, g, z, zt, (float)d->o.tau, d->o.tau2, job->unit_ld, 1, d->V, scratch);
}

static void logits_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct logits_job *job = ctx;
	struct bd_distill *d = job->d;
	size_t V = d->V;
	float *scratch = d->scratch[slice], *g = scratch + 2 * V;
	float ce = (float)d->o.ce, lambda = (float)job->mix->lambda;

	for (size_t i = begin; i < end; i++) {
		const struct position *p = &job->pos[i];
		struct bd_sums *t = &d->term[i];
		float *z = d->z + i * V, *dz = d->dz + i * V;

		*t = (struct bd_sums){0};
		memset(dz, 0, V * sizeof(*dz));
		if (p->target) {
			t->ce = bd_loss_ce(d->net->kern, dz, z, &p->y, job->unit_ce, 1, V, scratch);
			t->ce2 = bd_sum_squares(dz, V);
		}
		if (ce != 1)
			for (size_t v = 0; v < V; v++)
				dz[v] *= ce;
		if (p->ld) {
			memset(g, 0, V * sizeof(*g));
			t->ld = ld_row(job, p, g, z, scratch);
			t->ld2 = bd_sum_squares(g, V);
			d->net->kern->axpy(dz, lambda, g, V);
		}
	}
}

static void add_terms(struct bd_sums *s, const struct bd_sums *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s->ce += t[i].ce;
		s->ld += t[i].ld;
		s->ad += t[i].ad;
		s->ce2 += t[i].ce2;
		s->ld2 += t[i].ld2;
		s->ad2 += t[i].ad2;
	}
}

/* d->dh and the head's gradient from the losses at the logits of h[T,C]. */
static void logits_losses(struct bd_distill *d, const float *h, const struct bd_counts *step,
                          const struct bd_mix *mix, float *dhead, struct bd_sums *s)
{
	struct logits_job job = {
	    .d = d,
	    .mix = mix,
	    .unit_ce = step->targets ? (float)(1 / (double)step->targets) : 0,
	    .unit_ld = step->ld ? (float)(1 / (double)step->ld) : 0,
	};

	reach_scratch(d, 3 * d->V);
	d->term = reach(d->term, &d->cap_term, d->chunk, sizeof(*d->term));
	for (size_t at = 0, P; at < d->n_pos; at += P) {
		P = d->n_pos - at < d->chunk ? d->n_pos - at : d->chunk;
		for (size_t i = 0; i < P; i++)
			d->row[i] = d->pos[at + i].row;
		job.pos = d->pos + at;
		bd_net_logits(d->net, d->z, h, d->row, P, true);
		bd_par_for(d->net->par, P, logits_slice, &job);
		add_terms(s, d->term, P);
		bd_net_logits_backward(d->net, d->dh, dhead, d->dz, h, d->row, P);
	}
}

/* ---- losses at the states ---- */

struct state_job {
	struct bd_distill *d;
	const struct bd_acts *acts;
	const struct bd_record *r;
	float unit;
	double gamma;
};

static struct bd_relation relation_of(const struct bd_distill *d, size_t n, int which)
{
	return (struct bd_relation){
	    .n = n,
	    .ws = d->width[which],
	    .wt = d->o.head->width[which],
	    .A = d->o.heads,
	    .temp = (float)d->o.relation_temp,
	    .cosine = d->o.cosine,
	};
}

/* Item 3 s + which: one state of one sequence. */
static void states_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct state_job *job = ctx;
	struct bd_distill *d = job->d;

	for (size_t i = begin; i < end; i++) {
		int which = (int)(i % 3);
		size_t s = i / 3, t = d->batch.start[s], n = d->batch.start[s + 1] - t, w = d->width[which];
		struct bd_sums *sum = &d->term[i];

		*sum = (struct bd_sums){0};
		if (!d->o.states[which])
			continue;
		struct bd_relation rel = relation_of(d, n, which);
		float *ds = d->ds[which] + t * w;
		memset(ds, 0, n * w * sizeof(*ds));
		sum->ad = bd_loss_relation(d->net->kern, &rel, ds,
		                           bd_acts_state(job->acts, d->o.layer, which) + t * w,
		                           job->r[s].state[which], job->unit, d->scratch[slice]);
		sum->ad2 = bd_sum_squares(ds, n * w);
		for (size_t j = 0; j < n * w; j++)
			ds[j] *= (float)job->gamma;
	}
}

double bd_distill_ad_unit(const struct bd_objective *o, const struct bd_counts *step)
{
	double A = (double)o->heads;

	return 1 / (A * (o->code_norm ? A : 1) * (double)step->rows);
}

static void state_losses(struct bd_distill *d, const struct bd_acts *acts, const struct bd_record *r,
                         const struct bd_counts *step, const struct bd_mix *mix, struct bd_sums *s)
{
	size_t n = 3 * d->batch.n_seq, longest = 0;
	struct state_job job = {d, acts, r, (float)bd_distill_ad_unit(&d->o, step), mix->gamma};

	for (size_t i = 0; i < d->batch.n_seq; i++)
		longest = r[i].n > longest ? r[i].n : longest;
	for (int which = 0; which < 3; which++) {
		struct bd_relation rel = relation_of(d, longest, which);

		reach_scratch(d, bd_loss_relation_scratch(&rel));
		d->ds[which] = reach(d->ds[which], &d->cap_ds[which], bd_mul(d->batch.T, d->width[which]),
		                     sizeof(float));
	}
	d->term = reach(d->term, &d->cap_term, n, sizeof(*d->term));
	bd_par_for(d->net->par, n, states_slice, &job);
	add_terms(s, d->term, n);
}

/* ---- the micro-batch ---- */

void bd_distill_run(struct bd_distill *d, struct bd_acts *a, const struct bd_record *r, size_t n,
                    const struct bd_counts *step, const struct bd_mix *mix, const struct bd_model *m,
                    float *grad, struct bd_sums *s)
{
	const struct bd_param *head = bd_model_param(m, m->cfg.tied ? BD_EMBED : BD_HEAD, -1);
	struct bd_state_grad sg = {.layer = -1};

	lay_batch(d, r, n);
	list_positions(d, r, n);
	const float *h = bd_net_forward(d->net, a, &d->batch, NULL);
	logits_losses(d, h, step, mix, grad + head->off, s);
	if (d->o.ad) {
		state_losses(d, a, r, step, mix, s);
		sg.layer = d->o.layer;
		for (int i = 0; i < 3; i++)
			sg.d[i] = d->o.states[i] ? d->ds[i] : NULL;
	}
	bd_net_backward(d->net, a, &d->batch, d->dh, m, grad, &sg);
	for (int i = 0; i < 3 && d->o.ad; i++)
		s->other2 += d->o.states[i] ? sg.other2[i] : 0;
}

/* max softmax(zt) = 1 / sum exp(zt - max zt) */
static double confidence(const uint16_t *zt, float *row, size_t V)
{
	float max = -INFINITY;
	double sum = 0;

	bd_f32_row(row, zt, V);
	for (size_t v = 0; v < V; v++)
		max = row[v] > max ? row[v] : max;
	for (size_t v = 0; v < V; v++)
		sum += exp((double)(row[v] - max));
	return 1 / sum;
}

double bd_distill_confidence(struct bd_distill *d, const struct bd_record *r, size_t n, size_t *P)
{
	double sum = 0;

	reach_scratch(d, d->V);
	for (size_t s = 0; s < n; s++)
		for (size_t j = 0; j < r[s].positions; j++, ++*P)
			sum += confidence(r[s].z + j * d->V, d->scratch[0], d->V);
	return sum;
}
