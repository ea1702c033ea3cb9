/* Driver for tokens.py: for every frame of standard input (length, bytes), writes three frames: the ids of
 * the text, and the text decoded from them with and without special tokens. Lengths and ids are 32-bit in
 * the byte order of the machine. */
#include "base/mem.h"
#include "base/msg.h"
#include "text/tokenizer.h"

#include <stdio.h>

static void put(const void *p, size_t n, size_t size)
{
	uint32_t count = (uint32_t)n;

	if (fwrite(&count, sizeof(count), 1, stdout) != 1 || fwrite(p, size, n, stdout) != n)
		bd_die(BD_SYS, "<stdout>:");
}

int main(int argc, char **argv)
{
	struct bd_tok *t = bd_tok_open(argc == 2 ? argv[1] : "");
	struct bd_ids ids = {0};
	struct bd_buf back = {0};
	uint32_t n;

	while (fread(&n, sizeof(n), 1, stdin) == 1) {
		char *s = bd_alloc(n, 1); /* exact size, so that a sanitizer detects reads beyond it */

		if (fread(s, 1, n, stdin) != n)
			bd_die(BD_DATA, "<stdin>: ends inside a frame");
		ids.n = 0;
		bd_tok_encode(t, s, n, BD_TOK_BOS | BD_TOK_EOS, &ids);
		put(ids.id, ids.n, sizeof(*ids.id));
		for (int special = 1; special >= 0; special--) {
			bd_buf_clear(&back);
			bd_tok_decode(t, ids.id, ids.n, special, &back);
			put(back.p, back.n, 1);
		}
		bd_free(s);
	}
	bd_ids_free(&ids);
	bd_buf_free(&back);
	bd_tok_free(t);
	return fflush(stdout) == 0 ? BD_OK : BD_SYS;
}
