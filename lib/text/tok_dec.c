/* Decoders, one token at a time. */
#include "text/tok_dec.h"

#include "base/msg.h"
#include "text/tok_norm.h"
#include "text/tok_vocab.h"
#include "text/unicode.h"

#include <string.h>

static void add_replace(struct bd_dec *d, const char *from, const char *to, const char *name)
{
	if (from == NULL || !*from || d->replaces == BD_DEC_REPLACES)
		bd_die(
		    BD_DATA,
		    "%s: decoder: Replace is supported only with a String as its pattern, and up to %d times",
		    name, BD_DEC_REPLACES);
	d->from[d->replaces] = bd_strdup(from);
	d->to[d->replaces++] = bd_strdup(to);
}

static void parse_metaspace(struct bd_dec *d, const json_t *j, const char *name)
{
	const char *never = bd_json_bool(j, "add_prefix_space", true, name) ? "always" : "never";

	if (strcmp(bd_json_str(j, "replacement", BD_METASPACE, name), BD_METASPACE))
		bd_die(BD_DATA, "%s: decoder: Metaspace is supported only with U+2581", name);
	if (!strcmp(bd_json_str(j, "prepend_scheme", never, name), "never"))
		add_replace(d, BD_METASPACE, " ", name);
	else
		d->kind = BD_DEC_METASPACE;
}

static void parse_strip(struct bd_dec *d, const json_t *j, bool fused, const char *name)
{
	if (strcmp(bd_json_str(j, "content", "", name), " ") || bd_json_int(j, "stop", 0, 0, 1 << 20, name) ||
	    !fused)
		bd_die(BD_DATA, "%s: decoder: Strip is supported only for leading spaces after Fuse", name);
	d->strip = (size_t)bd_json_int(j, "start", 0, 0, 1 << 20, name);
}

/* The sequence of Llama and Gemma: Replace..., ByteFallback, Fuse, Strip. */
static void parse_sequence(struct bd_dec *d, const json_t *list, const char *name)
{
	bool fused = false;
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) {
		const char *type = bd_json_str(e, "type", "", name);

		if (!strcmp(type, "Replace") && !d->fallback && !fused)
			add_replace(d, bd_json_str(bd_json_get(e, "pattern"), "String", NULL, name),
			            bd_json_str(e, "content", "", name), name);
		else if (!strcmp(type, "ByteFallback") && !fused)
			d->fallback = true;
		else if (!strcmp(type, "Fuse"))
			fused = true;
		else if (!strcmp(type, "Strip"))
			parse_strip(d, e, fused, name);
		else
			bd_die(BD_DATA, "%s: decoder: %s is not supported at step %zu of a Sequence", name,
			       *type ? type : "null", i);
	}
}

void bd_dec_parse(struct bd_dec *d, const json_t *j, const char *name)
{
	const char *type = bd_json_str(j, "type", "", name);

	memset(d, 0, sizeof(*d));
	d->kind = BD_DEC_PIECES;
	if (!strcmp(type, "ByteLevel"))
		d->kind = BD_DEC_BYTES;
	else if (!strcmp(type, "Metaspace"))
		parse_metaspace(d, j, name);
	else if (!strcmp(type, "Sequence") && json_array_size(bd_json_get(j, "decoders")) == 1)
		bd_dec_parse(d, json_array_get(bd_json_get(j, "decoders"), 0), name);
	else if (!strcmp(type, "Sequence"))
		parse_sequence(d, bd_json_get(j, "decoders"), name);
	else
		bd_die(BD_DATA, "%s: decoder: %s is not supported", name, *type ? type : "none");
}

void bd_dec_free(struct bd_dec *d)
{
	for (size_t i = 0; i < d->replaces; i++) {
		bd_free(d->from[i]);
		bd_free(d->to[i]);
	}
}

