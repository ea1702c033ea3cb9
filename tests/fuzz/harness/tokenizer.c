/* tokenizer.json, and a text through it: the parts of the input. */
#include "fuzz.h"
#include "text/tokenizer.h"

static const char usual[] = " Hello, World's  42 caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd<unk></s>\n\t"
                            "\xf0\x9f\x98\x80\x80 e\xcc\x81";

static void through(const struct bd_tok *t, const char *text, size_t n, unsigned flags)
{
	struct bd_ids ids = {0};
	struct bd_buf out = {0};
	struct bd_tok_stream s = {0};

	bd_tok_encode(t, text, n, flags, &ids);
	bd_tok_decode(t, ids.id, ids.n, true, &out);
	bd_buf_clear(&out);
	for (size_t i = 0; i < ids.n; i++)
		bd_tok_stream(t, &s, ids.id[i], &out);
	bd_ids_free(&ids);
	bd_buf_free(&out);
}

static void read_tokenizer(void *ctx)
{
	struct fuzz *f = ctx, json = fuzz_part(f);
	struct bd_tok *t = bd_tok_parse(json.p, json.n, "tokenizer.json");
	uint32_t vocab = bd_tok_vocab(t);

	for (uint32_t id = 0; id < vocab && id < 100; id++) {
		const char *text = bd_tok_text(t, id);

		if (text != NULL)
			bd_tok_id(t, text);
		bd_tok_special(t, id);
		bd_tok_added(t, id);
		bd_tok_is_byte(t, id);
	}
	for (size_t i = 0; i < bd_tok_merges(t) && i < 20; i++)
		bd_free(bd_tok_merge_at(t, i));
	bd_tok_bos(t);
	bd_tok_digest(t);
	bd_tok_ggml_model(t);
	bd_tok_ggml_pre(t);
	through(t, usual, sizeof(usual) - 1, BD_TOK_BOS | BD_TOK_EOS);
	through(t, f->p, f->n, f->n % 2 ? BD_TOK_CONT : BD_TOK_PLAIN);
	bd_tok_free(t);
}
FUZZ(read_tokenizer)
