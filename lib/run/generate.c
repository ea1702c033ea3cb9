/* Generation: one token per iteration of the loop; its parts come before it. */
#include "run/generate.h"

#include "base/mem.h"
#include "base/msg.h"
#include "text/stop.h"
#include "text/unicode.h"

#include <math.h>
#include <string.h>

enum { ROOM = 256 }; /* positions of a new sequence */

struct bd_gen {
	struct bd_infer *m;
	struct bd_seq *s;
	struct bd_ids fed; /* what the session holds */
	size_t computed;
	float *raw; /* [V] the model's logits, for log probabilities */

	/* the text under way */
	struct bd_gen_opts o;
	struct bd_gen_result r;
	struct bd_sampler sampler;
	struct bd_tok_stream stream;
	struct bd_stop stop;
	struct bd_buf piece, shown;
	uint32_t next; /* the token to feed before the next one is chosen, once one was */
	float *z;      /* [V] after the prompt or the last token */
	size_t room;   /* tokens that it may have */
	bool going;
	bool taken; /* what `shown` has was given out */
};

struct bd_gen *bd_gen_new(struct bd_infer *m)
{
	struct bd_gen *g = bd_zalloc(1, sizeof(*g));

	g->m = m;
	g->s = bd_seq_new(m, ROOM);
	g->raw = bd_alloc((size_t)m->net->cfg.vocab, sizeof(*g->raw));
	return g;
}

void bd_gen_free(struct bd_gen *g)
{
	if (g == NULL)
		return;
	bd_seq_free(g->s);
	bd_ids_free(&g->fed);
	bd_stop_free(&g->stop);
	bd_buf_free(&g->piece);
	bd_buf_free(&g->shown);
	json_decref(g->r.logprobs);
	bd_free(g->raw);
	bd_free(g);
}

size_t bd_gen_fed(const struct bd_gen *g)
{
	return g->computed;
}

size_t bd_gen_length(const struct bd_gen *g)
{
	return g->fed.n;
}

void bd_gen_rewind(struct bd_gen *g, size_t n)
{
	bd_seq_rewind(g->s, n);
	g->fed.n = n < g->fed.n ? n : g->fed.n;
	g->going = false;
}

float *bd_gen_feed(struct bd_gen *g, const uint32_t *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bd_ids_push(&g->fed, id[i]);
	g->computed += n;
	return bd_seq_feed(g->s, id, n);
}

/* The logits [V] after the prompt: at least its last token is computed. */
static float *feed_prompt(struct bd_gen *g, const struct bd_ids *prompt)
{
	size_t same = 0;

	while (same + 1 < prompt->n && same < g->fed.n && g->fed.id[same] == prompt->id[same])
		same++;
	bd_gen_rewind(g, same);
	return bd_gen_feed(g, prompt->id + same, prompt->n - same);
}

size_t bd_gen_limit(const struct bd_infer *m, const struct bd_gen_opts *o)
{
	return o->context > 0 ? o->context : (size_t)m->net->cfg.context;
}

size_t bd_gen_room(const struct bd_infer *m, size_t prompt, const struct bd_gen_opts *o)
{
	size_t limit = bd_gen_limit(m, o);

	if (prompt == 0)
		bd_die(BD_DATA, "the prompt is empty, and %s has no token that begins a text; give some text",
		       m->path);
	if (prompt >= limit)
		bd_die(BD_DATA,
		       "the prompt has %zu tokens, but the context only %zu; give a shorter prompt or a "
		       "larger --context",
		       prompt, limit);
	return limit - prompt < o->max_tokens ? limit - prompt : o->max_tokens;
}

static bool ends(const struct bd_gen *g, uint32_t id)
{
	return bd_special_ends(&g->m->net->cfg.special, id) || g->o.end == (int64_t)id;
}

/* ---- log probabilities ---- */

/* The text of a token as part of a longer one; U+FFFD stands for a part of a character. */
static void token_text(const struct bd_tok *tok, uint32_t id, struct bd_buf *out)
{
	struct bd_tok_stream s = {.started = true};

	if (bd_tok_special(tok, id))
		bd_buf_str(out, bd_tok_text(tok, id));
	bd_tok_stream(tok, &s, id, out);
	if (s.n > 0)
		bd_buf_str(out, BD_REPLACEMENT);
}

static json_t *logprob(const struct bd_gen *g, uint32_t id, double norm)
{
	struct bd_buf text = {0};
	json_t *j;

	token_text(g->m->tok, id, &text);
	j = json_pack("{s:s%, s:I, s:f}", "token", text.n > 0 ? text.p : "", text.n, "id", (json_int_t)id,
	              "logprob", (double)g->raw[id] - norm);
	bd_buf_free(&text);
	return j;
}

/* log sum exp of z[V]. */
static double normaliser(const float *z, size_t V)
{
	double sum = 0, max = (double)z[0];

	for (size_t i = 1; i < V; i++)
		max = (double)z[i] > max ? (double)z[i] : max;
	for (size_t i = 0; i < V; i++)
		sum += exp((double)z[i] - max);
	return max + log(sum);
}

/* The n likeliest of z[V] into top, likeliest first, among equals the smaller id first. */
static void likeliest(const float *z, size_t V, uint32_t *top, size_t n)
{
	size_t have = 0;

	for (size_t i = 0; i < V; i++) {
		size_t at = have;

		for (; at > 0 && z[i] > z[top[at - 1]]; at--)
			if (at < n)
				top[at] = top[at - 1];
		if (at < n)
			top[at] = (uint32_t)i;
		have += at < n && have < n;
	}
}