/* Outputs the complete characters of the held bytes, bad sequences as U+FFFD. */
static void release(struct bd_buf *held, struct bd_buf *out)
{
	size_t i = 0, len;
	enum bd_utf8_kind kind;

	while (i < held->n && (kind = bd_utf8_kind(held->p + i, held->n - i, &len)) != BD_UTF8_CUT) {
		bd_buf_add(out, kind == BD_UTF8_OK ? held->p + i : BD_REPLACEMENT,
		           kind == BD_UTF8_OK ? len : 3);
		i += len;
	}
	if (!i)
		return;
	held->n -= i;
	memmove(held->p, held->p + i, held->n);
}

/* The end of a run of byte tokens: the text they spell, or one U+FFFD for each byte. */
static void end_run(struct bd_buf *held, struct bd_buf *out)
{
	if (bd_utf8_valid(held->p, held->n))
		bd_buf_add(out, held->p, held->n);
	else
		for (size_t i = 0; i < held->n; i++)
			bd_buf_str(out, BD_REPLACEMENT);
	held->n = 0;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* The byte of "<0xHH>", or -1. */
static int fallback_byte(const char *s, size_t n)
{
	if (n != 6 || memcmp(s, "<0x", 3) || s[5] != '>' || hex(s[3]) < 0 || hex(s[4]) < 0)
		return -1;
	return hex(s[3]) << 4 | hex(s[4]);
}

static void replaced(const struct bd_dec *d, const char *text, size_t n, struct bd_buf *out)
{
	struct bd_buf a = {0}, b = {0};
	size_t max = bd_add(bd_mul(BD_TOK_GROW, n), BD_TOK_GROW);

	if (d->replaces == 1) {
		bd_tok_replace(text, n, d->from[0], d->to[0], out->n + max, out);
		return;
	}
	bd_buf_add(&a, text, n);
	for (size_t i = 0; i < d->replaces; i++) {
		struct bd_buf t = a;

		bd_buf_clear(&b);
		bd_tok_replace(a.p, a.n, d->from[i], d->to[i], max, &b);
		a = b;
		b = t;
	}
	bd_buf_add(out, a.p, a.n);
	bd_buf_free(&a);
	bd_buf_free(&b);
}

/* Removes leading spaces of the text: out[at..] is its newest part. */
static void strip(const struct bd_dec *d, struct bd_dec_state *s, size_t at, struct bd_buf *out)
{
	size_t i = at;

	while (s->stripped < d->strip && i < out->n && out->p[i] == ' ') {
		i++;
		s->stripped++;
	}
	if (i < out->n)
		s->stripped = d->strip; /* the text has begun */
	memmove(out->p + at, out->p + i, out->n - i);
	out->n -= i - at;
	out->p[out->n] = '\0';
}

void bd_dec_token(const struct bd_dec *d, struct bd_dec_state *s, const char *text, size_t n, bool whole,
                  struct bd_buf *out)
{
	size_t at = out->n;
	int byte = d->fallback ? fallback_byte(text, n) : -1;

	if (d->kind == BD_DEC_BYTES) {
		if (!bd_utf8_valid(text, n) || !bd_stand_ins(text, n, &s->held))
			bd_buf_add(&s->held, text, n);
		release(&s->held, out);
	} else if (byte >= 0) {
		bd_buf_add(&s->held, &(char){(char)byte}, 1);
		if (!whole)
			release(&s->held, out);
	} else {
		end_run(&s->held, out);
		if (d->kind == BD_DEC_METASPACE)
			bd_tok_replace(text, n, BD_METASPACE, s->started ? " " : "", SIZE_MAX, out);
		else
			replaced(d, text, n, out);
	}
	s->started = true;
	if (s->stripped < d->strip && out->n > at)
		strip(d, s, at, out);
}

void bd_dec_end(const struct bd_dec *d, struct bd_dec_state *s, struct bd_buf *out)
{
	size_t at = out->n;

	if (d->kind == BD_DEC_BYTES && s->held.n)
		bd_buf_str(out, BD_REPLACEMENT);
	else
		end_run(&s->held, out);
	if (s->stripped < d->strip && out->n > at)
		strip(d, s, at, out);
	bd_buf_free(&s->held);
}
