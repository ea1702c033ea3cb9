/* From text to ids. Added tokens are cut out of a text, the rest is normalised, the added tokens in normal
 * form are cut out, the rest is split by the pre-tokenizer, and each piece is merged by the model. */
#include "base/msg.h"
#include "text/tok_parts.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* A place in the text: `before` tokens of the output lie before it; cut: it is inside the next one. */
struct mark {
	size_t at, before;
	bool cut;
};

#define UNKNOWN SIZE_MAX

/* One call of bd_tok_encode. */
struct job {
	const struct bd_tok *t;
	struct bd_ids *out;
	bool plain;
	struct mark *mark; /* [marks] that are still to be found, ascending */
	size_t marks;
	size_t offset; /* of the first in the normal form of its piece; UNKNOWN */
	size_t budget; /* bytes that finding them may take */
	struct bd_bpe_work work;
	struct bd_buf norm[2], part[2], pre;
	struct bd_regex_work regex;
};

static void merge_piece(void *ctx, const char *s, size_t n)
{
	struct job *j = ctx;

	bd_bpe_piece(j->t->bpe, s, n, &j->work, j->out);
}

/* Text without added tokens of any kind. */
static void encode_plain(struct job *j, const char *s, size_t n, enum bd_place place)
{
	bd_pre_run(&j->t->pre, s, n, place, &j->pre, &j->regex, merge_piece, j);
}

/* ---- places ---- */

/* Bytes of s[n], normalised text, as the model sees them. */
static size_t seen(struct job *j, const char *s, size_t n, enum bd_place place)
{
	bd_pre_rewrite(&j->t->pre, s, &n, place, &j->pre);
	return n;
}

static size_t width(const struct bd_tok *t, uint32_t id)
{
	return bd_bpe_is_byte(t->bpe, id) ? 1 : t->vocab->entry[id].key_n;
}

/* Do the tokens from out->id[first] have all bytes of s[n]? An unknown one does not say which. */
static bool shared_out(struct job *j, size_t first, const char *s, size_t n, enum bd_place place)
{
	size_t sum = 0;

	for (size_t i = first; i < j->out->n; i++)
		sum += width(j->t, j->out->id[i]);
	return sum == seen(j, s, n, place);
}

/* The mark after s[n], by the bytes of the tokens from out->id[first]. */
static void count_bytes(struct job *j, size_t first, const char *s, size_t n, enum bd_place place)
{
	size_t at = seen(j, s, n, place), i = first, w;

	while (i < j->out->n && (w = width(j->t, j->out->id[i])) <= at) {
		at -= w;
		i++;
	}
	j->mark->before = i;
	j->mark->cut = at > 0;
}

/* The mark after s[n], by the ids that it has alone. */
static void compare_ids(struct job *j, size_t first, const char *s, size_t n, enum bd_place place)
{
	struct bd_ids *whole = j->out, part = {0};
	size_t same = 0;

	j->out = &part;
	encode_plain(j, s, n, place);
	j->out = whole;
	while (same < part.n && first + same < whole->n && whole->id[first + same] == part.id[same])
		same++;
	j->mark->before = first + same;
	j->mark->cut = same < part.n;
	bd_ids_free(&part);
}

/* The offset of the first mark, which is after raw[n]. */
static size_t offset(struct job *j, const char *raw, size_t n, enum bd_place place)
{
	if (j->offset != UNKNOWN)
		return j->offset;
	if (n > j->budget)
		bd_die(BD_DATA,
		       "the tokenizer has no tokens for the marks that the chat template puts between "
		       "turns, and there are too many turns to do without");
	j->budget -= n;
	bd_tok_norm_run(&j->t->norm, raw, &n, place != BD_CONTINUED, j->part);
	return j->offset = n;
}

/* The marks in a piece of s, the normal form of raw, which begins at text[base]; the piece's ids begin at
 * out->id[first]. */
static void find_marks(struct job *j, const struct bd_piece *p, size_t first, const char *s, const char *raw,
                       size_t base, enum bd_place place)
{
	enum bd_place here = p->start ? BD_LATER : place;
	const char *piece = s + p->start;
	bool counted = p->token == NULL && shared_out(j, first, piece, p->end - p->start, here);

	for (size_t at; j->marks > 0; j->mark++, j->marks--, j->offset = UNKNOWN) {
		at = offset(j, raw, j->mark->at - base, place);
		if (at >= p->end)
			break;
		at -= at < p->start ? at : p->start;
		*j->mark = (struct mark){j->mark->at, first, at > 0};
		if (at > 0 && counted)
			count_bytes(j, first, piece, at, here);
		else if (at > 0 && p->token == NULL)
			compare_ids(j, first, piece, at, here);
	}
}

