/* Conversations: JSON to messages, to text with the spans of answers, to tokens with marks. */
#include "data/conversation.h"

#include "base/json.h"
#include "base/msg.h"

#include <string.h>

/* The names of roles, ours first. */
static const char *role_of(const char *name, const char *where)
{
	static const char *const names[][2] = {{"system", "system"},
	                                       {"user", "user"},
	                                       {"user", "human"},
	                                       {"assistant", "assistant"},
	                                       {"assistant", "gpt"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i][1]) == 0)
			return names[i][0];
	bd_die(BD_DATA, "%s: the role \"%s\" is none of system, user and assistant", where, name);
}

static const char *member(const json_t *message, const char *key, const char *other, const char *where)
{
	const json_t *j = bd_json_get(message, key);

	j = j != NULL ? j : bd_json_get(message, other);
	if (!json_is_string(j) || strlen(json_string_value(j)) != json_string_length(j))
		bd_die(BD_DATA, "%s: a message without text as its \"%s\" (or \"%s\")", where, key, other);
	return json_string_value(j);
}

/* The texts belong to `list`. Caller frees. */
static struct bd_message *messages_of(const json_t *list, const char *where)
{
	size_t n = json_array_size(list);
	struct bd_message *m = bd_alloc(n, sizeof(*m));

	for (size_t i = 0; i < n; i++) {
		const json_t *e = json_array_get(list, i);

		m[i].role = role_of(member(e, "role", "from", where), where);
		m[i].text = member(e, "content", "value", where);
	}
	return m;
}

void bd_conversation_ids(const struct bd_chat *chat, const struct bd_tok *tok, const char *text, size_t n,
                         const char *where, struct bd_ids *ids, uint8_t **target)
{
	json_t *list = bd_json_parse(text, n, where);
	size_t count = json_array_size(list), before = ids->n, spans;
	struct bd_message *m;
	struct bd_span *span = bd_alloc(2 * count + 1, sizeof(*span)), *found = span + count;
	struct bd_buf all = {0};

	if (count == 0)
		bd_die(BD_DATA, "%s: the conversation is no list of messages", where);
	m = messages_of(list, where);
	spans = bd_chat_spans(chat, m, count, where, &all, span);
	bd_tok_encode_spans(tok, all.p, all.n, 0, span, spans, ids, found);
	*target = bd_zalloc(ids->n + 1, 1);
	for (size_t k = 0; k < spans; k++)
		if (found[k].begin < found[k].end)
			memset(*target + found[k].begin, 1, found[k].end - found[k].begin);
	(*target)[before] = 0; /* nothing predicts the first token */
	bd_free(span);
	bd_free(m);
	bd_buf_free(&all);
	json_decref(list);
}
