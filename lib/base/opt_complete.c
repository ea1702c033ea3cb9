/* Completion scripts: names of options, the choices of those that have some, paths where the argument is one,
 * nothing for numbers. */
#include "base/opt_complete.h"

#include <string.h>

bool bd_opt_is_path(const struct bd_opt *o)
{
	static const char *const word[] = {"FILE", "DIR", "MODEL", "STREAM"};

	for (size_t i = 0; (o->type == BD_STR || o->type == BD_LIST) && i < sizeof(word) / sizeof(*word); i++)
		if (strstr(o->arg, word[i]) != NULL)
			return true;
	return false;
}

/* s with a backslash before every byte of `special`, and quotes as written within '...': '\'' or, in fish,
 * \'. */
static void add_escaped(struct bd_buf *b, const char *s, const char *special, const char *quote)
{
	for (; *s != '\0'; s++) {
		if (*s == '\'') {
			bd_buf_str(b, quote);
			continue;
		}
		if (strchr(special, *s) != NULL)
			bd_buf_str(b, "\\");
		bd_buf_add(b, s, 1);
	}
}

/* "full|ternary" as "full ternary". */
static void add_choices(struct bd_buf *b, const char *choices)
{
	for (; *choices != '\0'; choices++)
		bd_buf_add(b, *choices == '|' ? " " : choices, 1);
}

/* ---- bash ---- */

/* "	-o|--output) WHAT" */
static void bash_case(struct bd_buf *b, const struct bd_opt *o, const char *what)
{
	bd_buf_str(b, "\t");
	if (o->letter != 0)
		bd_buf_fmt(b, "-%c|", o->letter);
	bd_buf_fmt(b, "--%s) %s", o->name, what);
}

static void bash_argument(struct bd_buf *b, const struct bd_opt *o)
{
	if (o->type == BD_FLAG)
		return;
	if (o->type == BD_ENUM) {
		bash_case(b, o, "mapfile -t COMPREPLY < <(compgen -W '");
		add_choices(b, o->arg);
		bd_buf_str(b, "' -- \"$cur\"); return ;;\n");
	} else {
		bash_case(b, o, bd_opt_is_path(o) ? "return ;;\n" : "compopt +o default; return ;;\n");
	}
}

/* "--name=value" arrives as three words. If the reply is empty, -o default offers file names. */
static void bash(struct bd_buf *b, const char *tool, const struct bd_opt *opts, size_t n)
{
	bd_buf_fmt(b,
	           "# bash completion of %s\n"
	           "_%s()\n{\n"
	           "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	           "\tif [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then "
	           "prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
	           "\tCOMPREPLY=()\n\tcase $prev in\n",
	           tool, tool);
	for (size_t i = 0; i < n; i++)
		bash_argument(b, &opts[i]);
	bd_buf_str(b, "\tesac\n\t[[ $cur != -* ]] || mapfile -t COMPREPLY < <(compgen -W '");
	for (size_t i = 0; i < n; i++) {
		if (opts[i].letter != 0)
			bd_buf_fmt(b, "-%c ", opts[i].letter);
		bd_buf_fmt(b, "--%s%s", opts[i].name, i + 1 < n ? " " : "");
	}
	bd_buf_fmt(b, "' -- \"$cur\")\n}\ncomplete -o default -F _%s %s\n", tool, tool);
}

/* ---- zsh ---- */

/* '(-o --output)'{-o+,--output=}'[help]:FILE:_files', and '*--stop=[help]:TEXT:' for options that may be
 * repeated */
static void zsh_option(struct bd_buf *b, const struct bd_opt *o)
{
	const char *plus = o->type == BD_FLAG ? "" : "+", *equals = o->type == BD_FLAG ? "" : "=";

	bd_buf_str(b, o->type == BD_LIST ? " \\\n\t'*" : " \\\n\t'");
	if (o->letter != 0 && o->type == BD_LIST)
		bd_buf_fmt(b, "'{-%c+,--%s=}'[", o->letter, o->name);
	else if (o->letter != 0)
		bd_buf_fmt(b, "(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter, plus, o->name,
		           equals);
	else
		bd_buf_fmt(b, "--%s%s[", o->name, equals);
	add_escaped(b, o->help, "[]:\\", "'\\''");
	bd_buf_str(b, "]");
	if (o->type == BD_ENUM) {
		bd_buf_fmt(b, ":%s:(", o->name);
		add_choices(b, o->arg);
		bd_buf_str(b, ")");
	} else if (o->type != BD_FLAG) {
		bd_buf_fmt(b, ":%s:%s", o->arg, bd_opt_is_path(o) ? "_files" : "");
	}
	bd_buf_str(b, "'");
}

static void zsh(struct bd_buf *b, const char *tool, const struct bd_opt *opts, size_t n)
{
	bd_buf_fmt(b, "#compdef %s\n_arguments -s -S", tool);
	for (size_t i = 0; i < n; i++)
		zsh_option(b, &opts[i]);
	bd_buf_str(b, " \\\n\t'*:file:_files'\n");
}

/* ---- fish ---- */

static void fish(struct bd_buf *b, const char *tool, const struct bd_opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct bd_opt *o = &opts[i];

		bd_buf_fmt(b, "complete -c %s", tool);
		if (o->letter != 0)
			bd_buf_fmt(b, " -s %c", o->letter);
		bd_buf_fmt(b, " -l %s -d '", o->name);
		add_escaped(b, o->help, "\\", "\\'");
		bd_buf_str(b, "'");
		if (o->type == BD_ENUM) {
			bd_buf_str(b, " -x -a '");
			add_choices(b, o->arg);
			bd_buf_str(b, "'");
		} else if (o->type != BD_FLAG) {
			bd_buf_str(b, bd_opt_is_path(o) ? " -r -F" : " -x");
		}
		bd_buf_str(b, "\n");
	}
}

void bd_opt_complete(struct bd_buf *b, enum bd_shell shell, const char *tool, const struct bd_opt *opts,
                     size_t n)
{
	static void (*const script[])(struct bd_buf *, const char *, const struct bd_opt *,
	                              size_t) = {bash, zsh, fish};

	script[shell](b, tool, opts, n);
}
