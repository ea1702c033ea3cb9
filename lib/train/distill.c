/* One micro-batch: records become a batch of sequences, the requested positions get logits chunk by chunk,
 * and every loss adds its gradient where backward starts or passes. */
#include "train/distill.h"

#include <string.h>

#include "base/mem.h"
#include "math/op_loss.h"

struct bd_distill {
	struct bd_objective o;
	struct bd_net *net;
	struct bd_dev *dev;
	size_t V, C, chunk;
	size_t width[3]; /* of the student's q, k, v */
	/* host */
	struct bd_batch batch;
	struct bd_position *pos; /* [n_pos] positions whose logits are needed */
	size_t *row;             /* [n_pos] rows of h that predict them */
	size_t n_pos;
	struct bd_position_loss *loss; /* [chunk] */
	struct bd_state_loss *state;   /* [3 n_seq] */
	struct teacher {
		const uint16_t *z, *state[3]; /* as the device sees them */
	} * teacher;                          /* [n_seq] */
	size_t cap_seq, cap_ids;
	/* device */
	float *dh;     /* [T,C] */
	float *ds[3];  /* [T,width] */
	float *z, *dz; /* [chunk,V] */
	size_t cap_dh, cap_ds[3];
};

size_t bd_distill_chunk(size_t vocab)
{
	size_t fit = ((size_t)1 << 24) / vocab; /* 64 MiB of f32 */

	return fit < 64 ? 64 : fit > 512 ? 512 : fit;
}

static void widths(size_t width[3], const struct bd_config *c)
{
	width[0] = (size_t)c->heads * (size_t)c->head_dim;
	width[1] = width[2] = (size_t)c->kv_heads * (size_t)c->head_dim;
}

struct bd_distill *bd_distill_new(const struct bd_objective *o, struct bd_net *net)
{
	struct bd_distill *d = bd_zalloc(1, sizeof(*d));

	d->o = *o;
	d->net = net;
	d->dev = net->dev;
	d->V = (size_t)net->cfg.vocab;
	d->C = (size_t)net->cfg.hidden;
	d->chunk = bd_distill_chunk(d->V);
	widths(d->width, &net->cfg);
	d->z = bd_dev_alloc(d->dev, bd_mul(d->chunk, d->V), sizeof(*d->z));
	d->dz = bd_dev_alloc(d->dev, bd_mul(d->chunk, d->V), sizeof(*d->dz));
	d->loss = bd_alloc(d->chunk, sizeof(*d->loss));
	return d;
}

size_t bd_distill_bytes(const struct bd_objective *o, const struct bd_config *c, size_t T)
{
	size_t V = (size_t)c->vocab, floats = 2 * bd_distill_chunk(V) * V + T * (size_t)c->hidden, width[3];

	widths(width, c);
	for (int i = 0; i < 3 && o->ad; i++)
		floats += o->states[i] ? T * width[i] : 0;
	return floats * sizeof(float);
}

void bd_distill_free(struct bd_distill *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < 3; i++)
		bd_dev_free(d->dev, d->ds[i]);
	bd_dev_free(d->dev, d->dh);
	bd_dev_free(d->dev, d->z);
	bd_dev_free(d->dev, d->dz);
	bd_free(d->batch.start);
	bd_free(d->batch.ids);
	bd_free(d->pos);
	bd_free(d->row);
	bd_free(d->loss);
	bd_free(d->state);
	bd_free(d->teacher);
	bd_free(d);
}

/* Host memory: room for n elements; what was there is lost. */
static void *reach(void *p, size_t n, size_t size)
{
	bd_free(p);
	return bd_alloc(n, size);
}

