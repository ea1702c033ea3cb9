/* What stands beside a tokenizer: config.json, generation_config.json, tokenizer_config.json, and the chat
 * template: the parts of the input. */
#include "data/example.h"
#include "fuzz.h"
#include "text/chat.h"

static char *tokenizer;
static size_t tokenizer_n;

void fuzz_begin(void)
{
	char *path = bd_sprintf("%s/tests/golden/tok-metaspace.json", fuzz_root());

	tokenizer = bd_read_file(path, &tokenizer_n);
	bd_free(path);
	fuzz_file("d/tokenizer.json", (struct fuzz){tokenizer, tokenizer_n});
}

static void put(const char *name, struct fuzz part)
{
	fuzz_file(name, part.n > 0 ? part : (struct fuzz){"{}", 2});
}

static void read_beside(void *ctx)
{
	struct fuzz *f = ctx;
	struct bd_tok *t;

	put("d/config.json", fuzz_part(f));
	put("d/generation_config.json", fuzz_part(f));
	put("d/tokenizer_config.json", *f);
	t = bd_tok_open(fuzz_dir("d"));
	bd_beside(fuzz_dir("d"), t);
	bd_free(bd_chat_source(fuzz_dir("d")));
	bd_tok_free(t);
}
FUZZ(read_beside)
