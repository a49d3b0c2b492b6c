/* SPDX-License-Identifier: MIT */
/* The numbers that the program expects its descriptors at may be ours: what stands
 * there is moved aside first, and moved back when there is no program. epoll knows
 * a source by its number and its file, so it does not notice. */
#include "handover.h"

#include "room.h"
#include "signal.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/time.h>

/* One of the plan's descriptors; -1: there is none. */
struct place {
	int from;  /* a copy of what goes there */
	int aside; /* what was there before */
};

static int first_free(const struct spawn_plan *plan)
{
	int above = 3;

	for (int i = 0; i < plan->fd_count; i++)
		if (plan->fds[i].to >= above)
			above = plan->fds[i].to + 1;
	return above;
}

/* Everything is copied before anything is replaced. */
static int copy_aside(const struct spawn_plan *plan, struct place *places)
{
	int above = first_free(plan);

	for (int i = 0; i < plan->fd_count; i++) {
		places[i].from = fcntl(plan->fds[i].from, F_DUPFD_CLOEXEC, above);
		if (places[i].from < 0)
			return -errno;
		places[i].aside = fcntl(plan->fds[i].to, F_DUPFD_CLOEXEC, above);
		if (places[i].aside < 0 && errno != EBADF)
			return -errno;
	}
	return 0;
}

static int put_in_place(const struct spawn_plan *plan, const struct place *places)
{
	for (int i = 0; i < plan->fd_count; i++)
		if (dup2(places[i].from, plan->fds[i].to) < 0)
			return -errno;
	return 0;
}

static void put_back(const struct spawn_plan *plan, const struct place *places)
{
	for (int i = 0; i < plan->fd_count; i++) {
		int to = plan->fds[i].to;

		if (places[i].aside >= 0)
			(void)dup3(places[i].aside, to, to > 2 ? O_CLOEXEC : 0);
		else
			(void)close(to);
	}
}

static void forget(const struct spawn_plan *plan, struct place *places)
{
	for (int i = 0; i < plan->fd_count; i++) {
		cleanup_close(&places[i].aside);
		cleanup_close(&places[i].from);
	}
}

/* The timer of guard.c would go on through the exec, and its signal kills a program
 * that does not expect it. */
static int execute(const struct spawn_plan *plan)
{
	static const struct itimerval never;
	uint64_t mask = signal_block(0);
	struct itimerval ticks;
	struct rlimit ours, given;
	int error;

	(void)setitimer(ITIMER_PROF, &never, &ticks);
	for (int i = 0; i < SPAWN_MAX_OWN_PIDS && plan->own_pids[i]; i++)
		(void)snprintf(plan->own_pids[i], SPAWN_PID_SIZE, "%d", getpid());
	signal_set_mask(signal_inherited_mask());
	if (getrlimit(RLIMIT_NOFILE, &ours) == 0 && room_given(&given))
		(void)setrlimit(RLIMIT_NOFILE, &given);
	(void)execve(plan->path, plan->argv, plan->envp);
	error = errno;
	if (room_given(&given))
		(void)setrlimit(RLIMIT_NOFILE, &ours);
	signal_set_mask(mask);
	(void)setitimer(ITIMER_PROF, &ticks, NULL);
	return -error;
}

int handover_exec(const struct spawn_plan *plan)
{
	struct place places[SPAWN_MAX_FDS];
	int r;

	for (int i = 0; i < plan->fd_count; i++)
		places[i] = (struct place){ -1, -1 };
	r = copy_aside(plan, places);
	if (r == 0) {
		r = put_in_place(plan, places);
		if (r == 0)
			r = execute(plan);
		put_back(plan, places);
	}
	forget(plan, places);
	return r;
}
