/* What the fuzzers share. A harness is a function that reads one input and a line that names it:
 *
 *	static void read_config(void *ctx) { struct fuzz *f = ctx; ... }
 *	FUZZ(read_config)
 *
 * It runs under a guard (base/guard.h): input that is refused is an ordinary end. What was not released,
 * an input that takes longer than FUZZ_SECONDS, and whatever a sanitizer finds, end the process. Checksums
 * of streams count as right (base/hash.h), and digests of files are compared for one of eight inputs only:
 * changed bytes get behind them. */
#ifndef BD_FUZZ_H
#define BD_FUZZ_H

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FUZZ_SECONDS 1 /* of processor time; more under sanitizers */

/* An input, of which p[n] has not been taken yet. */
struct fuzz {
	const char *p;
	size_t n;
};
/* Takes the first byte, 0 if there is none. */
unsigned fuzz_byte(struct fuzz *f);
/* Takes everything before the next byte 0xff, which no UTF-8 has, and that byte; or all that is left. */
struct fuzz fuzz_part(struct fuzz *f);
char *fuzz_string(struct fuzz f); /* a copy that ends with NUL; caller frees */

/* The path of `name`, which now holds these bytes, in a directory of this process; "a/b" makes a directory.
 * Valid until the next call with the same name. */
const char *fuzz_file(const char *name, struct fuzz f);
const char *fuzz_dir(const char *name); /* the path of a name that is a directory */
const char *fuzz_root(void);            /* the repository, whose files tests/golden has */

int fuzz_one(void (*fn)(void *ctx), const uint8_t *p, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define FUZZ(fn)                                                                                             \
	int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)                                               \
	{                                                                                                    \
		return fuzz_one(fn, p, n);                                                                   \
	}

/* What a harness makes once, without a guard; it lives as long as the process. */
void fuzz_begin(void) __attribute__((weak));

#endif
