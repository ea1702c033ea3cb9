/* bd-run: a task model answers one input per line; any other model continues a text or chats. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/show.h"
#include "base/opt.h"
#include "data/nottext.h"
#include "math/devices.h"
#include "pack/packed.h"
#include "run/answer_rows.h"
#include "run/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
	struct bd_asked asked;
	const char *prompt;
	bool json, jsonl, generate, chat, verify;
	int64_t n, context, top_k, repeat_last, logprobs;
	double temperature, top_p, min_p, repeat_penalty;
	struct bd_list stop;
	enum bd_rows_format format;
	struct bd_common common;
};

/* ---- output ---- */

static _Noreturn void die_stdout(void)
{
	bd_stdout_close(); /* says why */
	bd_die(BD_SYS, "<stdout>: cannot write");
}

/* To a terminal, without what a model or a file might tell it. */
static void print(void *ctx, const char *text, size_t n)
{
	(void)ctx;
	if (!(isatty(STDOUT_FILENO) ? bd_show_to(stdout, text, n, true) : fwrite(text, 1, n, stdout) == n) ||
	    fflush(stdout) != 0)
		die_stdout();
}

static void print_json(json_t *o)
{
	char *text = bd_json_text(o, false);

	print(NULL, text, strlen(text));
	print(NULL, "\n", 1);
	bd_free(text);
	json_decref(o);
}

/* "error: why", in one line whatever it quotes. */
static void print_error(const char *why)
{
	print(NULL, "error: ", strlen("error: "));
	if (!bd_show_to(stdout, why, strlen(why), false))
		die_stdout();
}

/* Prints an answer that is not a text, or ends the line of one that was printed as it was generated. */
static void answered(void *ctx, json_t *answer)
{
	const struct run *r = ctx;
	const char *label = json_string_value(json_object_get(answer, "label"));
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (r->json) {
		print_json(answer);
		return;
	}
	if (error != NULL)
		print_error(error);
	if (label != NULL && (!bd_show_to(stdout, label, strlen(label), false) ||
	                      printf("\t%.6f", json_real_value(json_object_get(answer, "probability"))) < 0))
		die_stdout();
	print(NULL, "\n", 1);
	json_decref(answer);
}

static bd_gen_emit *emit_of(const struct run *r)
{
	return r->json ? NULL : print;
}

/* ---- texts and objects ---- */

/* The whole input, without its last newline. */
static void complete(struct run *r)
{
	size_t n = r->prompt != NULL ? strlen(r->prompt) : 0;
	char *text = r->prompt != NULL ? bd_strdup(r->prompt) : bd_read_file("-", &n);

	if (r->prompt == NULL && n > 0 && text[n - 1] == '\n')
		n--;
	answered(r, bd_answer_text(&r->asked, text, n, emit_of(r), r));
	bd_free(text);
}

static void print_object(void *ctx, json_t *answer)
{
	(void)ctx;
	print_json(answer);
}

/* ---- chat ---- */

/* The next message of standard input: a line, and the ones after it while they end in a backslash. */
static bool hear(struct bd_in *in, struct bd_buf *text, bool terminal)
{
	const char *line, *bad = NULL;
	bool any = false, more = true;
	size_t n;

	bd_buf_clear(text);
	if (terminal)
		fputs("> ", stderr);
	while (more && (line = bd_in_line_within(in, BD_SERVE_LINE, &n)) != NULL) {
		any = true;
		bad = n == SIZE_MAX ? "a line of over 16 MiB" : bd_nottext_line(line, n);
		if (bad != NULL)
			bd_die(BD_DATA, "<stdin>: %s", bad);
		more = n > 0 && line[n - 1] == '\\';
		bd_buf_add(text, line, n - more);
		if (more)
			bd_buf_str(text, "\n");
	}
	return any;
}

static void chat(struct run *r)
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	struct bd_buf text = {0};
	struct bd_in *in = r->prompt == NULL ? bd_in_open(NULL) : NULL;
	struct bd_talk t = {0};

	bd_asked_chat(&r->asked);
	if (r->prompt != NULL)
		answered(r, bd_talk_turn(&t, &r->asked, r->prompt, emit_of(r), r));
	while (in != NULL && hear(in, &text, terminal)) {
		if (text.n > 0 && strcmp(text.p, "/reset") == 0)
			bd_talk_forget(&t);
		else if (text.n > 0)
			answered(r, bd_talk_turn(&t, &r->asked, text.p, emit_of(r), r));
	}
	if (terminal && r->prompt == NULL)
		fputs("\n", stderr);
	bd_talk_forget(&t);
	bd_buf_free(&text);
	bd_in_close(in);
}

/* ---- the command line ---- */

/* The prompts are only run on the tensors that they were recorded with. */
static int verify(const char *path, struct bd_dev *dev)
{
	size_t n, tensors, bad, bad_tensors;

	if (bd_is_dir(path))
		bd_die(BD_USAGE, "%s: --verify needs a packed file; a directory has no golden prompts", path);
	bad_tensors = bd_packed_check(path, &tensors);
	printf("%zu of %zu tensors match their digests", tensors - bad_tensors, tensors);
	if (bad_tensors > 0) {
		puts("; the golden prompts were not run");
		return BD_NO;
	}
	bad = bd_packed_verify(path, dev, &n);
	printf(", %zu of %zu golden prompts give the expected logits\n", n - bad, n);
	return bad > 0 ? BD_NO : BD_OK;
}

