/* Chat templates: writing conversations. */
#include "base/msg.h"
#include "text/chat.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A conversation being written. */
struct text {
	const struct bd_chat *c;
	struct bd_buf *out;
	size_t head, body;    /* where the turn and its text begin */
	struct bd_span *span; /* [n], the answers; NULL: not asked for */
	size_t n;
};

/* head has one %s, for the role. */
__attribute__((format(printf, 2, 0))) static void open_turn(struct text *t, const char *head,
                                                            const char *role)
{
	t->head = t->out->n;
	bd_buf_fmt(t->out, head, role);
	t->body = t->out->n;
}

/* Writes the end token and what follows it. */
static void close_turn(struct text *t, bool answer, const char *after)
{
	const struct bd_chat *c = t->c;
	size_t text = t->out->n, end;

	bd_buf_str(t->out, c->end);
	end = t->out->n;
	bd_buf_str(t->out, after);
	if (answer && t->span != NULL)
		t->span[t->n++] =
		    (struct bd_span){c->span_from_head ? t->head : t->body, c->span_without_end ? text
		                                                            : c->span_to_next   ? t->out->n
		                                                                                : end};
}

static bool is(const struct bd_message *m, const char *role)
{
	return strcmp(m->role, role) == 0;
}

/* Python's str.strip: Unicode's white space and the four separators before the blank. */
static bool blank(uint32_t c)
{
	return bd_char_class(c) == BD_SPACE || (c >= 0x1c && c <= 0x1f);
}

static void add_trimmed(struct bd_buf *out, const char *text)
{
	struct bd_buf valid = {0};
	const char *s;
	size_t n, end = 0, len;

	bd_buf_str(&valid, "");
	bd_utf8_repair(text, strlen(text), &valid);
	s = valid.p;
	n = valid.n;
	while (n > 0 && blank(bd_utf8(s, &len))) {
		s += len;
		n -= len;
	}
	for (size_t i = 0; i < n; i += len)
		if (!blank(bd_utf8(s + i, &len)))
			end = i + len;
	bd_buf_add(out, s, end);
	bd_buf_free(&valid);
}

/* s[n] without newlines at its ends. */
static void add_unlined(struct bd_buf *out, const char *s, size_t n, bool left, bool right)
{
	for (; left && n > 0 && *s == '\n'; s++)
		n--;
	for (; right && n > 0 && s[n - 1] == '\n'; n--)
		;
	bd_buf_add(out, s, n);
}

static void chatml_turn(struct text *t, const char *role, const char *text)
{
	open_turn(t, "<|im_start|>%s\n", role);
	bd_buf_str(t->out, text);
	close_turn(t, strcmp(role, "assistant") == 0, "\n");
}

static void chatml(struct text *t, const struct bd_message *m, size_t n)
{
	if (t->c->system != NULL && !is(&m[0], "system"))
		chatml_turn(t, "system", t->c->system);
	for (size_t i = 0; i < n; i++)
		chatml_turn(t, m[i].role, m[i].text);
}

/* The last `what` in s[n], or NULL. */
static const char *last(const char *s, size_t n, const char *what)
{
	size_t len = strlen(what);

	for (size_t i = n + 1; i-- > len;)
		if (memcmp(s + i - len, what, len) == 0)
			return s + i - len;
	return NULL;
}

/* An answer: its thoughts, between <think> and </think>, are omitted, unless it answers the last question
 * (then even empty ones are written). */
static void qwen3_answer(struct text *t, const char *text, bool after, bool final)
{
	static const char open[] = "<think>", close[] = "</think>";
	const char *thought = text, *end = strstr(text, close), *answer = last(text, strlen(text), close),
	           *begin;
	size_t n = 0;
	struct bd_buf thoughts = {0};

	if (end != NULL) {
		for (n = (size_t)(end - text); n > 0 && text[n - 1] == '\n'; n--)
			;
		begin = last(text, n, open);
		thought = begin != NULL ? begin + strlen(open) : text;
		add_unlined(&thoughts, thought, n - (size_t)(thought - text), true, true);
		text = answer + strlen(close);
	}
	open_turn(t, "<|im_start|>%s\n", "assistant");
	after = after && (final || thoughts.n > 0);
	if (after)
		bd_buf_fmt(t->out, "<think>\n%s\n</think>\n\n", thoughts.n > 0 ? thoughts.p : "");
	if (after && thoughts.n == 0 && t->c->no_thinking)
		t->body = t->out->n; /* the empty one belongs to the question */
	add_unlined(t->out, text, strlen(text), after || end != NULL, false);
	close_turn(t, true, "\n");
	bd_buf_free(&thoughts);
}

/* A user's text that is the response of a tool is not a question. */
static bool tool_response(const char *text)
{
	static const char open[] = "<tool_response>", close[] = "</tool_response>";
	size_t n = strlen(text);

	return strncmp(text, open, strlen(open)) == 0 && n >= strlen(close) &&
	       strcmp(text + n - strlen(close), close) == 0;
}

static void qwen3(struct text *t, const struct bd_message *m, size_t n)
{
	size_t question = n - 1;

	for (size_t i = n; i-- > 0;)
		if (is(&m[i], "user") && !tool_response(m[i].text)) {
			question = i;
			break;
		}
	for (size_t i = 0; i < n; i++)
		if (is(&m[i], "assistant"))
			qwen3_answer(t, m[i].text, i > question, i + 1 == n);
		else
			chatml_turn(t, m[i].role, m[i].text);
}

