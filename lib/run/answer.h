/* Task models answering rows, and requests: JSON objects in, JSON objects out. */
#ifndef BD_ANSWER_H
#define BD_ANSWER_H

#include "data/prompt.h"
#include "run/generate.h"
#include "run/labels.h"
#include "text/chat.h"

/* Who answers, and how unless a request says otherwise. */
struct bd_asked {
	struct bd_infer *m;
	struct bd_gen *gen;
	struct bd_labels *labels; /* of a task with classes */
	struct bd_gen_opts opts;
	enum bd_chat_name template; /* of conversations */
	const char *system;         /* for conversations without a system text; NULL: none */
	bool no_thinking;
	/* A task's prompt that with its label exceeds the context, or leaves a text neither max_tokens nor
	 * half of it, loses the ends of its fields; BD_CUT_NO: it dies. */
	enum bd_cut cut_end;
	uint64_t cut, cut_tokens; /* counted */
	bool quiet;               /* says nothing about them */
	struct bd_chat *chat;     /* of template; opened when it is needed first */
};
/* The chat template; dies BD_DATA, saying what to do, if there is none or it is unknown. */
struct bd_chat *bd_asked_chat(struct bd_asked *a);
void bd_asked_report(const struct bd_asked *a); /* what was cut, on standard error */
void bd_asked_close(struct bd_asked *a);        /* gen, labels and chat */

/* The answer of a task model: fields as in rows, value[i] of the template's field i. A text is emitted as it
 * is generated, if emit is given. Returns {"label", "class", "probability", "probabilities"} of a class, or
 * {"text", "finish_reason", "prompt_tokens", "completion_tokens"} and perhaps "logprobs" of a text. */
json_t *bd_answer_row(struct bd_asked *a, const char *const *value, const char *where, bd_gen_emit *emit,
                      void *ctx);
/* In three steps, for many rows of a task with classes at once: the tokens of a row's prompt, appended;
 * p[n,n_choice] and the likeliest of n prompts; the answer made of those of one. */
void bd_answer_prompt(struct bd_asked *a, const char *const *value, const char *where, struct bd_ids *ids);
void bd_asked_classes(struct bd_asked *a, const struct bd_ids *prompt, size_t n, double *p, size_t *best);
json_t *bd_answer_verdict(const struct bd_infer *m, const double *p, size_t best);
/* The answer made of a text that was generated; r's logprobs are taken over. */
json_t *bd_answer_written(const char *text, size_t n, const struct bd_gen_result *r);
/* The probabilities p[n_choice] of its classes; returns the likeliest. l: of m. */
size_t bd_answer_class(struct bd_labels *l, struct bd_infer *m, const char *const *value, const char *where,
                       double *p);
/* The same for a text that is continued, and for a conversation. */
json_t *bd_answer_text(struct bd_asked *a, const char *text, size_t n, bd_gen_emit *emit, void *ctx);
json_t *bd_answer_chat(struct bd_asked *a, const struct bd_message *m, size_t n, const char *where,
                       bd_gen_emit *emit, void *ctx);
/* Appends the tokens of the conversation with the beginning of the answer, as bd_answer_chat feeds them. */
void bd_answer_chat_ids(struct bd_asked *a, const struct bd_message *m, size_t n, const char *where,
                        struct bd_ids *ids);
/* a's opts with the end of a turn as one more end: its token, or its text in a vocabulary without it, which
 * goes into stop[n_stop + 1] behind the others. */
struct bd_gen_opts bd_answer_chat_opts(const struct bd_asked *a, const char **stop);
/* The answer to an object: {"prompt"}, {"messages": [{"role", "content"}]}, or the fields of the task; "id"
 * is copied, and "max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n",
 * "seed", "stop" (one or a list), "logprobs" and "thinking" override a's. where: for messages. */
json_t *bd_answer_object(struct bd_asked *a, const json_t *object, const char *where);

#endif
