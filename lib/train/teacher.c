/* Running the teacher: batches of records through the net, their logits and states rounded to f16 into a
 * teacher stream. Memory is bounded by one batch, unless the examples are held to be shuffled or repeated. */
#include "train/teacher.h"

#include "base/history.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/num.h"
#include "data/feed.h"
#include "data/template.h"
#include "machine/quant.h"
#include "math/devices.h"
#include "math/op_vec.h"
#include "net/net.h"
#include "net/net_model.h"
#include "text/tokenizer.h"
#include "train/distill.h"
#include "train/listed.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct dump {
	const struct bd_teacher *o;
	struct bd_dev *dev;
	struct bd_model *m;
	struct bd_net *net;
	struct bd_acts *acts;
	struct bd_feed *feed;
	struct bd_sink *sink;
	struct bd_stream_head head;
	uint64_t first; /* records passed over before the first, */
	uint64_t left;  /* and to be written still */
	size_t V, chunk;
	uint64_t done; /* records before this batch */
	struct bd_batch batch;
	struct bd_record *rec; /* [n_rec] */
	size_t n_rec, cap_rec;
	struct place {
		size_t row; /* of h */
		struct bd_record *r;
		size_t j; /* of r's positions */
	} * place;        /* [n_place] positions that need logits */
	size_t n_place;
	size_t *row;    /* [chunk] */
	float *z;       /* device, [chunk,V] */
	uint16_t *half; /* device, of what is rounded */
	size_t half_n;
	float *host; /* [chunk,V], unless full */
};

/* ---- opening ---- */

/* "0.8": of the way from the first layer to the last; "22": that one; "-1": the last. */
static int layer_of(const char *s, const struct bd_config *c)
{
	int L = c->layers;

	if (strchr(s, '.') != NULL)
		return (int)lround(bd_num_real(s, 0, 1, "--layer") * (L - 1));
	int64_t l = bd_num_int(s, -L, L - 1, "--layer");
	return (int)(l < 0 ? l + L : l);
}

static void check_tokenizer(const struct dump *d)
{
	const struct bd_source *s = bd_feed_source(d->feed);
	char *path = bd_path(d->o->model, "tokenizer.json");
	struct bd_tok *tok = bd_exists(path) ? bd_tok_open(path) : NULL;

	/* with the same tokenizer, the examples may be from a model of more ids: lay_batch looks at each */
	bd_source_fits(s, tok != NULL ? bd_tok_digest(tok) : bd_feed_head(d->feed)->tokenizer,
	               tok != NULL ? bd_feed_head(d->feed)->vocab : (uint32_t)d->m->cfg.vocab, d->o->model);
	bd_tok_free(tok);
	bd_free(path);
}

/* A teacher of another task is rarely meant. */
static void check_task(const struct dump *d)
{
	const json_t *task = bd_json_get(bd_json_get(d->m->cfg.json, "bitdistill"), "task");
	const json_t *own = bd_json_get(task, "template"), *given = bd_feed_head(d->feed)->template_;

	if (!d->o->common.quiet && !bd_template_same(own, given))
		bd_warn("%s: made with template %s, but %s was trained with %s",
		        bd_source_name(bd_feed_source(d->feed)), bd_template_called(given), d->o->model,
		        bd_template_called(own));
}

/* --shard I/N: part I of the records of all passes; the others are passed over. */
static void take_shard(struct dump *d, struct bd_stream_head *h)
{
	uint64_t all = bd_feed_total(d->feed);
	unsigned long long i, n;
	struct bd_record r = {0};
	char rest;

	d->left = UINT64_MAX;
	if (d->o->shard == NULL)
		return;
	if (sscanf(d->o->shard, "%9llu/%9llu%c", &i, &n, &rest) != 2 || i < 1 || i > n)
		bd_die(BD_USAGE, "--shard %s: must be I/N with I from 1 to N, such as 1/4", d->o->shard);
	if (all < n)
		bd_die(BD_USAGE,
		       all ? "--shard %s: there are only %" PRIu64 " examples"
		           : "--shard %s: needs a stream of known length; store it in a file",
		       d->o->shard, all);
	h->shard = (uint32_t)i;
	h->shards = (uint32_t)n;
	d->first = all * (i - 1) / n;
	d->left = h->examples = all * i / n - d->first;
	for (uint64_t k = 0; k < d->first; k++) {
		bd_feed_take(d->feed, &r);
		bd_record_free(&r);
	}
}

