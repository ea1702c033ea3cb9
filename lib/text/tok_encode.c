/* From text to ids. Added tokens are cut out of a text, the rest is normalised, the added tokens in normal form
 * are cut out, the rest is split by the pre-tokenizer, and each piece is merged by the model. */
#include "base/msg.h"
#include "text/tok_parts.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* A place in the text: `before` tokens of the output lie before it; cut: it is inside the next one. */
struct mark {
	size_t at, before;
	bool cut;
};

/* One call of bd_tok_encode. */
struct job {
	const struct bd_tok *t;
	struct bd_ids *out;
	bool plain;
	struct mark *mark; /* [marks] that are still to be found, ascending */
	size_t marks;
	size_t budget; /* bytes that finding them may take */
	struct bd_bpe_work work;
	struct bd_buf norm[2], pre;
};

static void merge_piece(void *ctx, const char *s, size_t n)
{
	struct job *j = ctx;

	bd_bpe_piece(j->t->bpe, s, n, &j->work, j->out);
}

/* Text without added tokens of the raw kind. */
static void encode_text(struct job *j, const char *s, size_t n, enum bd_place place)
{
	const struct bd_tok *t = j->t;
	struct bd_added_scan scan = {.plain = j->plain};
	struct bd_piece piece;

	s = bd_tok_norm_run(&t->norm, s, &n, place != BD_CONTINUED, j->norm);
	while (bd_added_next(&t->added.normal, s, n, &scan, &piece)) {
		if (piece.token != NULL)
			bd_ids_push(j->out, piece.token->id);
		else
			bd_pre_run(&t->pre, s + piece.start, piece.end - piece.start,
			           piece.start ? BD_LATER : place, &j->pre, merge_piece, j);
	}
}

static void push_all(struct bd_ids *out, const struct bd_ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		bd_ids_push(out, ids->id[i]);
}

/* Finds the mark inside a piece between added tokens, whose ids begin at out->id[first]; text[n] is the
 * piece up to the mark. The ids before the mark are those that text[n] begins with, too. */
static void find_mark(struct job *j, struct mark *m, size_t first, const char *text, size_t n,
                      enum bd_place place)
{
	struct bd_ids *whole = j->out, part = {0};
	size_t same = 0;

	if (n > j->budget)
		bd_die(BD_DATA,
		       "the tokenizer has no tokens for the marks that its chat template puts between "
		       "turns, and there are too many turns to do without");
	j->budget -= n;
	j->out = &part;
	encode_text(j, text, n, place);
	j->out = whole;
	while (same < part.n && first + same < whole->n && whole->id[first + same] == part.id[same])
		same++;
	m->before = first + same;
	m->cut = same < part.n;
	bd_ids_free(&part);
}

/* The marks inside the piece, whose ids begin at out->id[first]. */
static void find_marks(struct job *j, const struct bd_piece *p, size_t first, const char *text,
                       enum bd_place place)
{
	for (; j->marks > 0 && j->mark->at < p->end; j->mark++, j->marks--)
		if (j->mark->at <= p->start || p->token != NULL)
			*j->mark = (struct mark){j->mark->at, first, j->mark->at > p->start};
		else
			find_mark(j, j->mark, first, text + p->start, j->mark->at - p->start, place);
}

static void encode(struct job *j, const char *text, size_t n, unsigned flags)
{
	const struct bd_tok *t = j->t;
	struct bd_added_scan scan = {.plain = j->plain};
	struct bd_piece piece;
	enum bd_place first = flags & BD_TOK_CONT ? BD_CONTINUED : BD_FIRST;

	if (flags & BD_TOK_BOS && !(flags & BD_TOK_CONT))
		push_all(j->out, &t->post.front);
	while (bd_added_next(&t->added.raw, text, n, &scan, &piece)) {
		enum bd_place place = piece.start ? BD_LATER : first;
		size_t before = j->out->n;

		if (piece.token != NULL)
			bd_ids_push(j->out, piece.token->id);
		else
			encode_text(j, text + piece.start, piece.end - piece.start, place);
		find_marks(j, &piece, before, text, place);
	}
	for (; j->marks > 0; j->mark++, j->marks--)
		j->mark->before = j->out->n;
	if (flags & BD_TOK_EOS)
		push_all(j->out, &t->post.back);
	bd_bpe_work_free(&j->work);
	bd_buf_free(&j->norm[0]);
	bd_buf_free(&j->norm[1]);
	bd_buf_free(&j->pre);
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