/* The marks in an added token, out->id[id], or before it, or those that are left of other text. */
static void pass_marks(struct job *j, const struct bd_piece *p, size_t id)
{
	for (; j->marks > 0 && j->mark->at < p->end; j->mark++, j->marks--)
		*j->mark = (struct mark){j->mark->at, id, p->token != NULL && j->mark->at > p->start};
	j->offset = UNKNOWN;
}

/* ---- the whole ---- */

/* text[p->start, p->end), which has no added tokens of the raw kind. */
static void encode_text(struct job *j, const char *text, const struct bd_piece *p, enum bd_place place)
{
	const struct bd_tok *t = j->t;
	struct bd_added_scan scan = {.plain = j->plain};
	struct bd_piece piece;
	const char *raw = text + p->start, *s;
	size_t n = p->end - p->start;

	s = bd_tok_norm_run(&t->norm, raw, &n, place != BD_CONTINUED, j->norm);
	while (bd_added_next(&t->added.normal, s, n, &scan, &piece)) {
		size_t before = j->out->n;

		if (piece.token != NULL)
			bd_ids_push(j->out, piece.token->id);
		else
			encode_plain(j, s + piece.start, piece.end - piece.start,
			             piece.start ? BD_LATER : place);
		if (j->marks > 0 && j->mark->at < p->end)
			find_marks(j, &piece, before, s, raw, p->start, place);
	}
}

static void push_all(struct bd_ids *out, const struct bd_ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		bd_ids_push(out, ids->id[i]);
}

static void encode(struct job *j, const char *text, size_t n, unsigned flags)
{
	const struct bd_tok *t = j->t;
	struct bd_added_scan scan = {.plain = j->plain};
	struct bd_piece piece;
	enum bd_place first = flags & BD_TOK_CONT ? BD_CONTINUED : BD_FIRST;

	j->regex.budget = BD_REGEX_BUDGET(n);
	if (flags & BD_TOK_BOS && !(flags & BD_TOK_CONT))
		push_all(j->out, &t->post.front);
	while (bd_added_next(&t->added.raw, text, n, &scan, &piece)) {
		if (piece.token != NULL)
			bd_ids_push(j->out, piece.token->id);
		else
			encode_text(j, text, &piece, piece.start ? BD_LATER : first);
		pass_marks(j, &piece, j->out->n - (piece.token != NULL));
	}
	for (; j->marks > 0; j->mark++, j->marks--)
		j->mark->before = j->out->n;
	if (flags & BD_TOK_EOS)
		push_all(j->out, &t->post.back);
	bd_bpe_work_free(&j->work);
	for (size_t i = 0; i < 2; i++) {
		bd_buf_free(&j->norm[i]);
		bd_buf_free(&j->part[i]);
	}
	bd_buf_free(&j->pre);
	bd_regex_work_free(&j->regex);
}

void bd_tok_encode(const struct bd_tok *t, const char *text, size_t n, unsigned flags, struct bd_ids *out)
{
	struct job j = {.t = t, .out = out, .plain = flags & BD_TOK_PLAIN};
	struct bd_buf repaired = {0};

	if (!bd_utf8_valid(text, n)) {
		bd_utf8_repair(text, n, &repaired);
		text = repaired.p;
		n = repaired.n;
	}
	encode(&j, text, n, flags);
	bd_buf_free(&repaired);
}

void bd_tok_encode_spans(const struct bd_tok *t, const char *text, size_t n, unsigned flags,
                         const struct bd_span *span, size_t spans, struct bd_ids *out, struct bd_span *found)
{
	struct mark *mark = bd_zalloc(2 * spans, sizeof(*mark));
	struct job j = {.t = t,
	                .out = out,
	                .plain = flags & BD_TOK_PLAIN,
	                .mark = mark,
	                .marks = 2 * spans,
	                .offset = UNKNOWN,
	                .budget = bd_add(bd_mul(64, n), 1 << 20)};

	for (size_t i = 0; i < spans; i++) {
		mark[2 * i].at = span[i].begin;
		mark[2 * i + 1].at = span[i].end;
	}
	encode(&j, text, n, flags);
	for (size_t i = 0; i < spans; i++)
		found[i] = (struct bd_span){mark[2 * i].before,
		                            mark[2 * i + 1].before + (mark[2 * i + 1].cut ? 1 : 0)};
	bd_free(mark);
}
