/* Chat templates: a Jinja text (part 1; short: the number of a known template), a conversation of lines. */
#include "fuzz.h"
#include "text/chat.h"

#include <stdlib.h>

enum { TURNS = 16 };

static void render(const struct bd_chat *c, char *text)
{
	static const char *const role[] = {"system", "user", "assistant", "tool"};
	struct bd_message m[TURNS];
	struct bd_span span[TURNS];
	struct bd_buf out = {0};
	size_t n = 0, spans;

	for (char *line = text, *end; line != NULL && n < TURNS; line = end) {
		end = strchr(line, '\n');
		if (end != NULL)
			*end++ = '\0';
		m[n].role = role[(unsigned char)line[0] % 4];
		m[n++].text = line[0] != '\0' ? line + 1 : line;
	}
	spans = bd_chat_spans(c, m, n, "input", &out, span);
	for (size_t i = 0; i < spans; i++)
		if (span[i].begin > span[i].end || span[i].end > out.n ||
		    (i > 0 && span[i].begin < span[i - 1].end))
			abort();
	bd_buf_clear(&out);
	bd_chat_render(c, m, n, "input", &out);
	bd_buf_free(&out);
}

static void read_chat(void *ctx)
{
	struct fuzz *f = ctx, part = fuzz_part(f);
	char *jinja = fuzz_string(part), *text = fuzz_string(*f);
	struct bd_chat *c;

	if (part.n < 8)
		c = bd_chat_named(BD_CHAT_NAMED_CHATML + (part.n > 0 ? (unsigned char)*part.p : 0) % 7, NULL);
	else
		c = bd_chat_detect(jinja, NULL);
	if (c != NULL)
		render(c, text);
	bd_chat_free(c);
	bd_free(jinja);
	bd_free(text);
}
FUZZ(read_chat)