static void reserve(struct bd_distill *d, size_t n_seq, size_t T)
{
	if (n_seq > d->cap_seq) {
		d->cap_seq = n_seq + n_seq / 4;
		d->batch.start = reach(d->batch.start, d->cap_seq + 1, sizeof(*d->batch.start));
		d->state = reach(d->state, 3 * d->cap_seq, sizeof(*d->state));
		d->teacher = reach(d->teacher, d->cap_seq, sizeof(*d->teacher));
	}
	if (T > d->cap_ids) {
		d->cap_ids = T + T / 4;
		d->batch.ids = reach(d->batch.ids, d->cap_ids, sizeof(*d->batch.ids));
		d->pos = reach(d->pos, d->cap_ids, sizeof(*d->pos));
		d->row = reach(d->row, d->cap_ids, sizeof(*d->row));
	}
	d->dh = bd_dev_reach(d->dev, d->dh, &d->cap_dh, bd_mul(T, d->C), sizeof(*d->dh));
	for (int i = 0; i < 3; i++)
		if (d->o.ad && d->o.states[i])
			d->ds[i] = bd_dev_reach(d->dev, d->ds[i], &d->cap_ds[i], bd_mul(T, d->width[i]),
			                        sizeof(float));
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
	reserve(d, n, T);
	bd_dev_fill(d->dev, d->dh, 0, T * d->C * sizeof(*d->dh));
	b->n_seq = n;
	b->T = 0;
	for (size_t s = 0; s < n; s++) {
		b->start[s] = b->T;
		memcpy(b->ids + b->T, r[s].ids, r[s].n * sizeof(*b->ids));
		b->T += r[s].n;
	}
	b->start[n] = b->T;
}

/* Logits of a position in the stream. */
static size_t columns(const struct bd_stream_head *h)
{
	return h->top_k > 0 ? h->top_k : h->vocab;
}

/* The teacher's logits of r on the device; NULL if it has none. */
static const uint16_t *map_logits(const struct bd_distill *d, const struct bd_record *r)
{
	bool any = d->o.ld && d->o.head->sample == 0;

	return any ? bd_dev_map(d->dev, r->z, r->positions * columns(d->o.head) * sizeof(*r->z)) : NULL;
}

/* What the stream brought, as the device sees it; or gives it back. */
static void map_teacher(struct bd_distill *d, const struct bd_record *r, size_t n)
{
	for (size_t s = 0; s < n; s++) {
		struct teacher *t = &d->teacher[s];

		*t = (struct teacher){.z = map_logits(d, &r[s])};
		for (int i = 0; i < 3 && d->o.ad; i++)
			if (d->o.states[i])
				t->state[i] = bd_dev_map(d->dev, r[s].state[i],
				                         r[s].n * d->o.head->width[i] * sizeof(uint16_t));
	}
}

static void unmap_teacher(struct bd_distill *d, size_t n)
{
	for (size_t s = 0; s < n; s++) {
		bd_dev_unmap(d->dev, d->teacher[s].z);
		for (int i = 0; i < 3; i++)
			bd_dev_unmap(d->dev, d->teacher[s].state[i]);
	}
}

/* The teacher at its j-th position of record r, sequence s. */
static struct bd_teacher_logits teacher_at(const struct bd_distill *d, const struct bd_record *r, size_t s,
                                           size_t j)
{
	const struct bd_stream_head *h = d->o.head;
	const uint16_t *z = d->teacher[s].z;
	size_t K = bd_stream_listed(h);

	return (struct bd_teacher_logits){
	    .zt = z != NULL ? z + j * columns(h) : NULL,
	    .zi = K > 0 ? r->zi + j * K : NULL,
	    .zr = K > 0 ? r->zr[j] : 0,
	    .K = K,
	    .drawn = h->sample > 0,
	};
}

static void list_positions(struct bd_distill *d, const struct bd_record *r, size_t n)
{
	bool all = d->o.ld && d->o.head->all_positions;

	d->n_pos = 0;
	for (size_t s = 0; s < n; s++) {
		size_t answer = 0;

		for (size_t i = 1; i < r[s].n; i++) {
			bool target = r[s].target[i];
			struct bd_position *p = &d->pos[d->n_pos];

			if (!target && !all)
				continue;
			*p = (struct bd_position){.target = target, .ld = d->o.ld, .y = r[s].ids[i]};
			if (p->ld)
				p->teacher = teacher_at(d, &r[s], s, all ? i - 1 : answer);
			d->row[d->n_pos++] = d->batch.start[s] + i - 1;
			answer += target;
		}
	}
}

/* ---- losses at the logits ---- */

static void add_logit_losses(struct bd_sums *s, const struct bd_position_loss *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s->ce += l[i].ce;
		s->ld += l[i].ld;
		s->ce2 += l[i].ce2;
		s->ld2 += l[i].ld2;
	}
}

