/* The files of a run: what it reads and what it writes. They are compared by device and inode, so that no
 * spelling, link or mount hides that two of them are the same. */
#ifndef BD_FILES_H
#define BD_FILES_H

#include <stdbool.h>

/* Remembers a file or directory by its path, and what to call it in messages. Dies BD_USAGE if what is
 * written is also read, is written twice, or lies in a directory that is read or written, and if what is
 * read lies in a directory that is written. Devices and pipes are not compared; "-" is stdin or stdout. */
void bd_files_add(const char *path, const char *what, bool written);

void bd_files_forget(void); /* all of them: another command line begins */

/* The same check of a path that will be written, which is not remembered. */
void bd_files_apart(const char *path, const char *what);

#endif
