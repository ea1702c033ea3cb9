/* Completion scripts for shells, from a tool's table of options. For opt_parse.c. */
#ifndef BD_OPT_COMPLETE_H
#define BD_OPT_COMPLETE_H

#include "base/mem.h"
#include "base/opt.h"

enum bd_shell { BD_NO_SHELL = -1, BD_BASH, BD_ZSH, BD_FISH };
#define BD_SHELLS "bash|zsh|fish"

/* Whether the argument is a path: opt.h says which words mean that. */
bool bd_opt_is_path(const struct bd_opt *o);

/* Appends the script that completes `tool` with all its options opts[n], the common ones included. */
void bd_opt_complete(struct bd_buf *b, enum bd_shell shell, const char *tool, const struct bd_opt *opts,
                     size_t n);

#endif
