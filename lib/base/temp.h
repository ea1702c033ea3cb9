/* Temporary files and directories beside their targets, removed by bd_die(), exit() and the signals SIGINT,
 * SIGTERM and SIGHUP (signals.h). For io.h; tools use that. */
#ifndef BD_TEMP_H
#define BD_TEMP_H

struct bd_temp;

/* DIR/.NAME.PID.tmp for the target DIR/NAME: a new file, open for reading and writing in *fd, or a directory,
 * locked while it lives. Leftovers for this target of processes that were killed (SIGKILL, power failure) are
 * removed first; that of a living one means that the target is being written, and dies BD_USAGE. */
struct bd_temp *bd_temp_file(const char *path, int *fd);
struct bd_temp *bd_temp_dir(const char *path);
const char *bd_temp_path(const struct bd_temp *t);

/* Each ends the temporary: it now has another name, or is removed. */
void bd_temp_keep(struct bd_temp *t);
void bd_temp_drop(struct bd_temp *t);

#endif
