/* Command lines: the tool's table and the common options become one array for getopt_long; --help is printed
 * from the same array, with the defaults read from the variables. */
#include "base/digest.h"
#include "base/files.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/num.h"
#include "base/opt.h"
#include "base/opt_complete.h"
#include "base/procs.h"
#include "base/signals.h"
#include "base/word.h"

#include <fcntl.h>
#include <float.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_MAX = 96,
	LONG = 256, /* getopt's value of option i is LONG + i, or its letter */
	THREADS_MAX = 1024,
	HELP_COLUMN = 30, /* column where the explanations begin */
};

static struct parser {
	const struct bd_tool *tool;
	struct bd_opt opts[OPT_MAX]; /* the tool's, then the common ones */
	int flags[OPT_MAX];          /* taken off their types */
	bool given[OPT_MAX];
	size_t n, own; /* all, the tool's */
	bool help, version;
	enum bd_shell shell; /* of --completion */
	char *command;
	size_t name_n; /* bytes of the program's name in it */
} parser;

/* ---- help ---- */

/* " [default]" of an option that has one. */
static void append_default(struct bd_buf *b, const struct bd_opt *o)
{
	const struct bd_ints *ints = o->dst;
	const char *s;
	size_t n;

	switch ((enum bd_opt_type)o->type) {
	case BD_FLAG:
	case BD_LIST:
		break;
	case BD_INT:
		bd_buf_fmt(b, " [%" PRId64 "]", *(int64_t *)o->dst);
		break;
	case BD_REAL:
		bd_buf_fmt(b, " [%g]", *(double *)o->dst);
		break;
	case BD_STR:
		if (*(const char **)o->dst != NULL)
			bd_buf_fmt(b, " [%s]", *(const char **)o->dst);
		break;
	case BD_ENUM:
		s = bd_word_at(o->arg, *(int *)o->dst, &n);
		if (s != NULL)
			bd_buf_fmt(b, " [%.*s]", (int)n, s);
		break;
	case BD_INTS:
		for (size_t i = 0; i < ints->n; i++)
			bd_buf_fmt(b, "%s%" PRId64 "%s", i == 0 ? " [" : ",", ints->v[i],
			           i + 1 == ints->n ? "]" : "");
		break;
	}
}

static void append_option(struct bd_buf *b, const struct bd_opt *o)
{
	size_t start = b->n;

	if (o->letter != 0)
		bd_buf_fmt(b, "  -%c, --%s", o->letter, o->name);
	else
		bd_buf_fmt(b, "      --%s", o->name);
	if (o->type != BD_FLAG)
		bd_buf_fmt(b, " %s", o->arg);
	if (b->n - start + 2 > HELP_COLUMN) {
		bd_buf_str(b, "\n");
		start = b->n;
	}
	bd_buf_fmt(b, "%*s%s", (int)(HELP_COLUMN - (b->n - start)), "", o->help);
	append_default(b, o);
	bd_buf_str(b, "\n");
}

static void append_help(struct bd_buf *b, const struct bd_tool *tool)
{
	bd_buf_fmt(b, "Usage: %s %s\n\n%s\n\n", tool->name, tool->synopsis, tool->summary);
	for (size_t i = 0; i < parser.n; i++) {
		if (i == parser.own && i > 0)
			bd_buf_str(b, "\n");
		append_option(b, &parser.opts[i]);
	}
}

static _Noreturn void inform(void)
{
	struct bd_buf b = {0};

	if (parser.help)
		append_help(&b, parser.tool);
	else if (parser.version)
		bd_buf_fmt(&b, "%s %s\n", parser.tool->name, BD_VERSION);
	else
		bd_opt_complete(&b, parser.shell, parser.tool->name, parser.opts, parser.n);
	fputs(b.p, stdout);
	bd_buf_free(&b);
	bd_stdout_close();
	exit(BD_OK);
}

/* ---- parsing ---- */

