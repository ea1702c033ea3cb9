/* bd.h -- run ternary and full-precision language models inside another program.
 *
 *	bd_model *m = bd_open("model.gguf", 0);
 *	bd_session *s = bd_session_new(m);
 *	const char *text;
 *	size_t n;
 *	int rc = bd_prompt(s, "Once upon a time", 16, NULL);
 *	while (rc >= 0 && (rc = bd_next(s, &text, &n)) > 0)
 *		fwrite(text, 1, n, stdout);
 *	if (rc < 0)
 *		fprintf(stderr, "%s\n", bd_error());
 *	bd_session_free(s), bd_close(m);
 *
 * bd_model is a loaded model, bd_session one text that grows, with its cache of keys and values.
 *
 * Errors. A call that fails returns NULL or a negative bd_failure; bd_error() says why. NULL where an object
 * is wanted is such a failure, so only the last call of a chain need be looked at. Nothing here ends the
 * process, prints, or touches signals. A failed call leaves nothing behind, and the next one works. A wrong
 * argument changes nothing; a failure on the way (memory) leaves the session empty and the model as it was.
 *
 * Ownership. A pointer returned belongs to the object asked and lives as long as it, or as said below. What
 * is passed in is read during the call only. _free and close accept NULL; a model outlives its sessions.
 *
 * Threads. A session, and bd_error's text, belong to one thread at a time. A model may be used by all: its
 * sessions compute in turn, each call with all the model's threads. None of this works in a forked child.
 *
 * Text is UTF-8 of n bytes, without NUL at its end unless said; invalid bytes become U+FFFD. Sizes are
 * bytes, lengths tokens. A model's file must not change while it is open. */
#ifndef BD_H
#define BD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

typedef struct bd_door_model bd_model;
typedef struct bd_door_session bd_session;

enum bd_failure {
	BD_EARGUMENT = -2, /* called wrongly */
	BD_EDATA = -3,     /* bad data: of a file, or what the model was given */
	BD_ESYSTEM = -4    /* out of memory, cannot read */
};

const char *bd_error(void);   /* of this thread's last call that failed, one sentence; "" if none has */
const char *bd_version(void); /* "0.1.0" */

/* ---- models ---- */

/* A model directory as Hugging Face has them, or a GGUF file. threads: that compute, the caller's included;
 * 0: as many as there are processors for this process. */
bd_model *bd_open(const char *path, int threads);
void bd_close(bd_model *m);

/* What it is: a JSON object of "kind", "name", "family", "weights", "layers", "hidden", "vocab", "context",
 * "bytes", "tokenizer" (digest or null), "template" (of its task, or null), "digest" and "history" (how it
 * came to be, a list of lines, oldest first). The first call may read the whole file. */
const char *bd_info(bd_model *m);

size_t bd_vocab(const bd_model *m);            /* ids are below this */
size_t bd_context(const bd_model *m);          /* tokens that a session holds at most */
int bd_is_end(const bd_model *m, uint32_t id); /* 1: a token that ends a text, else 0 */

/* ---- tokens ---- */

enum bd_encode_flags {
	BD_BEGIN = 1, /* with the tokens that this model wants in front of a text */
	BD_PLAIN = 2, /* special tokens spelled in the text are plain text: for text of strangers */
};
/* Writes the ids of text[n], at most cap of them. Returns how many there are, which may be more than cap:
 * then call again with room. ids may be NULL if cap is 0. */
int64_t bd_encode(const bd_model *m, const char *text, size_t n, int flags, uint32_t *ids, size_t cap);
/* Writes the text of ids[n], special tokens left out, at most cap bytes; returns how many there are. */
int64_t bd_decode(const bd_model *m, const uint32_t *ids, size_t n, char *text, size_t cap);

/* ---- sessions ---- */

bd_session *bd_session_new(bd_model *m); /* empty */
void bd_session_free(bd_session *s);
size_t bd_length(const bd_session *s);  /* tokens it holds */
int bd_rewind(bd_session *s, size_t n); /* keeps the first n tokens; 0, or negative if it has fewer */

/* Appends ids[n], n > 0; returns the logits [bd_vocab] of the token after them, until the next call on s. */
const float *bd_feed(bd_session *s, const uint32_t *ids, size_t n);

/* ---- texts ---- */

/* How a text goes on. Zero in every other field is the default; NULL in place of the struct: all of them. */
typedef struct bd_options {
	size_t size;             /* sizeof(bd_options) */
	size_t max_tokens;       /* 0: 256 */
	uint64_t seed;           /* the same seed draws the same text */
	float temperature;       /* 0 to 100; 0: always the likeliest token */
	float top_p;             /* draw among the likeliest that make up this much, 0 to 1; 0: all */
	float min_p;             /* not what is below this times the likeliest, 0 to 1 */
	int32_t top_k;           /* among so many; 0: all */
	float repeat_penalty;    /* of tokens that were there, 0.01 to 100; 0: none, which is 1 */
	size_t repeat_last;      /* among so many tokens before; 0: 64 */
	const char *const *stop; /* [n_stop] texts, ended by NUL, that end it and are not part of it */
	size_t n_stop;
	const char *chat_template; /* one of bd-run's --template; NULL: the model's own */
	int32_t no_thinking;       /* 1: qwen3 answers without thoughts */
} bd_options;

typedef struct bd_chat_message {
	const char *role, *text; /* ended by NUL; role is "system", "user" or "assistant" */
} bd_chat_message;

/* Each begins a text: feeds what is new of the prompt (what it has in common with what s holds is kept), so
 * that bd_next can go on. 0 or negative. They replace the text that was under way. */
int bd_prompt(bd_session *s, const char *text, size_t n, const bd_options *o);
int bd_chat(bd_session *s, const bd_chat_message *m, size_t n, const bd_options *o);
/* The prompt of the model's task, if that is one with a text as answer; fields as for bd_classify. */
int bd_ask(bd_session *s, const char *const *fields, size_t n, const bd_options *o);

/* The next piece, whole characters, in *text and *n, valid until the next call on s. 1, 0 when the text has
 * ended, or negative. One may stop asking at any time. */
int bd_next(bd_session *s, const char **text, size_t *n);
const char *bd_finish(const bd_session *s); /* why it ended: "eos", "stop" or "length"; NULL: it has not */

/* ---- tasks ---- */

/* A model made for a task takes a row of fields; classes are its possible answers, none if that is a text. */
size_t bd_fields(const bd_model *m);
const char *bd_field(const bd_model *m, size_t i); /* its name; NULL: there is none */
size_t bd_classes(const bd_model *m);
const char *bd_class(const bd_model *m, size_t i);
/* fields[n], n = bd_fields, each ended by NUL, or NULL for what the prompt does not use (the label). Writes
 * the probabilities p[bd_classes]; returns the likeliest class or a negative value. */
int bd_classify(bd_model *m, const char *const *fields, size_t n, double *p);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
