/* A text through the golden tokenizers: spans agree with the whole, a bytes-level one gives the text back. */
#include "fuzz.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <stdlib.h>

static const char *const name[] = {"bytes",  "digits",    "flags", "gemma",  "gpt2",
                                   "llama3", "metaspace", "spm",   "unfused"};
enum { TOKS = sizeof(name) / sizeof(*name) };
static struct bd_tok *tok[TOKS];

void fuzz_begin(void)
{
	for (int i = 0; i < TOKS; i++) {
		char *path = bd_sprintf("%s/tests/golden/tok-%s.json", fuzz_root(), name[i]);

		tok[i] = bd_tok_open(path);
		bd_free(path);
	}
}

static void read_text(void *ctx)
{
	struct fuzz *f = ctx;
	unsigned kind = fuzz_byte(f), flags = fuzz_byte(f) & 15, cut = fuzz_byte(f);
	const struct bd_tok *t = tok[kind % TOKS];
	struct bd_ids whole = {0}, parts = {0};
	struct bd_buf text = {0}, out = {0};
	struct bd_tok_stream s = {0};

	bd_tok_encode(t, f->p, f->n, flags, &whole);
	bd_tok_decode(t, whole.id, whole.n, true, &out);
	bd_utf8_repair(f->p, f->n, &text);
	if (text.n > 0) {
		struct bd_span span = {cut % text.n, text.n}, found = {0};

		while (span.begin < text.n && ((unsigned char)text.p[span.begin] & 0xc0) == 0x80)
			span.begin++;
		bd_tok_encode_spans(t, text.p, text.n, flags, &span, 1, &parts, &found);
		if (parts.n != whole.n || memcmp(parts.id, whole.id, whole.n * sizeof(*whole.id)) != 0 ||
		    found.begin > found.end || found.end > parts.n)
			abort();
	}
	bd_buf_clear(&out);
	for (size_t i = 0; i < whole.n; i++)
		bd_tok_stream(t, &s, whole.id[i], &out);
	bd_ids_free(&whole);
	bd_ids_free(&parts);
	bd_buf_free(&text);
	bd_buf_free(&out);
}
FUZZ(read_text)
