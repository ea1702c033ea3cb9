/* A model behind bd.h: a GGUF file, or a directory's config.json, tokenizer.json and model.safetensors; and
 * what a program does with it. */
#include "base/digest.h"
#include "base/guard.h"
#include "bd.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static void use_session(bd_model *m)
{
	bd_session *s = bd_session_new(m);
	bd_options o = {.size = sizeof(o), .max_tokens = 3};
	bd_chat_message turn = {"user", "a"};
	const char *text, *fields[8] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	uint32_t ids[4] = {0, 1, 2, 3};
	double p[64];
	size_t n;

	bd_feed(s, ids, 2);
	if (bd_prompt(s, "ab 1", 4, &o) >= 0)
		while (bd_next(s, &text, &n) > 0)
			;
	if (bd_chat(s, &turn, 1, &o) >= 0)
		bd_next(s, &text, &n);
	if (bd_fields(m) <= 8 && bd_classes(m) <= 64) {
		bd_classify(m, fields, bd_fields(m), p);
		bd_ask(s, fields, bd_fields(m), &o);
	}
	bd_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct fuzz f = {(const char *)p, n};
	uint32_t ids[64];
	const char *path;
	bd_model *m;
	char text[64];

	if (n >= 4 && memcmp(p, "GGUF", 4) == 0) {
		path = fuzz_file("model.gguf", f);
	} else {
		fuzz_file("d/config.json", fuzz_part(&f));
		fuzz_file("d/tokenizer.json", fuzz_part(&f));
		fuzz_file("d/model.safetensors", f);
		path = fuzz_dir("d");
	}
	bd_verify(n % 8 == 0);
	m = bd_open(path, 1);
	if (getenv("FUZZ_SHOW") != NULL)
		fprintf(stderr, "%s\n", m == NULL ? bd_error() : "open");
	if (m != NULL && bd_vocab(m) <= 4096 && bd_context(m) > 0) {
		bd_info(m);
		bd_decode(m, ids, (size_t)bd_encode(m, "a b<s>", 6, BD_BEGIN, ids, 64) % 64, text, 64);
		use_session(m);
	}
	bd_close(m);
	if (bd_guard_live() != 0)
		abort();
	return 0;
}