/* The ids that have logits. Sums over a distribution cannot leave ids out later: there, those that the
 * examples' model does not have are left out now. */
static uint32_t common_ids(const struct dump *d, const struct bd_stream_head *examples)
{
	const struct bd_teacher *o = d->o;
	uint32_t V = (uint32_t)d->m->cfg.vocab;

	if (o->vocab > V)
		bd_die(BD_USAGE, "--vocab %lld: %s has only %u ids", (long long)o->vocab, o->model, V);
	if (o->vocab > 0)
		return (uint32_t)o->vocab;
	return (o->top_k > 0 || o->sample > 0) && examples->vocab < V ? examples->vocab : V;
}

static struct bd_stream_head make_head(const struct dump *d)
{
	const struct bd_config *c = &d->m->cfg;
	const struct bd_teacher *o = d->o;
	struct bd_stream_head h = *bd_feed_head(d->feed); /* its pointers are borrowed */
	size_t n;
	struct bd_input *streams = bd_source_inputs(bd_feed_source(d->feed), "examples", &n),
	                *in = bd_alloc(n + 1, sizeof(*in));

	memcpy(in, streams, n * sizeof(*in));
	in[n] = (struct bd_input){"teacher", d->m->digest, bd_config_history(c)};

	h.teacher = true;
	h.vocab = common_ids(d, &h);
	memcpy(h.teacher_digest, d->m->digest, sizeof(h.teacher_digest));
	h.layer = o->no_states ? -1 : layer_of(o->layer, c);
	h.teacher_layers = c->layers;
	for (int i = 0; i < 3; i++) {
		h.heads[i] = (uint32_t)(i == 0 ? c->heads : c->kv_heads);
		h.width[i] = h.heads[i] * (uint32_t)c->head_dim;
	}
	h.states_f16 = !o->no_states;
	h.after_rope = true;
	h.logits = !o->no_logits;
	h.top_k = o->no_logits ? 0 : (uint32_t)o->top_k;
	h.sample = o->no_logits ? 0 : (uint32_t)o->sample;
	h.tau = o->tau;
	if (h.top_k >= h.vocab)
		bd_die(BD_USAGE, "--top-k %u: must be below the vocabulary size %u", h.top_k, h.vocab);
	h.all_positions = o->positions == BD_POSITIONS_ALL;
	h.examples = bd_feed_total(d->feed);
	h.history = bd_history(in, n + 1);
	bd_free(streams);
	bd_free(in);
	return h;
}

static void open_all(struct dump *d, struct bd_parts parts)
{
	const struct bd_teacher *o = d->o;

	if (o->model == NULL)
		bd_die(BD_USAGE, "--model DIR is missing");
	d->dev = o->dev != NULL ? o->dev : bd_dev_open((int)o->common.threads);
	d->m = bd_model_load(o->model);
	d->feed = bd_feed_open(
	    parts, &(struct bd_feed_plan){
	               .epochs = o->epochs,
	               .count = true, /* the header then tells the student how long the stream is */
	               .hold = o->epochs > 1,
	               .shuffle = o->shuffle,
	               .seed = (uint64_t)o->common.seed,
	               .context = (size_t)d->m->cfg.context,
	           });
	check_tokenizer(d);
	check_task(d);
	d->net = bd_net_from_model(d->m, d->dev, false);
	d->acts = bd_acts_new(d->net, false);
	d->head = make_head(d);
	take_shard(d, &d->head);
	bd_acts_watch(d->acts, d->head.layer);
	d->V = (size_t)d->m->cfg.vocab;
	d->chunk = bd_distill_chunk(d->V);
	d->z = bd_dev_alloc(d->dev, bd_mul(d->chunk, d->V), sizeof(*d->z));
	if (bd_stream_listed(&d->head) > 0)
		d->host = bd_alloc(bd_mul(d->chunk, d->V), sizeof(*d->host));
	d->row = bd_alloc(d->chunk, sizeof(*d->row));
	d->sink = bd_sink_open(o->output, (int)o->level, &d->head);
}