/* d->dh and the head's gradient from the losses at the logits of h[T,C]. */
static void logit_losses(struct bd_distill *d, const float *h, const struct bd_micro_batch *b, float *dhead,
                         struct bd_sums *s)
{
	struct bd_logit_losses o = {
	    .dz = d->dz,
	    .z = d->z,
	    .loss = d->loss,
	    .V = d->V,
	    .common = d->o.common,
	    .soften = {d->o.kind, (float)d->o.tau, d->o.tau2, (float)b->mix->beta},
	    .ce = (float)d->o.ce,
	    .lambda = (float)b->mix->lambda,
	    .unit_ce = b->step->targets > 0 ? (float)(1 / (double)b->step->targets) : 0,
	    .unit_ld = b->step->ld > 0 ? (float)(1 / (double)b->step->ld) : 0,
	};

	for (size_t at = 0; at < d->n_pos; at += o.P) {
		const size_t *row = d->row + at;

		o.P = d->n_pos - at < d->chunk ? d->n_pos - at : d->chunk;
		o.pos = d->pos + at;
		bd_net_logits(d->net, d->z, h, row, o.P, true);
		bd_logit_losses(d->dev, &o);
		bd_net_logits_backward(d->net, d->dh, dhead, d->dz, h, row, o.P);
		bd_dev_wait(d->dev);
		add_logit_losses(s, d->loss, o.P);
	}
}

/* ---- losses at the states ---- */

static struct bd_state_loss state_loss(const struct bd_distill *d, const struct bd_acts *a, size_t s, int i)
{
	size_t t = d->batch.start[s], n = d->batch.start[s + 1] - t, w = d->width[i];

	return (struct bd_state_loss){
	    .relation = {.n = n,
	                 .ws = w,
	                 .wt = d->o.head->width[i],
	                 .A = d->o.heads,
	                 .temp = (float)d->o.relation_temp,
	                 .cosine = d->o.cosine},
	    .ds = d->ds[i] + t * w,
	    .s = bd_acts_state(a, d->o.layer, i) + t * w,
	    .t = d->teacher[s].state[i],
	};
}

double bd_distill_ad_unit(const struct bd_objective *o, const struct bd_counts *step)
{
	double A = (double)o->heads;

	return 1 / (A * (o->code_norm ? A : 1) * (double)step->rows);
}

static void state_losses(struct bd_distill *d, const struct bd_acts *a, const struct bd_micro_batch *b,
                         struct bd_sums *sums)
{
	size_t n = 0;

	for (size_t s = 0; s < d->batch.n_seq; s++)
		for (int i = 0; i < 3; i++)
			if (d->o.states[i])
				d->state[n++] = state_loss(d, a, s, i);
	bd_state_losses(d->dev,
	                &(struct bd_state_losses){d->state, n, (float)bd_distill_ad_unit(&d->o, b->step),
	                                          (float)b->mix->gamma});
	bd_dev_wait(d->dev);
	for (size_t i = 0; i < n; i++) {
		sums->ad += d->state[i].ad;
		sums->ad2 += d->state[i].ad2;
	}
}

/* ---- the micro-batch ---- */

void bd_distill_run(struct bd_distill *d, struct bd_acts *a, const struct bd_micro_batch *b,
                    struct bd_sums *s)
{
	const struct bd_param *head = bd_model_param(b->m, b->m->cfg.tied ? BD_EMBED : BD_HEAD, -1);
	struct bd_state_grad sg = {.layer = -1};
	const float *h; /* [T,C] */

	lay_batch(d, b->r, b->n);
	map_teacher(d, b->r, b->n);
	list_positions(d, b->r, b->n);
	h = bd_net_forward(d->net, a, &d->batch, NULL);
	logit_losses(d, h, b, b->grad + head->off, s);
	if (d->o.ad) {
		state_losses(d, a, b, s);
		sg.layer = d->o.layer;
		for (int i = 0; i < 3; i++)
			sg.d[i] = d->o.states[i] ? d->ds[i] : NULL;
	}
	bd_net_backward(d->net, a, &d->batch, d->dh, b->m, b->grad, &sg);
	bd_dev_wait(d->dev);
	for (int i = 0; i < 3 && d->o.ad; i++)
		s->other2 += d->o.states[i] ? sg.other2[i] : 0;
	unmap_teacher(d, b->n);
}

double bd_distill_confidence(struct bd_distill *d, const struct bd_record *r, size_t n, size_t *P)
{
	size_t n_ids = d->o.common;
	float *row = bd_alloc(n_ids, sizeof(*row));
	double sum = 0;

	for (size_t s = 0; s < n; s++)
		for (size_t j = 0; j < r[s].positions; j++, ++*P)
			sum += bd_loss_confidence(r[s].z + j * columns(d->o.head), row, n_ids);
	bd_free(row);
	return sum;
}
