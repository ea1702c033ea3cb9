/* bds, the reading half, for models with a part of the vocabulary: ids become those of the kept tokens. */
#include "base/mem.h"
#include "data/stream_parts.h"

#include <stdio.h>

#define NOT_KEPT UINT32_MAX

void bd_source_renumber(struct bd_source *s, const uint32_t *id, size_t n, const char tokenizer[33],
                        const char *model)
{
	const struct bd_stream_head *h = &s->head;

	s->other = *h;
	s->other.choice = h->choice != NULL ? bd_alloc(h->n_choice + 1, sizeof(*h->choice)) : NULL;
	s->other.vocab = (uint32_t)n;
	s->other.logits = false;
	snprintf(s->other.tokenizer, sizeof(s->other.tokenizer), "%s", tokenizer);
	s->kept_by = bd_strdup(model);
	s->to = bd_alloc(h->vocab, sizeof(*s->to));
	for (size_t i = 0; i < h->vocab; i++)
		s->to[i] = NOT_KEPT;
	for (size_t i = 0; i < n; i++)
		if (id[i] < h->vocab)
			s->to[id[i]] = (uint32_t)i;
	for (size_t i = 0; i < h->n_choice; i++) {
		s->other.choice[i] = s->to[h->choice[i]];
		if (s->other.choice[i] == NOT_KEPT)
			bd_die(BD_DATA,
			       "%s: the token of label %zu, %u, is not among those that %s has kept; pack it "
			       "again with --vocab-from this stream",
			       bd_in_name(s->in), i, h->choice[i], model);
	}
}

/* Tokens of r that were not kept; *first is one. */
static size_t lost(const struct bd_source *s, const struct bd_record *r, uint32_t *first)
{
	size_t n = 0;

	for (size_t i = r->n; i-- > 0;)
		if (s->to[r->ids[i]] == NOT_KEPT) {
			*first = r->ids[i];
			n++;
		}
	return n;
}

/* Counts in r, which has such tokens, and to the end of the stream. */
static _Noreturn void refuse(struct bd_source *s, struct bd_record *r)
{
	uint64_t tokens = 0, examples = 0, at = r->index;
	uint32_t first = 0, other;
	size_t n = lost(s, r, &first);

	do {
		tokens += n;
		examples += n > 0;
	} while (bd_source_as_written(s, r) && (n = lost(s, r, &other), true));
	bd_die(BD_DATA,
	       "%s: %" PRIu64 " tokens in %" PRIu64 " of %" PRIu64
	       " examples are not among those that %s has kept, the first is %u in example %" PRIu64
	       "; pack it again with --vocab-from this stream, or make the stream with this tokenizer",
	       bd_in_name(s->in), tokens, examples, s->before + s->records, s->kept_by, first, at);
}

bool bd_source_next(struct bd_source *s, struct bd_record *r)
{
	uint32_t first;

	if (!bd_source_as_written(s, r))
		return false;
	if (s->to == NULL)
		return true;
	if (lost(s, r, &first) > 0)
		refuse(s, r);
	for (size_t i = 0; i < r->n; i++)
		r->ids[i] = s->to[r->ids[i]];
	bd_free(r->z);
	bd_free(r->zi);
	bd_free(r->zr);
	r->z = NULL;
	r->zi = NULL;
	r->zr = NULL;
	return true;
}
