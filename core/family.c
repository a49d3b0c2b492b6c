/* SPDX-License-Identifier: MIT */
/* When a process ends, its children become ours: the kernel sees to that before we can
 * reap it. So what a main process leaves behind begins with children of ours that we
 * did not start: orphans. They are looked for after a batch in which a main process
 * has ended, all in one look, and each one's mark is read once. When the last orphan
 * has been reaped and no other has turned up, nobody is left; nothing has to be
 * polled, and /proc is never searched as a whole. */
#include "family.h"

#include "cgroup.h"
#include "descend.h"
#include "util.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BUCKETS 256
#define USUAL_SIZE 64 /* members */

struct orphan {
	struct child child;
	struct family *family;        /* NULL: nobody's, or its family is gone */
	struct orphan *next, **place; /* in its family's list: who points to it */
};

static struct family *table[BUCKETS];
static struct family *headless; /* the main process has ended, not all are gone */

static struct family **bucket(unsigned id)
{
	return &table[id % BUCKETS];
}

static struct family *find(unsigned id)
{
	struct family *family = id ? *bucket(id) : NULL;

	while (family && family->id != id)
		family = family->next;
	return family;
}

/* ---- orphans */

static void add_orphan(struct orphan *orphan, struct family *family)
{
	orphan->family = family;
	orphan->place = &family->orphans;
	orphan->next = family->orphans;
	if (orphan->next)
		orphan->next->place = &orphan->next;
	family->orphans = orphan;
}

static void remove_orphan(struct orphan *orphan)
{
	if (orphan->family) {
		*orphan->place = orphan->next;
		if (orphan->next)
			orphan->next->place = orphan->place;
	}
	child_forget(&orphan->child);
	free(orphan);
}

static void orphan_ended(struct child *child, const struct child_end *end)
{
	(void)end;
	remove_orphan(container_of(child, struct orphan, child));
}

/* Only we reap our children, so the pid is still the same process. One for which there
 * is no memory can't be waited for, and has to go at once. */
static void note_child(pid_t pid, void *data)
{
	(void)data;
	if (child_find(pid))
		return;
	struct family *family = find(descend_owner(pid));
	struct orphan *orphan = calloc(1, sizeof(*orphan));

	if (family && (family->doomed || !orphan))
		(void)kill(pid, SIGKILL);
	if (!orphan)
		return;
	if (family)
		add_orphan(orphan, family);
	child_adopt(&orphan->child, pid, orphan_ended);
}

static bool find_orphans(void)
{
	return descend_each_child(note_child, NULL) == 0;
}

/* ---- the end */

static void remove_headless(struct family *family)
{
	struct family **p = &headless;

	while (*p && *p != family)
		p = &(*p)->next_headless;
	if (*p)
		*p = family->next_headless;
}

static void forget(struct family *family)
{
	struct family **p = bucket(family->id);

	remove_headless(family);
	if (!family->alone)
		cgroup_remove(family->id);
	while (*p != family)
		p = &(*p)->next;
	*p = family->next;
	for (struct orphan *orphan = family->orphans; orphan; orphan = orphan->next)
		orphan->family = NULL;
}

static void tell(struct family *family)
{
	bool told = family->told, left = family->orphans;

	family->told = true;
	if (!left)
		forget(family);
	if (!told)
		family->owner->ended(family, &family->end, left);
	else if (!left)
		family->owner->gone(family);
}

/* Without /proc we know only the group of the first process. */
static void kill_groups(void)
{
	for (struct family *family = headless; family; family = family->next_headless)
		(void)kill(-family->session, SIGKILL);
}

static void settle(void)
{
	struct family *next;

	if (!headless)
		return;
	if (!find_orphans())
		kill_groups();
	for (struct family *family = headless; family; family = next) {
		next = family->next_headless;
		tell(family);
	}
}

static void stop_watching(struct family *family)
{
	if (family->exit.fd < 0)
		return;
	loop_remove(&family->exit);
	(void)close(family->exit.fd);
	family->exit.fd = -1;
}

static void main_ended(struct child *child, const struct child_end *end)
{
	struct family *family = container_of(child, struct family, main);

	stop_watching(family);
	if (family->alone) {
		forget(family);
		family->owner->ended(family, end, false);
		return;
	}
	family->end = *end;
	family->told = false;
	family->next_headless = headless;
	headless = family;
}

void family_adopt(struct family *family, unsigned id, pid_t pid, bool alone,
		  const struct family_owner *owner)
{
	*family = (struct family){ .id = id,
				   .session = pid,
				   .alone = alone,
				   .exit.fd = -1,
				   .owner = owner,
				   .next = *bucket(id) };
	*bucket(id) = family;
	child_watch_batches(settle);
	child_adopt(&family->main, pid, main_ended);
}

/* ---- another main process */

/* Its parent has reaped it, so its status may be lost; that is no success. */
static void read_end(pid_t pid, struct child_end *end)
{
	struct descend_stat stat;

	*end = (struct child_end){ .how = CHILD_EXITED, .number = 1 };
	if (descend_stat(pid, &stat) < 0 || stat.state != 'Z')
		return;
	if (WIFEXITED(stat.exit_code))
		end->number = WEXITSTATUS(stat.exit_code);
	else
		*end = (struct child_end){ WCOREDUMP(stat.exit_code) ? CHILD_DUMPED : CHILD_KILLED,
					   WTERMSIG(stat.exit_code) };
}

