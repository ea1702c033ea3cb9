/* Command lines: the words of a tool's command, each ended by NUL. */
#include "base/guard.h"
#include "base/opt.h"
#include "fuzz.h"

#include <stdlib.h>

enum { WORDS = 40, BYTES = 4096 };

static struct bd_scope process; /* of what an option parser keeps: the last command */

void fuzz_begin(void)
{
	bd_scope_begin(&process, NULL);
}

/* What ends the process by asking for it. */
static bool informs(const char *word)
{
	const char *name = word + 2;

	if (word[0] != '-')
		return false;
	if (word[1] != '-') /* any group of letters that may have one of these */
		return strpbrk(word, "hV") != NULL;
	return *name != '\0' && (strncmp(name, "help", strcspn(name, "=")) == 0 ||
	                         strncmp(name, "version", strcspn(name, "=")) == 0 ||
	                         strncmp(name, "completion", strcspn(name, "=")) == 0);
}

static void read_words(void *ctx)
{
	static bool flag;
	static int64_t count;
	static double rate;
	static const char *text;
	static int word;
	static struct bd_list list;
	static const struct bd_opt opts[] = {
	    {"flag", 'f', BD_FLAG, &flag, NULL, "", 0, 0},
	    {"count", 'n', BD_INT, &count, "N", "", 1, 1e18},
	    {"rate", 0, BD_REAL, &rate, "X", "", 0, 1},
	    {"text", 'o', BD_STR | BD_APART, &text, "FILE", "", 0, 0},
	    {"word", 'w', BD_ENUM, &word, "one|two|three", "", 0, 0},
	    {"list", 'l', BD_LIST, &list, "X", "", 0, 0},
	    {0},
	};
	static char all[BYTES + 1];
	static const struct bd_tool tool = {"bd-fuzz", "fuzzing", "[options]", opts, 0, 3};
	struct fuzz *f = ctx;
	char *argv[WORDS + 2] = {"bd-fuzz"};
	struct bd_common common;
	int argc = 1;

	bd_guard_into(&process);
	list.n = 0;
	memcpy(all, f->p, f->n < BYTES ? f->n : BYTES);
	all[f->n < BYTES ? f->n : BYTES] = '\0';
	for (char *s = all; s < all + f->n && s < all + BYTES && argc <= WORDS; s += strlen(s) + 1)
		argv[argc++] = s;
	for (int i = 1; i < argc; i++)
		if (informs(argv[i]))
			argc = 1;
	argv[argc] = NULL;
	if (process.n > 3 * WORDS) /* a command and its files */
		abort();
	bd_opt_parse(&tool, &common, argc, argv);
	if (strncmp(bd_opt_command(), "bd-fuzz", 7) != 0 || list.n > 16 || word < 0 || word > 2)
		abort();
	bd_opt_given("text");
}

FUZZ(read_words)
