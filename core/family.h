/* SPDX-License-Identifier: MIT */
/* A service's processes, from the first to the last: a main process, and whatever
 * comes of it, which may outlive it or become the main process in its place. */
#ifndef MOONRISE_FAMILY_H
#define MOONRISE_FAMILY_H

#include "child.h"
#include "loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct family;

/* What its owner is told. It may free the family when it has ended and nobody is
 * left, or else when all are gone. */
struct family_owner {
	void (*ended)(struct family *family, const struct child_end *end, bool left);
	void (*gone)(struct family *family);
};

/* Embed it in the owner. Filled in by family_adopt. */
struct family {
	struct child main; /* pid 0: it has ended */
	unsigned id;       /* what its processes are marked with */
	pid_t session;     /* and their session, unless they leave it */
	bool alone;        /* what it leaves behind is not our business */
	bool told;         /* the owner knows that the main process has ended */
	bool doomed;       /* whoever turns up is killed */
	struct child_end end;
	struct loop_source exit; /* of a main process that is not our own child */
	const struct family_owner *owner;
	struct orphan *orphans;       /* those that we know to be our children by now */
	struct family *next;          /* in its bucket, by id */
	struct family *next_headless; /* among those without a main process */
};

/* Take note of a process just started, with the mark of `id`. */
void family_adopt(struct family *family, unsigned id, pid_t pid, bool alone,
		  const struct family_owner *owner);

/* Another of its processes is the main one from now on: 0, or 1 when the last one had
 * ended already (and `ended` has said so); -ESRCH (there is no such process), -EPERM (it
 * belongs to somebody else). Fine until all are gone. */
int family_follow(struct family *family, pid_t pid);

/* Who could be the main process of a daemon whose first process has ended: the oldest
 * one that has become our child. 0: nobody. */
pid_t family_heir(struct family *family);

/* All of them: how many there are; the first `size` (at least 1) are in `pids`. */
int family_members(struct family *family, pid_t *pids, int size);

/* Send a signal to all of them; none is alone then. KILL also gets those that turn up
 * later, so that it is the end of them all. */
void family_kill(struct family *family, int signal);

/* The id of the family whose first process made this session; 0: none. */
unsigned family_of_session(pid_t session);

#endif
