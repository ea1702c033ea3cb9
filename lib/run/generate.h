/* Continuing texts: feeding a prompt, choosing token after token, showing what is certain, knowing when to
 * stop. */
#ifndef BD_GENERATE_H
#define BD_GENERATE_H

#include "run/infer.h"
#include "run/sample.h"

struct bd_gen_opts {
	size_t max_tokens;
	size_t context; /* maximum tokens of prompt and continuation; 0: as in the model's config */
	struct bd_sampler sampler;
	float repeat_penalty;    /* 1: none */
	size_t repeat_last;      /* preceding tokens that it applies to, including the prompt's */
	const char *const *stop; /* [n_stop] texts that end it, none empty; not part of the text */
	size_t n_stop;
	int64_t end; /* a token that ends it besides those of the config, -1: none */
	bool logprobs;
	size_t top; /* with logprobs: how many of the likeliest tokens */
};

size_t bd_gen_limit(const struct bd_infer *m,
                    const struct bd_gen_opts *o); /* maximum tokens of prompt and continuation */

/* Maximum tokens of the continuation; a prompt that is empty or leaves no room in the context dies
 * BD_DATA. */
size_t bd_gen_room(const struct bd_infer *m, size_t prompt, const struct bd_gen_opts *o);

/* One sequence that may be continued: what a prompt has in common with the tokens fed before is not computed
 * again. */
struct bd_gen;
struct bd_gen *bd_gen_new(struct bd_infer *m);
void bd_gen_free(struct bd_gen *g); /* NULL is fine */

/* The sequence itself: ids[n], n > 0, are appended, and z[V] after the last one returned (owned by g). */
float *bd_gen_feed(struct bd_gen *g, const uint32_t *ids, size_t n);
size_t bd_gen_length(const struct bd_gen *g);
void bd_gen_rewind(struct bd_gen *g, size_t n); /* keep the first n tokens; no text goes on then */

struct bd_gen_result {
	const char *finish;    /* why it ended: "eos", "stop" or "length" */
	size_t prompt, tokens; /* the text's tokens, without the one that ended it */
	json_t *logprobs; /* [{"token", "id", "logprob", "top": [{"token", "id", "logprob"}]}], of the model
	                   * itself: before penalty and temperature; the caller's; NULL unless asked for */
};
/* A text in steps: begin, next until it returns false, then end. What o points to must last until then. */
void bd_gen_begin(struct bd_gen *g, const struct bd_ids *prompt, const struct bd_gen_opts *o);
/* The text generated since the last call: at least one character, no part of a stop text; owned by g, valid
 * until the next call. */
bool bd_gen_next(struct bd_gen *g, const char **text, size_t *n);
struct bd_gen_result bd_gen_end(struct bd_gen *g);

/* One token more of each of the texts that go on, in one pass over the weights; returns how many go on.
 * shown: the text that has come since it was asked last, perhaps none. */
size_t bd_gen_step_all(struct bd_gen *const *g, size_t n);
void bd_gen_shown(struct bd_gen *g, const char **text, size_t *n);

/* The same in one call: emit is called with text as it is generated. */
typedef void bd_gen_emit(void *ctx, const char *text, size_t n);
struct bd_gen_result bd_gen_run(struct bd_gen *g, const struct bd_ids *prompt, const struct bd_gen_opts *o,
                                bd_gen_emit *emit, void *ctx);
size_t bd_gen_fed(const struct bd_gen *g); /* tokens computed so far by all runs together */

#endif