static void check(const struct run *r)
{
	if (r->chat + r->jsonl + r->generate > 1)
		bd_die(BD_USAGE, "choose one of --chat, --generate and --jsonl");
	if (r->jsonl && r->prompt != NULL)
		bd_die(BD_USAGE, "--jsonl reads objects from standard input; omit --prompt");
	if (r->logprobs >= 0 && !r->json && !r->jsonl)
		bd_die(BD_USAGE, "--logprobs needs --json or --jsonl");
	if (!r->chat && !r->jsonl &&
	    (r->asked.system != NULL || r->asked.no_thinking || r->asked.template != BD_CHAT_AUTO))
		bd_die(BD_USAGE, "--system, --template and --no-thinking need --chat or --jsonl");
	for (size_t i = 0; i < r->stop.n; i++)
		if (*r->stop.item[i] == '\0')
			bd_die(BD_USAGE, "--stop: an empty text would stop at once");
}

static void set(struct run *r)
{
	struct bd_sampler s = {.temperature = (float)r->temperature,
	                       .top_k = (int)r->top_k,
	                       .top_p = (float)r->top_p,
	                       .min_p = (float)r->min_p,
	                       .seed = (uint64_t)r->common.seed};

	r->asked.opts = (struct bd_gen_opts){.max_tokens = (size_t)r->n,
	                                     .context = (size_t)r->context,
	                                     .sampler = s,
	                                     .repeat_penalty = (float)r->repeat_penalty,
	                                     .repeat_last = (size_t)r->repeat_last,
	                                     .stop = r->stop.item,
	                                     .n_stop = r->stop.n,
	                                     .end = -1,
	                                     .logprobs = r->logprobs >= 0,
	                                     .top = r->logprobs > 0 ? (size_t)r->logprobs : 0};
}

static void run(struct run *r, const char *path, struct bd_dev *dev)
{
	r->asked.quiet = r->common.quiet;
	r->asked.m = bd_infer_open(path, dev, false);
	bd_infer_tok(r->asked.m);
	if (r->chat)
		chat(r);
	else if (r->jsonl)
		bd_answer_objects(&r->asked, print_object, r);
	else if (r->asked.m->task != NULL && !r->generate)
		bd_answer_rows(&r->asked, r->prompt, r->format, emit_of(r), answered, r);
	else
		complete(r);
	bd_asked_close(&r->asked);
	bd_infer_close(r->asked.m);
}

int main(int argc, char **argv)
{
	struct run r = {.n = 256, .top_p = 1, .repeat_penalty = 1, .repeat_last = 64, .logprobs = -1};
	const struct bd_opt opts[] = {
	    {"prompt", 'p', BD_STR, &r.prompt, "TEXT", "the input, instead of stdin", 0, 0},
	    {"generate", 'g', BD_FLAG, &r.generate, NULL, "continue the input even if the model has a task",
	     0, 0},
	    {"chat", 'c', BD_FLAG, &r.chat, NULL, "chat: one message per line", 0, 0},
	    {"jsonl", 0, BD_FLAG, &r.jsonl, NULL, "JSON objects in, JSON objects out, one per line", 0, 0},
	    {"json", 'j', BD_FLAG, &r.json, NULL, "print JSON objects, one per line", 0, 0},
	    {"format", 0, BD_ENUM, &r.format, BD_ROWS_FORMATS, "format of a task's input", 0, 0},
	    {"truncate", 0, BD_ENUM, &r.asked.cut_end, BD_CUT_WORDS,
	     "cut inputs of a task that exceed the context at this end", 0, 0},
	    {"max-tokens", 'n', BD_INT, &r.n, "N", "maximum number of tokens to generate", 1, 1e9},
	    {"stop", 0, BD_LIST, &r.stop, "TEXT", "stop before this text (may be repeated)", 0, 0},
	    {"temperature", 0, BD_REAL, &r.temperature, "X", "0: always the likeliest token", 0, 100},
	    {"top-k", 0, BD_INT, &r.top_k, "N", "draw from the N likeliest (0: all)", 0, 1e9},
	    {"top-p", 0, BD_REAL, &r.top_p, "X", "draw from the likeliest that make up the share X", 0, 1},
	    {"min-p", 0, BD_REAL, &r.min_p, "X", "exclude tokens below X times the likeliest", 0, 1},
	    {"repeat-penalty", 0, BD_REAL, &r.repeat_penalty, "X",
	     "make tokens that occurred before less likely (1: off)", 0.01, 100},
	    {"repeat-last-n", 0, BD_INT, &r.repeat_last, "N", "apply the penalty to the last N tokens", 0,
	     1e9},
	    {"logprobs", 0, BD_INT, &r.logprobs, "N",
	     "log probabilities of tokens and N alternatives (-1: none)", -1, 100},
	    {"context", 0, BD_INT, &r.context, "N",
	     "maximum number of positions (0: as in the model's config)", 0, 1e9},
	    {"system", 0, BD_STR, &r.asked.system, "TEXT", "system message for conversations", 0, 0},
	    {"template", 0, BD_ENUM, &r.asked.template, BD_CHAT_WORDS, "chat template (auto: the model's)", 0,
	     0},
	    {"no-thinking", 0, BD_FLAG, &r.asked.no_thinking, NULL, "qwen3: answer without thinking", 0, 0},
	    {"verify", 0, BD_FLAG, &r.verify, NULL, "check digests and golden prompts of a packed file", 0,
	     0},
	    {0},
	};
	const struct bd_tool tool = {
	    "bd-run", "classify lines, continue a text or chat with a model", "[options] MODEL", opts, 1, 1};
	int arg = bd_opt_parse(&tool, &r.common, argc, argv), status = BD_OK;
	struct bd_dev *dev = bd_dev_open((int)r.common.threads);

	check(&r);
	set(&r);
	if (r.verify)
		status = verify(argv[arg], dev);
	else
		run(&r, argv[arg], dev);
	bd_dev_close(dev);
	bd_stdout_close();
	return status;
}