/* ---- a batch ---- */

/* Records of at most batch_tokens tokens, at least one; their teacher parts are allocated. */
static bool read_batch(struct dump *d)
{
	const struct bd_record *next;
	struct bd_batch *b = &d->batch;

	d->n_rec = b->T = 0;
	while (d->left > 0 && (next = bd_feed_peek(d->feed)) != NULL) {
		if (d->n_rec > 0 && b->T + next->n > (size_t)d->o->batch_tokens)
			break;
		if (d->n_rec == d->cap_rec) {
			d->rec = bd_resize(d->rec, d->cap_rec, 2 * d->cap_rec + 64, sizeof(*d->rec));
			b->start = bd_resize(b->start, d->n_rec, 2 * d->cap_rec + 65, sizeof(*b->start));
			d->cap_rec = 2 * d->cap_rec + 64;
		}
		b->start[d->n_rec] = b->T;
		bd_feed_take(d->feed, &d->rec[d->n_rec]);
		d->left--;
		b->T += d->rec[d->n_rec++].n;
		b->start[d->n_rec] = b->T;
	}
	b->n_seq = d->n_rec;
	return d->n_rec > 0;
}

/* The ids of the batch, and the positions that need logits. */
static void lay_batch(struct dump *d)
{
	const struct bd_stream_head *h = &d->head;
	struct bd_batch *b = &d->batch;

	b->ids = bd_alloc(b->T, sizeof(*b->ids));
	d->place = bd_alloc(b->T, sizeof(*d->place));
	d->n_place = 0;
	for (size_t s = 0; s < d->n_rec; s++) {
		struct bd_record *r = &d->rec[s];

		bd_record_fits(r, h->vocab, bd_source_name(bd_feed_source(d->feed)), d->o->model);
		memcpy(b->ids + b->start[s], r->ids, r->n * sizeof(*b->ids));
		r->positions = 0;
		for (size_t i = 1; i < r->n; i++)
			if (h->all_positions || r->target[i])
				d->place[d->n_place++] =
				    (struct place){b->start[s] + i - 1, r, r->positions++};
		size_t K = bd_stream_listed(h), P = h->logits ? r->positions : 0;
		r->z = h->sample ? NULL : bd_alloc(bd_mul(P, K ? K : h->vocab), sizeof(*r->z));
		r->zi = K ? bd_alloc(bd_mul(P, K), sizeof(*r->zi)) : NULL;
		r->zr = K ? bd_alloc(P, sizeof(*r->zr)) : NULL;
		for (int w = 0; w < 3 && h->layer >= 0; w++)
			r->state[w] = bd_alloc(bd_mul(r->n, h->width[w]), sizeof(*r->state[w]));
	}
}

/* ---- logits ---- */

/* The rows of x[rows,n], the device's, rounded to f16: `half` on the device. */
static const uint16_t *rounded(struct dump *d, const float *x, size_t rows, size_t n)
{
	d->half = bd_dev_reach(d->dev, d->half, &d->half_n, bd_mul(rows, n), sizeof(*d->half));
	bd_vec_to_f16(d->dev, &(struct bd_vec_halves){d->half, x, rows, n});
	return d->half;
}

struct logits_job {
	struct dump *d;
	const struct place *place;
};

