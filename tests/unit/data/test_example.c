/* What the files beside a tokenizer say of its model. */
#include "data/example.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "format/gguf.h"

#include <stdlib.h>

static char dir[] = "/tmp/bd-test-example.XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	bd_remove_tree(dir);
	return 0;
}

/* Leaves no zeros where the next function has its variables. */
static void __attribute__((noinline)) dirty_stack(void)
{
	char room[1 << 16];

	memset(room, 0x55, sizeof(room));
	__asm__ volatile("" : : "r"(room) : "memory");
}

/* A file of tokens names the model's own; else it is the files of its directory, or the tokenizer. */
static void test_beside(void **state)
{
	static const char *const tokens[] = {"a", "b", "c", "d", "e", "f", "g"};
	struct bd_tok *tok = bd_tok_open("tests/golden/tok-bytes.json");
	char *gguf = bd_path(dir, "model.gguf"), *file = bd_path(dir, "tokenizer.json"),
	     *config = bd_path(dir, "config.json");
	struct bd_gguf_writer *w = bd_gguf_create(gguf);
	struct bd_beside b;

	(void)state;
	bd_gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, 7);
	bd_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 5);
	bd_gguf_finish(w);
	dirty_stack();
	b = bd_beside(gguf, tok);
	assert_int_equal(b.vocab, 7);
	assert_int_equal(b.eos, 5);
	bd_copy_file("tests/golden/tok-bytes.json", file);
	b = bd_beside(file, tok);
	assert_int_equal(b.vocab, bd_tok_vocab(tok));
	assert_int_equal(b.eos, -1);
	static const char text[] = "{\"vocab_size\": 1000, \"eos_token_id\": [6, 2]}";
	bd_write_file(config, text, strlen(text));
	for (int i = 0; i < 2; i++) {
		b = bd_beside(i == 0 ? file : dir, tok);
		assert_int_equal(b.vocab, 1000);
		assert_int_equal(b.eos, 6);
	}
	bd_tok_free(tok);
	bd_free(gguf), bd_free(file), bd_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_beside)};

	bd_msg_tool("test_example");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
