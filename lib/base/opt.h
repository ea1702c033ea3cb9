/* Command lines: every tool declares one table, used to parse, to print --help and to make shell
 * completions. */
#ifndef BD_OPT_H
#define BD_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bd_opt_type {
	BD_FLAG, /* bool *     */
	BD_INT,  /* int64_t *  */
	BD_REAL, /* double *   */
	BD_STR,  /* const char ** */
	BD_ENUM, /* enum *: index into the '|'-separated list of `arg`; negative: no default */
	BD_LIST, /* struct bd_list *: may be given several times */
	BD_INTS, /* struct bd_ints *: "1,2,8" */
};
/* Or-ed to a type. */
enum {
	BD_APART = 0x100,   /* not a part of a run's identity (opt_identity.h) */
	BD_READ = 0x200,    /* of BD_STR and BD_LIST: a path that is read, as all operands are, */
	BD_WRITTEN = 0x400, /* or written: bd_opt_parse keeps them apart (files.h) */
};
#define BD_OPT_TYPE 0xff
_Static_assert(sizeof(enum bd_opt_type) == sizeof(int), "enums of options are written as ints");

struct bd_list {
	const char *item[16]; /* from the command line; one more dies BD_USAGE */
	size_t n;
};

/* Numbers of one argument, which replaces the default and what was given before; more than fit: BD_USAGE. */
struct bd_ints {
	int64_t v[16];
	size_t n;
};

struct bd_opt {
	const char *name; /* long name without dashes; NULL ends the table */
	int letter;       /* short letter or 0 */
	int type;         /* enum bd_opt_type, and flags */
	void *dst;        /* holds the default, which --help prints */
	/* word for the argument in --help: with FILE, DIR, MODEL or STREAM in it, it is a path, which shells
	 * complete; for BD_ENUM the choices "a|b|c" */
	const char *arg;
	const char *help; /* one line */
	double min, max;  /* bounds of BD_INT, BD_REAL and each of BD_INTS; both 0: none */
};

struct bd_tool {
	const char *name;     /* "bd-pack" */
	const char *summary;  /* one line, as in the man page's .Nd */
	const char *synopsis; /* after the tool's name: "[options] MODEL -o FILE" */
	const struct bd_opt *opts;
	int min_args, max_args; /* operands; max_args < 0: any number */
};

/* Common options, the same letter in every tool: -t threads, -s seed, -q quiet, --no-verify (io.h), -h, -V,
 * --completion. A tool whose table has one of that name takes its own instead. */
struct bd_common {
	int64_t threads; /* default: processors this process may use */
	int64_t seed;    /* default 1 */
	bool quiet, no_verify;
};

/* Parses; --help, --version and --completion print on stdout and exit 0; errors exit BD_USAGE. Sets the
 * tool's name and ignores SIGPIPE, so that a broken pipe is an error of write(). Compares files that must
 * differ. Returns the index of the first operand. `common` is filled. Call it first in main(). */
int bd_opt_parse(const struct bd_tool *tool, struct bd_common *common, int argc, char **argv);

/* True if the long option was given on the command line (after bd_opt_parse). */
bool bd_opt_given(const char *name);

/* The command line as one shell-quoted string, for the resume message, and what follows the program's name in
 * it, for provenance: "" or " --model base ...". Owned by opt. */
const char *bd_opt_command(void);
const char *bd_opt_arguments(void);

#endif