/* Today, or the day given by $SOURCE_DATE_EPOCH, so that texts can be reproduced. */
static void add_date(struct bd_buf *out)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	time_t t = epoch != NULL ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
	struct tm tm;
	char date[32];

	if ((epoch != NULL ? gmtime_r(&t, &tm) : localtime_r(&t, &tm)) == NULL ||
	    strftime(date, sizeof(date), "%d %b %Y", &tm) == 0)
		bd_die(BD_SYS, "cannot get the current date:");
	bd_buf_str(out, date);
}

static void llama3(struct text *t, const struct bd_message *m, size_t n)
{
	struct bd_buf *out = t->out;
	size_t i = 0;

	bd_buf_str(out, t->c->bos);
	if (t->c->dated) {
		bd_buf_str(out, "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
		                "December 2023\nToday Date: ");
		if (t->c->today)
			add_date(out);
		else
			bd_buf_str(out, "26 Jul 2024");
		bd_buf_str(out, "\n\n");
		if (is(&m[0], "system"))
			add_trimmed(out, m[i++].text);
		bd_buf_str(out, "<|eot_id|>");
	}
	for (; i < n; i++) {
		open_turn(t, "<|start_header_id|>%s<|end_header_id|>\n\n", m[i].role);
		add_trimmed(out, m[i].text);
		close_turn(t, is(&m[i], "assistant"), "");
	}
}

static void gemma(struct text *t, const struct bd_message *m, size_t n, const char *where)
{
	size_t first = is(&m[0], "system");

	bd_buf_str(t->out, t->c->bos);
	for (size_t i = first; i < n; i++) {
		bool answer = (i - first) % 2 == 1;

		if (!is(&m[i], answer ? "assistant" : "user"))
			bd_die(BD_DATA,
			       "%s: message %zu is from the %s; in the model's chat template, user and "
			       "assistant must alternate",
			       where, i + 1, m[i].role);
		open_turn(t, "<start_of_turn>%s\n", answer ? "model" : "user");
		if (first > 0 && i == first)
			bd_buf_fmt(t->out, "%s\n\n", m[0].text);
		add_trimmed(t->out, m[i].text);
		close_turn(t, answer, "\n");
	}
}

static void bitnet(struct text *t, const struct bd_message *m, size_t n)
{
	bd_buf_str(t->out, t->c->bos);
	for (size_t i = 0; i < n; i++) {
		bool answer = is(&m[i], "assistant");

		open_turn(t, "%s: ", answer ? "Assistant" : is(&m[i], "user") ? "User" : "System");
		add_trimmed(t->out, m[i].text);
		close_turn(t, answer, "");
	}
}

static void bitnet_gguf(struct text *t, const struct bd_message *m, size_t n)
{
	bd_buf_str(t->out, t->c->bos);
	for (size_t i = 0; i < n; i++) {
		bool answer = is(&m[i], "assistant");

		open_turn(t, answer ? "%s" : "Human: %s", "");
		bd_buf_fmt(t->out, answer ? "%s" : "%s\n\nBITNETAssistant: ", m[i].text);
		close_turn(t, answer, "");
	}
}

/* The beginning of the next answer. */
static void add_next(const struct bd_chat *c, struct bd_buf *out)
{
	static const char *const next[] = {
	    [BD_CHAT_CHATML] = "<|im_start|>assistant\n",
	    [BD_CHAT_QWEN3] = "<|im_start|>assistant\n",
	    [BD_CHAT_LLAMA3] = "<|start_header_id|>assistant<|end_header_id|>\n\n",
	    [BD_CHAT_GEMMA] = "<start_of_turn>model\n",
	    [BD_CHAT_BITNET] = "Assistant: ",
	    [BD_CHAT_BITNET_GGUF] = "",
	};

	bd_buf_str(out, next[c->family]);
	if (c->family == BD_CHAT_QWEN3 && c->no_thinking)
		bd_buf_str(out, "<think>\n\n</think>\n\n");
}

static void check_messages(const struct bd_chat *c, const struct bd_message *m, size_t n, const char *where)
{
	if (n == 0)
		bd_die(BD_DATA, "%s: a conversation without messages", where);
	for (size_t i = 0; i < n; i++) {
		if (!is(&m[i], "system") && !is(&m[i], "user") && !is(&m[i], "assistant"))
			bd_die(BD_DATA,
			       "%s: message %zu has the role \"%s\"; it must be system, user or assistant",
			       where, i + 1, m[i].role);
		if (c->no_system && is(&m[i], "system"))
			bd_die(BD_DATA, "%s: the model's chat template does not support system messages",
			       where);
	}
}

size_t bd_chat_spans(const struct bd_chat *c, const struct bd_message *m, size_t n, const char *where,
                     struct bd_buf *out, struct bd_span *span)
{
	struct text t = {.c = c, .out = out, .span = span};

	check_messages(c, m, n, where);
	switch (c->family) {
	case BD_CHAT_CHATML:
		chatml(&t, m, n);
		break;
	case BD_CHAT_QWEN3:
		qwen3(&t, m, n);
		break;
	case BD_CHAT_LLAMA3:
		llama3(&t, m, n);
		break;
	case BD_CHAT_GEMMA:
		gemma(&t, m, n, where);
		break;
	case BD_CHAT_BITNET:
		bitnet(&t, m, n);
		break;
	case BD_CHAT_BITNET_GGUF:
		bitnet_gguf(&t, m, n);
		break;
	}
	return t.n;
}

void bd_chat_render(const struct bd_chat *c, const struct bd_message *m, size_t n, const char *where,
                    struct bd_buf *out)
{
	bd_chat_spans(c, m, n, where, out, NULL);
	add_next(c, out);
}
