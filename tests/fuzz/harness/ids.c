/* Any ids through the golden tokenizers' decoders. */
#include "fuzz.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <stdlib.h>

static const char *const name[] = {"bytes", "gemma", "llama3", "metaspace", "spm", "unfused"};
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

static void read_ids(void *ctx)
{
	struct fuzz *f = ctx;
	const struct bd_tok *t = tok[fuzz_byte(f) % TOKS];
	struct bd_tok_stream s = {.started = fuzz_byte(f) & 1};
	struct bd_ids ids = {0};
	struct bd_buf out = {0};

	while (f->n > 1) {
		uint32_t low = fuzz_byte(f), high = fuzz_byte(f);

		bd_ids_push(&ids, high >= 240 ? UINT32_MAX - low : low | (high & 3) << 8);
	}
	bd_tok_decode(t, ids.id, ids.n, ids.n % 2, &out);
	if (!bd_utf8_valid(out.p != NULL ? out.p : "", out.n))
		abort();
	bd_buf_clear(&out);
	for (size_t i = 0; i < ids.n; i++)
		bd_tok_stream(t, &s, ids.id[i], &out);
	if (!bd_utf8_valid(out.p != NULL ? out.p : "", out.n))
		abort();
	bd_ids_free(&ids);
	bd_buf_free(&out);
}
FUZZ(read_ids)
