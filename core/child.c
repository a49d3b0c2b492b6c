/* SPDX-License-Identifier: MIT */
/* A hash of intrusive lists: no allocation, so adopting a child can't fail. The
 * owner is taken out of the table before it is told, and may do anything then:
 * free itself, or adopt another. */
#include "child.h"

#include "util.h"

#include <errno.h>
#include <sys/wait.h>

#define BUCKETS 256

static struct child *table[BUCKETS];
static int stop_options; /* WSTOPPED once anybody asked: stops cost a wake-up each */
static void (*lookers[4])(void);
static void (*stranger_ended)(pid_t pid, const struct child_end *end);
static void (*batch_reaped)(void);

static struct child **bucket(pid_t pid)
{
	return &table[(unsigned)pid % BUCKETS];
}

/* Where the pointer to the child is kept, for taking it out; NULL: unknown. */
static struct child **find(pid_t pid)
{
	for (struct child **p = bucket(pid); *p; p = &(*p)->next)
		if ((*p)->pid == pid)
			return p;
	return NULL;
}

void child_adopt(struct child *child, pid_t pid,
		 void (*ended)(struct child *child, const struct child_end *end))
{
	struct child **head = bucket(pid);

	*child = (struct child){ .pid = pid, .ended = ended, .next = *head };
	*head = child;
}

void child_watch_stops(struct child *child, void (*stopped)(struct child *child, int signal))
{
	child->stopped = stopped;
	stop_options = WSTOPPED;
}

void child_watch_strangers(void (*ended)(pid_t pid, const struct child_end *end))
{
	stranger_ended = ended;
}

void child_before_reaping(void (*look)(void))
{
	size_t i = 0;

	while (i < ARRAY_SIZE(lookers) && lookers[i] && lookers[i] != look)
		i++;
	if (i < ARRAY_SIZE(lookers))
		lookers[i] = look;
}

void child_watch_batches(void (*reaped)(void))
{
	batch_reaped = reaped;
}

struct child *child_find(pid_t pid)
{
	struct child **p = pid > 0 ? find(pid) : NULL;

	return p ? *p : NULL;
}

void child_forget(struct child *child)
{
	struct child **p = child->pid > 0 ? find(child->pid) : NULL;

	if (!p)
		return;
	*p = child->next;
	child->pid = 0;
}

static void tell_ended(pid_t pid, const struct child_end *end)
{
	struct child **p = find(pid);
	struct child *child;

	if (p) {
		child = *p;
		child_forget(child);
		child->ended(child, end);
	} else if (stranger_ended) {
		stranger_ended(pid, end);
	}
}

static void tell_stopped(pid_t pid, int signal)
{
	struct child **p = find(pid);

	if (p && (*p)->stopped)
		(*p)->stopped(*p, signal);
}

static void tell(const siginfo_t *info)
{
	struct child_end end = { .how = CHILD_EXITED, .number = info->si_status };

	switch (info->si_code) {
	case CLD_STOPPED:
	case CLD_TRAPPED:
		tell_stopped(info->si_pid, info->si_status);
		return;
	case CLD_KILLED:
		end.how = CHILD_KILLED;
		break;
	case CLD_DUMPED:
		end.how = CHILD_DUMPED;
		break;
	}
	tell_ended(info->si_pid, &end);
}

static bool look(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lookers) && lookers[i]; i++)
		lookers[i]();
	return lookers[0] != NULL;
}

/* Whoever is reaped had ended before the look, so nothing that it has said is missed.
 * false: nobody has ended. */
static bool take_one(siginfo_t *info)
{
	int options = WEXITED | WNOHANG | stop_options;
	bool is_watched = lookers[0] != NULL;

	if (waitid(P_ALL, 0, info, is_watched ? options | WNOWAIT : options) < 0 ||
	    info->si_pid == 0)
		return false;
	return !look() || waitid(P_PID, (id_t)info->si_pid, info, options) == 0;
}

static bool reap_batch(void)
{
	for (int i = 0; i < CHILD_REAP_BATCH; i++) {
		siginfo_t info = { 0 };

		if (!take_one(&info))
			return false;
		tell(&info);
	}
	return true;
}

bool child_reap(void)
{
	bool more = reap_batch();

	if (batch_reaped)
		batch_reaped();
	return more;
}

bool child_any(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

int child_kill(const struct child *child, int signal)
{
	if (child->pid <= 0)
		return -ESRCH;
	return kill(child->pid, signal) < 0 ? -errno : 0;
}

int child_kill_group(const struct child *child, int signal)
{
	if (child->pid <= 0)
		return -ESRCH;
	return kill(-child->pid, signal) < 0 ? -errno : 0;
}

void child_kill_known(int signal)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (const struct child *child = table[i]; child; child = child->next) {
			(void)child_kill(child, signal);
			(void)child_kill_group(child, signal);
		}
	}
}

int child_exit_status(const struct child_end *end)
{
	return end->how == CHILD_EXITED ? end->number : 128 + end->number;
}
