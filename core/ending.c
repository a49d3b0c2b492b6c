/* SPDX-License-Identifier: MIT */
/* Whom a signal reaches depends on who we are: PID 1 has kill(-1); a subreaper
 * looks through /proc for what descends from it; anybody else knows only its own
 * children. Everything lives on the stack. */
#include "ending.h"

#include "child.h"
#include "loop.h"
#include "signal.h"
#include "util.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* How long we wait for the killed to be gone, and how often we look for those that
 * were forked while we were killing. */
#define AFTER_KILL_NS (2 * NSEC_PER_SEC)
#define LOOK_AGAIN_NS (20 * NSEC_PER_MSEC)

static bool impatient;

static void arrived(const struct signal_arrival *arrival)
{
	int number = arrival->number;

	if (number == SIGTERM || number == SIGINT || number == SIGNAL_RTMIN + 3)
		impatient = true;
}

/* ---- everything below us, by /proc */

/* The parent's pid; 0: it is gone. */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[512];
	const char *after_name;
	auto_close int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	after_name = strrchr(text, ')'); /* "12 (any (name)) S 1 ..." */
	return after_name && strlen(after_name) > 4 ? atoi(after_name + 4) : 0;
}

static bool is_below(pid_t pid, pid_t ancestor)
{
	while (pid > 1) {
		pid = parent_of(pid);
		if (pid == ancestor)
			return true;
	}
	return false;
}

static void kill_if_below(const char *name, int signal)
{
	pid_t pid = atoi(name);

	if (pid > 1 && is_below(pid, getpid()))
		(void)kill(pid, signal);
}

/* The raw call, since readdir(3) allocates. */
static void kill_below(int signal)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct dirent))));
	auto_close int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	while (fd >= 0 && (n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct dirent *entry = (const struct dirent *)p;

			kill_if_below(entry->d_name, signal);
			p += entry->d_reclen;
		}
	}
}

/* ---- */

static bool is_subreaper(void)
{
	int subreaper = 0;

	(void)prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	return subreaper != 0;
}

static void kill_all(int signal)
{
	if (getpid() == 1) {
		(void)kill(-1, signal);
		return;
	}
	child_kill_known(signal);
	if (is_subreaper())
		kill_below(signal);
}

/* Until `deadline`, or as long as there is anybody and patience. */
static void wait_for_all(int64_t deadline)
{
	while (child_any() && !impatient && loop_time() < deadline)
		(void)loop_turn(deadline);
}

static void kill_until_gone(void)
{
	int64_t deadline = loop_time() + AFTER_KILL_NS;

	while (child_any() && loop_time() < deadline) {
		kill_all(SIGKILL);
		(void)loop_turn(loop_time() + LOOK_AGAIN_NS);
	}
}

void ending_run(int term, int64_t grace)
{
	signal_redirect(arrived);
	if (child_any() && term) {
		kill_all(term);
		kill_all(SIGCONT); /* a stopped process could not act on it */
		wait_for_all(loop_time() + grace);
	}
	kill_until_gone();
}

void ending_termination_log(const char *text)
{
	auto_close int fd = open("/dev/termination-log",
				 O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, text, strlen(text));
}
