/* The steps of a tokenizer around a small vocabulary of bytes, and a text through them. The parts of the
 * input: normalizer, pre_tokenizer, post_processor, decoder, added tokens (JSON, empty: none), text. */
#include "fuzz.h"
#include "text/tokenizer.h"

static void add(struct bd_buf *b, const char *key, struct fuzz part)
{
	bd_buf_fmt(b, "\"%s\": ", key);
	if (part.n > 0)
		bd_buf_add(b, part.p, part.n);
	else
		bd_buf_str(b, "null");
	bd_buf_str(b, ", ");
}

static void read_pieces(void *ctx)
{
	static const char *const step[] = {"normalizer", "pre_tokenizer", "post_processor", "decoder",
	                                   "added_tokens"};
	struct fuzz *f = ctx;
	struct bd_buf b = {0}, out = {0};
	struct bd_ids ids = {0};
	struct bd_tok *t;

	bd_buf_str(&b, "{");
	for (int i = 0; i < 5; i++) {
		struct fuzz part = fuzz_part(f);

		if (i < 4 || part.n > 0)
			add(&b, step[i], part);
	}
	bd_buf_str(&b, "\"model\": {\"type\": \"BPE\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"a\": 1, "
	               "\"b\": 2, \"\xc4\xa0\": 3, \"\xe2\x96\x81\": 4, \"ab\": 5, \"\xe2\x96\x81"
	               "a\": 6, \" \": 7, \"1\": 8, \"11\": 9, \"A\": 10}, \"merges\": [\"a b\", "
	               "\"\xe2\x96\x81 a\", \"1 1\"]}}");
	t = bd_tok_parse(b.p, b.n, "tokenizer.json");
	bd_tok_encode(t, f->p, f->n, BD_TOK_BOS | BD_TOK_EOS, &ids);
	bd_tok_decode(t, ids.id, ids.n, false, &out);
	bd_ids_free(&ids);
	bd_buf_free(&out);
	bd_buf_free(&b);
	bd_tok_free(t);
}
FUZZ(read_pieces)
