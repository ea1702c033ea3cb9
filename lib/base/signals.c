/* The thread that handles signals, and the pipe by which it wakes a reader. */
#include "base/signals.h"

#include "base/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

enum state { FREE, CATCHING, CAUGHT };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t taker;    /* the process whose thread handles the signals */
static sigset_t taken; /* the signals */
static int wake[2];    /* closed at the writing end once a signal was caught */
static atomic_int state;
static void (*_Atomic before)(void);

/* Dies by `sig`, so that the shell sees a death by signal. */
static void end_by(int sig)
{
	void (*fn)(void) = before;
	sigset_t only;

	bd_msg_hush();
	if (fn != NULL)
		fn();
	sigemptyset(&only);
	sigaddset(&only, sig);
	signal(sig, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &only, NULL);
	kill(getpid(), sig);
}

static void *take(void *unused)
{
	int sig;

	(void)unused;
	while (sigwait(&taken, &sig) == 0) {
		int catching = CATCHING;

		if (atomic_compare_exchange_strong(&state, &catching, CAUGHT))
			close(wake[1]);
		else
			end_by(sig);
	}
	return NULL;
}

/* The signals that have their default action. */
static sigset_t ours(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction now;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			sigaddset(&set, signals[i]);
	return set;
}

/* The thread itself keeps all signals blocked: sigwait takes what is pending. */
static void start(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	taken = ours();
	state = FREE;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	errno = pthread_create(&thread, &attr, take, NULL);
	pthread_attr_destroy(&attr);
	if (errno != 0)
		bd_die(BD_SYS, "cannot start the thread that handles signals:");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_sigmask(SIG_BLOCK, &taken, NULL);
}

void bd_signals_take(void)
{
	pthread_mutex_lock(&lock);
	if (taker != getpid()) {
		taker = getpid();
		start();
	}
	pthread_mutex_unlock(&lock);
}

void bd_signals_before(void (*fn)(void))
{
	before = fn;
}

void bd_signals_catch(void)
{
	bd_signals_take();
	if (pipe2(wake, O_CLOEXEC) != 0)
		bd_die(BD_SYS, "cannot make a pipe:");
	state = CATCHING;
}

bool bd_signals_caught(void)
{
	return state == CAUGHT;
}

bool bd_signals_caught_soon(void)
{
	struct pollfd p = {.fd = wake[0], .events = POLLIN};

	if (state == CATCHING)
		poll(&p, 1, 200);
	return bd_signals_caught();
}

bool bd_signals_await(int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.events = POLLIN}};

	if (state == FREE)
		return true;
	p[1].fd = wake[0];
	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	return p[0].revents != 0 || p[1].revents == 0;
}