static json_t *token_logprobs(const struct bd_gen *g, uint32_t id, size_t n)
{
	size_t V = (size_t)g->m->net->cfg.vocab;
	double norm = normaliser(g->raw, V);
	json_t *j = logprob(g, id, norm), *list = json_array();
	uint32_t *top = bd_alloc(n, sizeof(*top));

	n = n < V ? n : V;
	likeliest(g->raw, V, top, n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, logprob(g, top[i], norm));
	json_object_set_new(j, "top", list);
	bd_free(top);
	return j;
}

/* ---- the loop ---- */

static uint32_t choose(struct bd_gen *g)
{
	const struct bd_gen_opts *o = &g->o;
	size_t V = (size_t)g->m->net->cfg.vocab, last = o->repeat_last < g->fed.n ? o->repeat_last : g->fed.n;

	if (o->logprobs)
		memcpy(g->raw, g->z, V * sizeof(*g->z));
	if (o->repeat_penalty != 1)
		bd_sample_penalise(g->z, g->fed.id + g->fed.n - last, last, o->repeat_penalty);
	return bd_sample(&g->sampler, g->z, V);
}

void bd_gen_begin(struct bd_gen *g, const struct bd_ids *prompt, const struct bd_gen_opts *o)
{
	bd_infer_tok(g->m);
	g->room = bd_gen_room(g->m, prompt->n, o);
	json_decref(g->r.logprobs);
	g->r = (struct bd_gen_result){
	    .finish = "length", .prompt = prompt->n, .logprobs = o->logprobs ? json_array() : NULL};
	g->o = *o;
	g->sampler = o->sampler;
	g->stream = (struct bd_tok_stream){.started = true}; /* a blank in front belongs to the text */
	bd_stop_free(&g->stop);
	g->stop = (struct bd_stop){.string = o->stop, .n = o->n_stop};
	bd_buf_clear(&g->shown);
	g->taken = false;
	g->z = feed_prompt(g, prompt);
	g->going = g->room > 0;
}

/* One token more, from the logits g->z; false: it has ended the text. */
static bool take(struct bd_gen *g)
{
	g->next = choose(g);
	if (ends(g, g->next)) {
		g->r.finish = "eos";
		return false;
	}
	g->r.tokens++;
	if (g->o.logprobs)
		json_array_append_new(g->r.logprobs, token_logprobs(g, g->next, g->o.top));
	bd_buf_clear(&g->piece);
	bd_tok_stream(g->m->tok, &g->stream, g->next, &g->piece);
	if (bd_stop_add(&g->stop, g->piece.p, g->piece.n, &g->shown) == NULL)
		return true;
	g->r.finish = "stop";
	return false;
}

static void step(struct bd_gen *g)
{
	g->going = take(g) && g->r.tokens < g->room;
	if (!g->going)
		bd_stop_end(&g->stop, &g->shown);
}

bool bd_gen_next(struct bd_gen *g, const char **text, size_t *n)
{
	if (g->taken)
		bd_buf_clear(&g->shown);
	while (g->going && g->shown.n == 0) {
		if (g->r.tokens > 0)
			g->z = bd_gen_feed(g, &g->next, 1);
		step(g);
	}
	g->taken = true;
	*text = g->shown.p;
	*n = g->shown.n;
	return *n > 0;
}

void bd_gen_shown(struct bd_gen *g, const char **text, size_t *n)
{
	*text = g->shown.p;
	*n = g->taken ? 0 : g->shown.n;
	g->taken = true;
}

size_t bd_gen_step_all(struct bd_gen *const *g, size_t n)
{
	struct bd_seq **s = bd_alloc(n, sizeof(*s));
	uint32_t *id = bd_alloc(n, sizeof(*id));
	size_t feed = 0, going = 0, V, at = 0;
	float *z;

	for (size_t i = 0; i < n; i++)
		if (g[i]->going && g[i]->r.tokens > 0) {
			bd_ids_push(&g[i]->fed, g[i]->next);
			g[i]->computed++;
			s[feed] = g[i]->s;
			id[feed++] = g[i]->next;
		}
	z = feed > 0 ? bd_seq_feed_all(g[0]->m, s, id, feed) : NULL;
	V = (size_t)g[0]->m->net->cfg.vocab;
	for (size_t i = 0; i < n; i++) {
		if (!g[i]->going)
			continue;
		if (g[i]->r.tokens > 0)
			g[i]->z = z + at++ * V;
		if (g[i]->taken)
			bd_buf_clear(&g[i]->shown);
		g[i]->taken = false;
		step(g[i]);
		going += g[i]->going;
	}
	bd_free(s);
	bd_free(id);
	return going;
}

struct bd_gen_result bd_gen_end(struct bd_gen *g)
{
	struct bd_gen_result r = g->r;

	g->r.logprobs = NULL;
	g->going = false;
	return r;
}

struct bd_gen_result bd_gen_run(struct bd_gen *g, const struct bd_ids *prompt, const struct bd_gen_opts *o,
                                bd_gen_emit *emit, void *ctx)
{
	const char *text;
	size_t n;

	bd_gen_begin(g, prompt, o);
	while (bd_gen_next(g, &text, &n))
		emit(ctx, text, n);
	return bd_gen_end(g);
}
