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
	uint64_t left; /* records to be written still */
	size_t V, chunk;
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
	float *host;    /* [chunk,V], with top_k */
	uint32_t *heap; /* [threads,K] */
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

	bd_source_fits(s, tok != NULL ? bd_tok_digest(tok) : bd_feed_head(d->feed)->tokenizer,
	               (uint32_t)d->m->cfg.vocab, d->o->model);
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
	d->left = h->examples = all * i / n - all * (i - 1) / n;
	for (uint64_t k = 0; k < all * (i - 1) / n; k++) {
		bd_feed_take(d->feed, &r);
		bd_record_free(&r);
	}
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
	h.vocab = (uint32_t)c->vocab;
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
	if (o->top_k >= d->m->cfg.vocab)
		bd_die(BD_USAGE, "--top-k %lld: must be below the vocabulary size %d", (long long)o->top_k,
		       d->m->cfg.vocab);
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
	if (d->head.top_k > 0)
		d->host = bd_alloc(bd_mul(d->chunk, d->V), sizeof(*d->host));
	d->row = bd_alloc(d->chunk, sizeof(*d->row));
	d->heap = bd_alloc(bd_mul((size_t)bd_par_threads(d->dev->par), d->head.top_k + 1), sizeof(*d->heap));
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

		memcpy(b->ids + b->start[s], r->ids, r->n * sizeof(*b->ids));
		r->positions = 0;
		for (size_t i = 1; i < r->n; i++)
			if (h->all_positions || r->target[i])
				d->place[d->n_place++] =
				    (struct place){b->start[s] + i - 1, r, r->positions++};
		size_t cols = h->top_k ? h->top_k : d->V, P = h->logits ? r->positions : 0;
		r->z = bd_alloc(bd_mul(P, cols), sizeof(*r->z));
		r->zi = h->top_k ? bd_alloc(P * cols, sizeof(*r->zi)) : NULL;
		r->zr = h->top_k ? bd_alloc(P, sizeof(*r->zr)) : NULL;
		for (int w = 0; w < 3 && h->layer >= 0; w++)
			r->state[w] = bd_alloc(bd_mul(r->n, h->width[w]), sizeof(*r->state[w]));
	}
}

/* ---- logits ---- */

static bool before(const float *z, uint32_t a, uint32_t b)
{
	return z[a] > z[b] || (z[a] == z[b] && a < b);
}

/* heap[n]: the last in order of `before` on top; the element at i sinks to its place. */
static void sink_down(uint32_t *heap, size_t n, size_t i, const float *z)
{
	for (size_t c; (c = 2 * i + 1) < n; i = c) {
		if (c + 1 < n && before(z, heap[c], heap[c + 1]))
			c++;
		if (!before(z, heap[i], heap[c]))
			return;
		uint32_t t = heap[i];
		heap[i] = heap[c];
		heap[c] = t;
	}
}

/* The K first of z[V] in order, by a heap of the K best so far. */
static void select_top(uint32_t *top, size_t K, const float *z, size_t V)
{
	for (size_t i = 0; i < K; i++)
		top[i] = (uint32_t)i;
	for (size_t i = K / 2; i-- > 0;)
		sink_down(top, K, i, z);
	for (size_t v = K; v < V; v++)
		if (before(z, (uint32_t)v, top[0])) {
			top[0] = (uint32_t)v;
			sink_down(top, K, 0, z);
		}
	for (size_t n = K; n-- > 1;) {
		uint32_t t = top[0];

		top[0] = top[n];
		top[n] = t;
		sink_down(top, n, 0, z);
	}
}

/* z[V] is destroyed. */
static void put_top(const struct place *p, size_t K, uint32_t *top, float *z, size_t V)
{
	uint16_t *out = p->r->z + p->j * K;
	uint32_t *ids = p->r->zi + p->j * K;
	float max = -INFINITY;
	double rest = 0;

	select_top(top, K, z, V);
	for (size_t k = 0; k < K; k++) {
		ids[k] = top[k];
		out[k] = bd_f32_to_f16(z[top[k]]);
		z[top[k]] = -INFINITY;
	}
	for (size_t v = 0; v < V; v++)
		max = z[v] > max ? z[v] : max;
	for (size_t v = 0; v < V; v++)
		rest += exp((double)(z[v] - max));
	p->r->zr[p->j] = (float)(log(rest) + (double)max);
}

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

static void top_slice(void *ctx, size_t begin, size_t end, int slice)
{
	struct logits_job *job = ctx;
	struct dump *d = job->d;
	size_t K = d->head.top_k;

	for (size_t i = begin; i < end; i++)
		put_top(&job->place[i], K, d->heap + (size_t)slice * (K + 1), d->host + i * d->V, d->V);
}

static void put_rows(struct dump *d, const struct place *p, size_t P)
{
	const uint16_t *half = rounded(d, d->z, P, d->V);

	for (size_t i = 0; i < P; i++)
		bd_dev_from(d->dev, p[i].r->z + p[i].j * d->V, half + i * d->V, d->V * sizeof(*half));
}

static void put_logits(struct dump *d, const float *h)
{
	for (size_t at = 0, P; at < d->n_place; at += P) {
		const struct place *place = d->place + at;

		P = d->n_place - at < d->chunk ? d->n_place - at : d->chunk;
		for (size_t i = 0; i < P; i++)
			d->row[i] = place[i].row;
		bd_net_logits(d->net, d->z, h, d->row, P, true);
		if (d->head.top_k == 0) {
			put_rows(d, place, P);
			continue;
		}
		bd_dev_from(d->dev, d->host, d->z, P * d->V * sizeof(*d->z));
		bd_par_for(d->dev->par, P, top_slice, &(struct logits_job){d, place});
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
	bd_free(d->batch.ids);
	bd_free(d->place);
}

void bd_teacher_run(const struct bd_teacher *o, struct bd_parts parts)
{
	struct dump d = {.o = o};
	uint64_t done = 0, tokens = 0;
	double begin = bd_seconds();
	char text[64];

	open_all(&d, parts);
	struct bd_log *log = bd_log_open(NULL, o->common.quiet);
	while (read_batch(&d)) {
		done += d.n_rec;
		tokens += d.batch.T;
		run_batch(&d);
		snprintf(text, sizeof(text), "teacher  %.0f tok/s",
		         (double)tokens / (bd_seconds() - begin + 1e-9));
		bd_log_progress(log, (double)done, (double)bd_feed_total(d.feed), text);
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
	bd_free(d.heap);
}