static void list_slice(void *ctx, size_t begin, size_t end, int slice)
{
	(void)slice;
	struct logits_job *job = ctx;
	struct dump *d = job->d;
	const struct bd_stream_head *h = &d->head;

	for (size_t i = begin; i < end; i++) {
		const struct place *p = &job->place[i];
		size_t at = p->j * bd_stream_listed(h);
		struct bd_listed l = {
		    .zt = h->top_k > 0 ? p->r->z + at : NULL, .zi = p->r->zi + at, .zr = p->r->zr + p->j};
		float *z = d->host + i * d->V;

		if (h->sample > 0)
			bd_listed_draw(&l, h, z, (uint64_t)d->o->common.seed,
			               d->first + d->done + (uint64_t)(p->r - d->rec), p->j);
		else
			bd_listed_top(&l, h, z);
	}
}

static void put_rows(struct dump *d, const struct place *p, size_t P)
{
	const uint16_t *half = rounded(d, d->z, P, d->V);

	for (size_t i = 0; i < P; i++)
		bd_dev_from(d->dev, p[i].r->z + p[i].j * d->head.vocab, half + i * d->V,
		            d->head.vocab * sizeof(*half));
}

static void put_logits(struct dump *d, const float *h)
{
	for (size_t at = 0, P; at < d->n_place; at += P) {
		const struct place *place = d->place + at;

		P = d->n_place - at < d->chunk ? d->n_place - at : d->chunk;
		for (size_t i = 0; i < P; i++)
			d->row[i] = place[i].row;
		bd_net_logits(d->net, d->z, h, d->row, P, true);
		if (bd_stream_listed(&d->head) == 0) {
			put_rows(d, place, P);
			continue;
		}
		bd_dev_from(d->dev, d->host, d->z, P * d->V * sizeof(*d->z));
		bd_par_for(d->dev->par, P, list_slice, &(struct logits_job){d, place});
	}
}

/* ---- states ---- */

static void put_states(struct dump *d)
{
	for (int w = 0; w < 3; w++) {
		size_t n = d->head.width[w];
		const uint16_t *half = rounded(d, bd_acts_state(d->acts, d->head.layer, w), d->batch.T, n);

		for (size_t s = 0; s < d->n_rec; s++)
			bd_dev_from(d->dev, d->rec[s].state[w], half + d->batch.start[s] * n,
			            d->rec[s].n * n * sizeof(*half));
	}
}

/* ---- all of it ---- */

static void run_batch(struct dump *d)
{
	lay_batch(d);
	const float *h = bd_net_forward(d->net, d->acts, &d->batch, NULL);
	if (d->head.logits)
		put_logits(d, h);
	if (d->head.layer >= 0)
		put_states(d);
	for (size_t s = 0; s < d->n_rec; s++) {
		bd_sink_put(d->sink, &d->rec[s]);
		bd_record_free(&d->rec[s]);
	}
	d->done += d->n_rec;
	bd_free(d->batch.ids);
	bd_free(d->place);
}

void bd_teacher_run(const struct bd_teacher *o, struct bd_parts parts)
{
	struct dump d = {.o = o};
	uint64_t tokens = 0;
	double begin = bd_seconds();
	char text[64];

	open_all(&d, parts);
	struct bd_log *log = bd_log_open(NULL, o->common.quiet);
	while (read_batch(&d)) {
		tokens += d.batch.T;
		run_batch(&d);
		snprintf(text, sizeof(text), "teacher  %.0f tok/s",
		         (double)tokens / (bd_seconds() - begin + 1e-9));
		bd_log_progress(log, (double)d.done, (double)bd_feed_total(d.feed), text);
	}
	bd_sink_close(d.sink);
	bd_log_close(log);
	bd_dev_free(d.dev, d.z);
	bd_dev_free(d.dev, d.half);
	bd_acts_free(d.acts);
	bd_net_free(d.net);
	if (d.dev != o->dev)
		bd_dev_close(d.dev);
	bd_feed_close(d.feed);
	bd_model_free(d.m);
	json_decref(d.head.history);
	bd_free(d.batch.start);
	bd_free(d.rec);
	bd_free(d.row);
	bd_free(d.host);
}
