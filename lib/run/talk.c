/* Conversations: a growing list of messages, cut at its beginning. */
#include "run/talk.h"

#include "base/mem.h"
#include "base/msg.h"

#include <string.h>

static void say(struct bd_talk *t, const char *role, const char *text)
{
	if (t->n == t->cap) {
		t->cap = t->cap > 0 ? 2 * t->cap : 16;
		t->m = bd_resize(t->m, t->n, t->cap, sizeof(*t->m));
	}
	t->m[t->n++] = (struct bd_message){role, bd_strdup(text)};
}

/* The first question and its answer. */
static void drop_turn(struct bd_talk *t)
{
	bd_free((char *)t->m[0].text);
	bd_free((char *)t->m[1].text);
	t->n -= 2;
	memmove(t->m, t->m + 2, t->n * sizeof(*t->m));
}

static bool too_long(const struct bd_talk *t, struct bd_asked *a)
{
	size_t limit = bd_gen_limit(a->m, &a->opts), answer = a->opts.max_tokens;
	struct bd_ids ids = {0};
	bool result;

	bd_answer_chat_ids(a, t->m, t->n, "chat", &ids);
	answer = answer < limit / 4 ? answer : limit / 4;
	result = ids.n + answer > limit;
	bd_ids_free(&ids);
	return result;
}

json_t *bd_talk_turn(struct bd_talk *t, struct bd_asked *a, const char *text, bd_gen_emit *emit, void *ctx)
{
	json_t *answer;
	size_t n;

	say(t, "user", text);
	for (n = t->n; t->n > 2 && too_long(t, a);)
		drop_turn(t);
	if (t->n < n)
		bd_warn("the conversation exceeds the context; its first %zu messages are forgotten",
		        n - t->n);
	answer = bd_answer_chat(a, t->m, t->n, "chat", emit, ctx);
	say(t, "assistant", json_string_value(json_object_get(answer, "text")));
	a->opts.sampler.seed++;
	return answer;
}

void bd_talk_forget(struct bd_talk *t)
{
	while (t->n > 0)
		bd_free((char *)t->m[--t->n].text);
	bd_free(t->m);
	t->m = NULL;
	t->cap = 0;
}
