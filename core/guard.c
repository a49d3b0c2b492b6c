/* SPDX-License-Identifier: MIT */
/* One timer of CPU time, one jump buffer, and the handlers of the fatal signals
 * on a stack of their own. */
#include "guard.h"

#include "memory.h"
#include "signal.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

/* Ticks come this often while the CPU is used; a slice ends at the second. */
#define TICK_NS (5 * NSEC_PER_MSEC)
#define LATE_NS (100 * NSEC_PER_MSEC)
#define PATIENCE_NS (1 * NSEC_PER_SEC)
#define STUCK_NS (2 * NSEC_PER_SEC)

static sigjmp_buf escape;
static volatile sig_atomic_t can_escape, paused, over, late, overdue;
static volatile unsigned slice;
static const char *volatile lost;
static void (*overrun)(void);

/* Only the tick reads and writes these, except last_alive. */
static unsigned seen_slice;
static int64_t slice_start;
static volatile int64_t last_alive;

static const struct fatal {
	int number;
	const char *name;
} fatal[] = {
	{ SIGSEGV, "segmentation fault" },
	{ SIGBUS, "bus error" },
	{ SIGFPE, "arithmetic exception" },
	{ SIGILL, "illegal instruction" },
	{ SIGABRT, "abort" },
	{ SIGSYS, "forbidden system call" },
};

static int64_t cpu_time(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

void guard_give_up(const char *reason)
{
	if (!can_escape)
		_exit(70);
	can_escape = 0;
	lost = reason;
	siglongjmp(escape, 1);
}

static void begin(int64_t now)
{
	seen_slice = slice;
	slice_start = last_alive = now;
}

static void tick(int signal, siginfo_t *info, void *context)
{
	int64_t now = cpu_time();

	(void)signal;
	(void)context;
	if (info->si_code != SI_KERNEL || paused || !can_escape)
		return;
	if (seen_slice != slice) {
		begin(now);
		return;
	}
	late = now - slice_start > LATE_NS;
	overdue = now - slice_start > PATIENCE_NS;
	if (now - last_alive > STUCK_NS && !memory_busy())
		guard_give_up("a C function or a finalizer does not return");
	over = 1;
	overrun();
}

/* What a process of the container sends us is none: without this it would end PID 1. */
static void fatal_signal(int number, siginfo_t *info, void *context)
{
	const char *name = "fatal signal";

	(void)context;
	if (info->si_code <= 0 && info->si_pid > 0 && info->si_pid != getpid())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		if (fatal[i].number == number)
			name = fatal[i].name;
	guard_give_up(name);
}

static int catch_fatal_signals(sigset_t *unblock)
{
	static char stack_memory[32768];
	stack_t stack = { .ss_sp = stack_memory, .ss_size = sizeof(stack_memory) };
	struct sigaction action = { .sa_sigaction = fatal_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	sigfillset(&action.sa_mask);
	if (sigaltstack(&stack, NULL) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		if (sigaction(fatal[i].number, &action, NULL) < 0)
			return -errno;
		sigaddset(unblock, fatal[i].number);
	}
	return 0;
}

/* setitimer, not timer_create: that needs a place in the queue of signals, which
 * RLIMIT_SIGPENDING may deny. */
static int start_ticks(sigset_t *unblock)
{
	struct sigaction action = { .sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct itimerval every = { { 0, TICK_NS / 1000 }, { 0, TICK_NS / 1000 } };

	sigfillset(&action.sa_mask);
	if (sigaction(SIGPROF, &action, NULL) < 0)
		return -errno;
	sigaddset(unblock, SIGPROF);
	return setitimer(ITIMER_PROF, &every, NULL) < 0 ? -errno : 0;
}

int guard_init(void (*when_overrun)(void))
{
	sigset_t unblock;
	int r;

	overrun = when_overrun;
	sigemptyset(&unblock);
	r = catch_fatal_signals(&unblock);
	if (r >= 0)
		r = start_ticks(&unblock);
	if (r >= 0 && sigprocmask(SIG_UNBLOCK, &unblock, NULL) < 0)
		r = -errno;
	return r;
}

uint64_t guard_signals(void)
{
	uint64_t set = SIGNAL_BIT(SIGPROF);

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		set |= SIGNAL_BIT(fatal[i].number);
	return set;
}

const char *guard_call(void (*call)(void *data), void *data)
{
	if (sigsetjmp(escape, 1))
		return lost;
	can_escape = 1;
	call(data);
	can_escape = 0;
	return NULL;
}

void guard_new_slice(void)
{
	slice = slice + 1;
	over = late = overdue = 0;
}

void guard_pause(void)
{
	paused = 1;
}

void guard_resume(void)
{
	guard_new_slice();
	paused = 0;
}

void guard_alive(void)
{
	last_alive = cpu_time();
}

bool guard_over(void)
{
	return over;
}

bool guard_late(void)
{
	return late;
}

bool guard_overdue(void)
{
	return overdue;
}
