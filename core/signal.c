/* SPDX-License-Identifier: MIT */
/* Names in tables, sets as the kernel's 64 bits, and one signalfd that is read
 * in batches. The raw system calls are for signals 32 to 34: musl and glibc keep
 * some of them for their threads, which we do not have. */
#include "signal.h"

#include "child.h"
#include "loop.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

static const char *const names[SIGNAL_MAX + 1] = {
	[SIGHUP] = "HUP",   [SIGINT] = "INT",       [SIGQUIT] = "QUIT", [SIGILL] = "ILL",
	[SIGTRAP] = "TRAP", [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",   [SIGFPE] = "FPE",
	[SIGKILL] = "KILL", [SIGUSR1] = "USR1",     [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
	[SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",     [SIGTERM] = "TERM", [SIGSTKFLT] = "STKFLT",
	[SIGCHLD] = "CHLD", [SIGCONT] = "CONT",     [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
	[SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU",     [SIGURG] = "URG",   [SIGXCPU] = "XCPU",
	[SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH",
	[SIGIO] = "IO",     [SIGPWR] = "PWR",       [SIGSYS] = "SYS",   [32] = "32",
	[33] = "33",        [34] = "RTMIN",         [35] = "RTMIN+1",   [36] = "RTMIN+2",
	[37] = "RTMIN+3",   [38] = "RTMIN+4",       [39] = "RTMIN+5",   [40] = "RTMIN+6",
	[41] = "RTMIN+7",   [42] = "RTMIN+8",       [43] = "RTMIN+9",   [44] = "RTMIN+10",
	[45] = "RTMIN+11",  [46] = "RTMIN+12",      [47] = "RTMIN+13",  [48] = "RTMIN+14",
	[49] = "RTMIN+15",  [50] = "RTMIN+16",      [51] = "RTMIN+17",  [52] = "RTMIN+18",
	[53] = "RTMIN+19",  [54] = "RTMIN+20",      [55] = "RTMIN+21",  [56] = "RTMIN+22",
	[57] = "RTMIN+23",  [58] = "RTMIN+24",      [59] = "RTMIN+25",  [60] = "RTMIN+26",
	[61] = "RTMIN+27",  [62] = "RTMIN+28",      [63] = "RTMIN+29",  [64] = "RTMIN+30",
};

static const struct {
	const char *name;
	int number;
} aliases[] = {
	{ "RTMAX", SIGNAL_MAX },
	{ "IOT", SIGABRT },
	{ "CLD", SIGCHLD },
	{ "POLL", SIGIO },
};

static int find_name(const char *name)
{
	for (int i = 1; i <= SIGNAL_MAX; i++)
		if (strcasecmp(name, names[i]) == 0)
			return i;
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (strcasecmp(name, aliases[i].name) == 0)
			return aliases[i].number;
	return -EINVAL;
}

/* Digits only and in range, else -EINVAL. */
static int parse_number(const char *text, int min, int max)
{
	int n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text) || n > max)
			return -EINVAL;
		n = n * 10 + (*text - '0');
	}
	return n < min || n > max ? -EINVAL : n;
}

int signal_number(const char *name)
{
	int back;

	if (isdigit((unsigned char)*name))
		return parse_number(name, 1, SIGNAL_MAX);
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	if (strncasecmp(name, "RTMAX-", 6) == 0) {
		back = parse_number(name + 6, 0, SIGNAL_MAX - SIGNAL_RTMIN);
		return back < 0 ? back : SIGNAL_MAX - back;
	}
	return find_name(name);
}

const char *signal_name(int number)
{
	return number >= 1 && number <= SIGNAL_MAX ? names[number] : "?";
}

static uint64_t inherited_mask;

static uint64_t change_mask(int how, uint64_t set)
{
	uint64_t old = 0;

	(void)syscall(SYS_rt_sigprocmask, how, &set, &old, sizeof(set));
	return old;
}

uint64_t signal_block(uint64_t set)
{
	return change_mask(SIG_BLOCK, set);
}

void signal_unblock(uint64_t set)
{
	(void)change_mask(SIG_UNBLOCK, set);
}

void signal_set_mask(uint64_t set)
{
	(void)change_mask(SIG_SETMASK, set);
}

void signal_reset_dispositions(uint64_t set)
{
	/* Larger than any kernel's struct sigaction; all zeros are SIG_DFL. */
	static const unsigned long action[8];

	for (int i = 1; i <= SIGNAL_MAX; i++)
		if (set & SIGNAL_BIT(i))
			(void)syscall(SYS_rt_sigaction, i, action, NULL, sizeof(uint64_t));
}

uint64_t signal_inherited_mask(void)
{
	return inherited_mask;
}

static void (*on_arrival)(const struct signal_arrival *arrival);

/* A fork storm must not keep the loop from its other work: when a batch was not
 * enough, we send ourselves the signal that brings us back here next turn. */
static void reap(void)
{
	if (child_reap())
		(void)kill(getpid(), SIGCHLD);
}

static void hand_over(int number, pid_t sender)
{
	struct signal_arrival arrival = { .number = number, .outside = sender == 0 };

	/* Our own write to a pipe that nobody reads: EPIPE has said it. */
	if (number == SIGPIPE && sender == getpid())
		return;
	on_arrival(&arrival);
}

static void signalfd_ready(struct loop_source *source, uint32_t events)
{
	struct signalfd_siginfo infos[16];
	ssize_t n = read(source->fd, infos, sizeof(infos));
	bool child = false;

	(void)events;
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(infos[0]); i++) {
		if (infos[i].ssi_signo == SIGCHLD)
			child = true;
		else
			hand_over((int)infos[i].ssi_signo, (pid_t)infos[i].ssi_pid);
	}
	if (child)
		reap();
}

void signal_redirect(void (*arrived)(const struct signal_arrival *arrival))
{
	on_arrival = arrived;
}

void signal_take(void (*arrived)(const struct signal_arrival *arrival))
{
	if (!on_arrival)
		inherited_mask = signal_block(SIGNAL_ALL);
	on_arrival = arrived;
	/* Inherited as ignored it would let the kernel reap behind our back. The
	 * others may stay ignored: blocked signals arrive all the same. */
	(void)signal(SIGCHLD, SIG_DFL);
	/* Of those that ended before this, nobody sends word any more. */
	reap();
}

void signal_wait(void)
{
	uint64_t all = SIGNAL_ALL;
	siginfo_t info;
	long number = syscall(SYS_rt_sigtimedwait, &all, &info, NULL, sizeof(all));

	if (number == SIGCHLD)
		reap();
	else if (number > 0)
		hand_over((int)number, info.si_pid);
}

int signal_init(void (*arrived)(const struct signal_arrival *arrival))
{
	static struct loop_source source = { .ready = signalfd_ready };
	uint64_t all = SIGNAL_ALL;

	signal_take(arrived);
	source.fd = (int)syscall(SYS_signalfd4, -1, &all, sizeof(all), SFD_CLOEXEC | SFD_NONBLOCK);
	if (source.fd < 0)
		return -errno;
	return loop_add(&source, EPOLLIN);
}
