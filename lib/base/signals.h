/* Signals, handled in one place. SIGINT, SIGTERM and SIGHUP (those that the program was not started to
 * ignore) are blocked in every thread, and one thread waits for them: no handler ever runs on a thread that
 * computes. Libraries move the stack pointer into heap blocks (oneDNN 2.6's sgemm for AVX-512 does), and the
 * kernel would write a handler's frame over the heap. */
#ifndef BD_SIGNALS_H
#define BD_SIGNALS_H

#include <stdbool.h>

/* Starts handling them. Threads started earlier must have blocked these signals themselves. Repeated calls do
 * nothing, but in a forked child the first one starts anew. A signal ends the process as it would by default,
 * after bd_signals_before. */
void bd_signals_take(void);

/* fn runs before a signal ends the process, while other threads still run; bd_die() of these waits then. */
void bd_signals_before(void (*fn)(void));

/* From now on, the first signal only makes bd_signals_caught return true; the next one ends the process. */
void bd_signals_catch(void);
bool bd_signals_caught(void);
/* Waits a moment for a signal that may have been sent together with the event just seen, say to the whole
 * pipeline. */
bool bd_signals_caught_soon(void);

/* Waits until fd can be read or has ended; false: a caught signal came first. Without
 * bd_signals_catch: true. */
bool bd_signals_await(int fd);

#endif
