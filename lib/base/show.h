/* Text that comes from files and models, as it may be shown: nothing in it moves a cursor, changes a
 * terminal, or looks like a line that it is not. Spelled out are control characters (C0, DEL, C1), the
 * separators of lines and paragraphs and what turns the direction of writing, as \n, \t, \r, \x1b or \u202e,
 * and bytes that are not UTF-8, as \xff. */
#ifndef BD_SHOW_H
#define BD_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Writes s[n] to out[room], room > 0, cut to fit and ended by a NUL; returns its length. lines: newlines and
 * tabs stay as they are. */
size_t bd_show(const char *s, size_t n, bool lines, char *out, size_t room);
/* Prints s[n] to f; false: f has failed. */
bool bd_show_to(FILE *f, const char *s, size_t n, bool lines);

#endif