static int64_t bound(double v)
{
	return v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

static int parse_enum(const struct bd_opt *o, const char *s, const char *what)
{
	int i = bd_word_find(o->arg, s);

	if (i < 0)
		bd_die(BD_USAGE, "%s: \"%s\" is unknown; choose one of %s", what, s, o->arg);
	return i;
}

static void append_item(struct bd_list *list, const char *s, const char *what)
{
	if (list->n == sizeof(list->item) / sizeof(*list->item))
		bd_die(BD_USAGE, "%s: given more than %zu times", what, list->n);
	list->item[list->n++] = s;
}

static int64_t parse_int(const struct bd_opt *o, const char *s, const char *what)
{
	bool bounded = o->min != 0 || o->max != 0;

	return bd_num_int(s, bounded ? bound(o->min) : INT64_MIN, bounded ? bound(o->max) : INT64_MAX, what);
}

/* "1,2,8" */
static void parse_ints(const struct bd_opt *o, const char *s, const char *what)
{
	struct bd_ints *list = o->dst;
	size_t n;

	list->n = 0;
	for (;; s += n + 1) {
		n = strcspn(s, ",");
		if (list->n == sizeof(list->v) / sizeof(*list->v))
			bd_die(BD_USAGE, "%s: more than %zu numbers", what, list->n);
		char *one = bd_strndup(s, n);

		list->v[list->n++] = parse_int(o, one, what);
		bd_free(one);
		if (s[n] == '\0')
			return;
	}
}

static void assign(const struct bd_opt *o, const char *s)
{
	bool bounded = o->min != 0 || o->max != 0;
	char what[80];

	snprintf(what, sizeof(what), "--%s", o->name);
	switch ((enum bd_opt_type)o->type) {
	case BD_FLAG:
		*(bool *)o->dst = true;
		break;
	case BD_INT:
		*(int64_t *)o->dst = parse_int(o, s, what);
		break;
	case BD_REAL:
		*(double *)o->dst =
		    bd_num_real(s, bounded ? o->min : -DBL_MAX, bounded ? o->max : DBL_MAX, what);
		break;
	case BD_STR:
		if (*s == '\0' && bd_opt_is_path(o))
			bd_die(BD_USAGE, "%s: the name is empty", what);
		*(const char **)o->dst = s;
		break;
	case BD_ENUM:
		*(int *)o->dst = parse_enum(o, s, what);
		break;
	case BD_LIST:
		append_item(o->dst, s, what);
		break;
	case BD_INTS:
		parse_ints(o, s, what);
		break;
	}
}

/* Appends s so that a shell reads it back as one word. */
static void append_quoted(struct bd_buf *b, const char *s)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";

	if (*s != '\0' && s[strspn(s, plain)] == '\0') {
		bd_buf_str(b, s);
		return;
	}
	bd_buf_str(b, "'");
	for (; *s != '\0'; s++)
		if (*s == '\'')
			bd_buf_str(b, "'\\''");
		else
			bd_buf_add(b, s, 1);
	bd_buf_str(b, "'");
}

static void remember_command(int argc, char **argv)
{
	struct bd_buf b = {0};

	for (int i = 0; i < argc; i++) {
		if (i > 0)
			bd_buf_str(&b, " ");
		append_quoted(&b, argv[i]);
		parser.name_n = i == 0 ? b.n : parser.name_n;
	}
	bd_free(parser.command);
	parser.command = b.p;
}

/* The number of a closed standard stream would be given to the next file opened: occupy it with a descriptor
 * that cannot be used in its direction, so that reading stdin or writing stdout fails as it should. */
static void occupy_standard_streams(void)
{
	static const int mode[3] = {O_WRONLY, O_RDONLY, O_WRONLY};

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode[fd]) < 0)
			bd_die(BD_SYS, "/dev/null: cannot open:");
}

static void add_option(struct bd_opt o)
{
	if (parser.n == OPT_MAX - 1)
		bd_die(BD_SYS, "internal error: more than %d options", OPT_MAX - 1);
	parser.flags[parser.n] = o.type & ~BD_OPT_TYPE;
	o.type &= BD_OPT_TYPE;
	parser.opts[parser.n++] = o;
}

static bool has_option(const char *name)
{
	for (size_t i = 0; i < parser.own; i++)
		if (strcmp(parser.opts[i].name, name) == 0)
			return true;
	return false;
}

static void collect(const struct bd_tool *tool, struct bd_common *common)
{
	const struct bd_opt own[] = {
	    {"threads", 't', BD_INT, &common->threads, "N", "threads", 1, THREADS_MAX},
	    {"seed", 's', BD_INT, &common->seed, "N", "seed for everything random", 0, 0x1p62},
	    {"quiet", 'q', BD_FLAG, &common->quiet, NULL, "no progress and no warnings", 0, 0},
	    {"no-verify", 0, BD_FLAG, &common->no_verify, NULL,
	     "do not compare models with the digests that they were written with", 0, 0},
	    {"help", 'h', BD_FLAG, &parser.help, NULL, "print this help and exit", 0, 0},
	    {"version", 'V', BD_FLAG, &parser.version, NULL, "print the version and exit", 0, 0},
	    {"completion", 0, BD_ENUM, &parser.shell, BD_SHELLS, "print a completion script and exit", 0, 0},
	};

	parser.n = 0;
	parser.shell = BD_NO_SHELL;
	for (const struct bd_opt *o = tool->opts; o != NULL && o->name != NULL; o++)
		add_option(*o);
	parser.own = parser.n;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (!has_option(own[i].name))
			add_option(own[i]);
}

/* The option that a value of getopt_long represents; parser.n if none. */
static size_t find(int value)
{
	size_t i;

	if (value >= LONG)
		return (size_t)(value - LONG);
	for (i = 0; i < parser.n && (value == 0 || parser.opts[i].letter != value); i++)
		;
	return i;
}

