/* Prompts: encoded, and cut field by field. */
#include "data/prompt.h"

#include "base/mem.h"

#include <string.h>

void bd_prompt_ids(const struct bd_template *t, const struct bd_tok *tok, const char *const *row,
                   const char *where, struct bd_ids *ids)
{
	struct bd_buf text = {0};

	bd_template_prompt(t, row, where, &text);
	bd_tok_encode(tok, text.n ? text.p : "", text.n, BD_TOK_BOS, ids);
	bd_buf_free(&text);
}

static bool inside(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80; /* of a character of UTF-8 */
}

/* Cuts the text at p, whose tokens are ids, to about `keep` tokens and to whole characters; always shortens
 * it. */
static void shorten(const struct bd_tok *tok, char *p, const struct bd_ids *ids, size_t keep, enum bd_cut end)
{
	struct bd_buf kept = {0};
	size_t n = strlen(p), cut;

	bd_tok_decode(tok, end == BD_CUT_LEFT ? ids->id + ids->n - keep : ids->id, keep, true, &kept);
	cut = kept.n < n ? kept.n : n - 1;
	if (end == BD_CUT_LEFT) {
		for (cut = n - cut; cut < n && inside(p[cut]); cut++)
			;
		memmove(p, p + cut, n - cut + 1);
	} else {
		for (; cut > 0 && inside(p[cut]); cut--)
			;
		p[cut] = '\0';
	}
	bd_buf_free(&kept);
}

/* Shortens the longest field of the prompt by `over` tokens; false if all are empty. */
static bool shorten_longest(const struct bd_template *t, const struct bd_tok *tok, char **row, size_t over,
                            enum bd_cut end)
{
	struct bd_ids ids = {0}, longest = {0};
	size_t which = 0;

	for (size_t i = 0; i < bd_template_fields(t); i++) {
		if (row[i] == NULL || !*row[i] || !bd_template_prompts(t, i))
			continue;
		ids.n = 0;
		bd_tok_encode(tok, row[i], strlen(row[i]), BD_TOK_CONT, &ids);
		if (ids.n > longest.n) {
			struct bd_ids other = longest;

			longest = ids;
			ids = other;
			which = i;
		}
	}
	if (longest.n)
		shorten(tok, row[which], &longest, longest.n > over ? longest.n - over : 0, end);
	bool done = longest.n > 0;
	bd_ids_free(&ids);
	bd_ids_free(&longest);
	return done;
}

bool bd_prompt_fit(const struct bd_template *t, const struct bd_tok *tok, const char *const *row,
                   const char *where, size_t room, enum bd_cut end, struct bd_ids *ids)
{
	size_t n = bd_template_fields(t);
	char **shorter = bd_zalloc(n, sizeof(*shorter));
	bool more = true;

	for (size_t i = 0; i < n; i++)
		shorter[i] = row[i] != NULL ? bd_strdup(row[i]) : NULL;
	while (ids->n > room && (more = shorten_longest(t, tok, shorter, ids->n - room, end))) {
		ids->n = 0;
		bd_prompt_ids(t, tok, (const char *const *)shorter, where, ids);
	}
	for (size_t i = 0; i < n; i++)
		bd_free(shorter[i]);
	bd_free(shorter);
	return more;
}