static bool is_our_child(pid_t pid)
{
	struct descend_stat stat;

	return descend_stat(pid, &stat) == 0 && stat.parent == getpid();
}

/* A main process that was somebody else's child has ended. If it has become ours, it
 * is reaped like any other. */
static void exit_ready(struct loop_source *source, uint32_t events)
{
	struct family *family = container_of(source, struct family, exit);
	pid_t pid = family->main.pid;
	struct child_end end;

	(void)events;
	stop_watching(family);
	if (is_our_child(pid))
		return;
	read_end(pid, &end);
	child_forget(&family->main);
	main_ended(&family->main, &end);
	settle();
}

static int watch_exit(struct family *family, pid_t pid)
{
	int r;

	family->exit = (struct loop_source){ .fd = (int)syscall(SYS_pidfd_open, pid, 0),
					     .ready = exit_ready };
	if (family->exit.fd < 0)
		return -errno;
	r = loop_add(&family->exit, EPOLLIN);
	if (r < 0) {
		(void)close(family->exit.fd);
		family->exit.fd = -1;
	}
	return r;
}

/* It may be one of the orphans; it must not be another's main process. */
static bool take(pid_t pid)
{
	struct child *child = child_find(pid);

	if (child && child->ended != orphan_ended)
		return false;
	if (child)
		remove_orphan(container_of(child, struct orphan, child));
	return true;
}

int family_follow(struct family *family, pid_t pid)
{
	struct descend_stat stat;
	int r;

	if (family->main.pid == pid)
		return 0;
	if (pid <= 1 || descend_stat(pid, &stat) < 0 || stat.state == 'Z')
		return -ESRCH;
	if (descend_owner(pid) != family->id || !take(pid))
		return -EPERM;
	stop_watching(family);
	r = stat.parent == getpid() ? 0 : watch_exit(family, pid);
	if (r < 0)
		return r;
	r = family->main.pid == 0;
	remove_headless(family);
	child_forget(&family->main);
	child_adopt(&family->main, pid, main_ended);
	return r;
}

/* Ticks are coarse; of the same one the lower pid, which is nearly always right. */
static bool is_older(const struct descend_stat *a, pid_t pid, const struct descend_stat *b,
		     pid_t other)
{
	return a->start_time != b->start_time ? a->start_time < b->start_time : pid < other;
}

pid_t family_heir(struct family *family)
{
	struct descend_stat stat, best = { 0 };
	pid_t heir = 0;

	(void)find_orphans();
	for (struct orphan *orphan = family->orphans; orphan; orphan = orphan->next) {
		pid_t pid = orphan->child.pid;

		if (descend_stat(pid, &stat) < 0 || stat.state == 'Z')
			continue;
		if (!heir || is_older(&stat, pid, &best, heir)) {
			heir = pid;
			best = stat;
		}
	}
	return heir;
}

/* ---- all */

int family_members(struct family *family, pid_t *pids, int size)
{
	int count = 0;

	if (family->main.pid) { /* or they are known: see settle */
		(void)find_orphans();
		pids[count++] = family->main.pid;
	}
	for (struct orphan *orphan = family->orphans; orphan; orphan = orphan->next) {
		if (count < size)
			pids[count] = orphan->child.pid;
		count++;
	}
	return descend_add_below(pids, count, size);
}

/* Whole groups at once: of those that fork just now none is missed. */
static void kill_group_of(pid_t pid, pid_t *last)
{
	struct descend_stat stat;

	if (descend_stat(pid, &stat) < 0 || stat.group == *last || stat.session == getsid(0))
		return;
	*last = stat.group;
	(void)kill(-stat.group, SIGKILL);
}

static void signal_members(const struct family *family, const pid_t *pids, int count, int signal)
{
	pid_t last_group = 0;

	for (int i = 0; i < count; i++)
		if (descend_signal(pids[i], family->id, signal) == 0 && signal == SIGKILL)
			kill_group_of(pids[i], &last_group);
}

void family_kill(struct family *family, int signal)
{
	pid_t usual[USUAL_SIZE];
	int count;

	family->alone = false;
	if (signal == SIGKILL) {
		family->doomed = true;
		cgroup_kill(family->id);
	}
	count = family_members(family, usual, USUAL_SIZE);
	if (count <= USUAL_SIZE) {
		signal_members(family, usual, count, signal);
		return;
	}
	/* Those that come into being meanwhile turn up later. */
	int size = 2 * count;
	auto_free pid_t *pids = calloc((size_t)size, sizeof(*pids));
	if (!pids) {
		signal_members(family, usual, USUAL_SIZE, signal);
		return;
	}
	count = family_members(family, pids, size);
	signal_members(family, pids, count < size ? count : size, signal);
}

unsigned family_of_session(pid_t session)
{
	struct child *child = child_find(session);

	if (child && child->ended == main_ended)
		return container_of(child, struct family, main)->id;
	for (struct family *family = headless; family; family = family->next_headless)
		if (family->session == session)
			return family->id;
	return 0;
}