static _Noreturn void refuse(int value, const char *word)
{
	const char *tool = parser.tool->name;
	size_t i = find(optopt);

	if (value == ':')
		bd_die(BD_USAGE, "--%s needs an argument (%s); see %s --help", parser.opts[i].name,
		       parser.opts[i].arg, tool);
	if (i < parser.n)
		bd_die(BD_USAGE, "--%s takes no argument; see %s --help", parser.opts[i].name, tool);
	if (optopt != 0)
		bd_die(BD_USAGE, "-%c: unknown option; see %s --help", optopt, tool);
	bd_die(BD_USAGE, "%s: unknown or ambiguous option; see %s --help", word, tool);
}

static void parse_options(int argc, char **argv)
{
	struct option longs[OPT_MAX] = {{0}};
	char shorts[2 * OPT_MAX + 2] = ":"; /* ':' first: missing arguments differ from unknown options */
	size_t i, n = 1;
	int value;

	for (i = 0; i < parser.n; i++) {
		const struct bd_opt *o = &parser.opts[i];

		longs[i] = (struct option){o->name, o->type == BD_FLAG ? no_argument : required_argument,
		                           NULL, LONG + (int)i};
		if (o->letter != 0)
			shorts[n++] = (char)o->letter;
		if (o->letter != 0 && o->type != BD_FLAG)
			shorts[n++] = ':';
	}
	opterr = 0;
	optind = 0; /* glibc: restart */
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (value == '?' || value == ':')
			refuse(value, argv[optind - 1]);
		i = find(value);
		parser.given[i] = true;
		assign(&parser.opts[i], optarg);
		if (parser.help || parser.version || parser.shell != BD_NO_SHELL)
			inform();
	}
}

static void check_operands(const struct bd_tool *tool, int argc, char **argv)
{
	int n = argc - optind;

	for (int i = optind; i < argc; i++)
		if (*argv[i] == '\0')
			bd_die(BD_USAGE, "operand %d: the name is empty", i - optind + 1);
	if (n < tool->min_args)
		bd_die(BD_USAGE, "operand missing; usage: %s %s", tool->name, tool->synopsis);
	if (tool->max_args >= 0 && n > tool->max_args)
		bd_die(BD_USAGE, "%s: one operand too many; usage: %s %s", argv[optind + tool->max_args],
		       tool->name, tool->synopsis);
}

static void add_file(const char *path, const char *what, bool written)
{
	if (path != NULL && strcmp(path, "-") != 0)
		bd_files_add(path, what, written);
}

/* The paths of an option. */
static void add_files(const struct bd_opt *o, bool written)
{
	struct bd_list one = {.n = 1}, *paths = o->type == BD_LIST ? o->dst : &one;

	if (o->type == BD_STR)
		one.item[0] = *(const char **)o->dst;
	for (size_t i = 0; i < paths->n; i++) {
		const char *path = paths->item[i];
		char *what = bd_sprintf("--%s %s", o->name, path != NULL ? path : "");

		add_file(path, what, written);
		bd_free(what);
	}
}

/* Operands are inputs, in every tool. */
static void check_files(int argc, char **argv)
{
	bd_files_forget();
	bd_files_add("-", "<stdin>", false);
	bd_files_add("-", "<stdout>", true);
	for (int i = optind; i < argc; i++)
		add_file(argv[i], argv[i], false);
	for (size_t i = 0; i < parser.n; i++)
		if (parser.flags[i] & (BD_READ | BD_WRITTEN))
			add_files(&parser.opts[i], (parser.flags[i] & BD_WRITTEN) != 0);
}

static int64_t default_threads(void)
{
	int n = bd_processors("");

	return n < THREADS_MAX ? n : THREADS_MAX;
}

int bd_opt_parse(const struct bd_tool *tool, struct bd_common *common, int argc, char **argv)
{
	bd_msg_tool(tool->name);
	occupy_standard_streams();
	signal(SIGPIPE, SIG_IGN);
	bd_signals_take();
	remember_command(argc, argv);
	*common = (struct bd_common){.threads = default_threads(), .seed = 1};
	parser.tool = tool;
	memset(parser.given, 0, sizeof(parser.given));
	collect(tool, common);
	parse_options(argc, argv);
	check_operands(tool, argc, argv);
	check_files(argc, argv);
	bd_verify(!common->no_verify);
	return optind;
}

bool bd_opt_given(const char *name)
{
	for (size_t i = 0; i < parser.n; i++)
		if (strcmp(parser.opts[i].name, name) == 0)
			return parser.given[i];
	return false;
}

const char *bd_opt_command(void)
{
	return parser.command;
}

const char *bd_opt_arguments(void)
{
	return parser.command != NULL ? parser.command + parser.name_n : "";
}
