/* SPDX-License-Identifier: MIT */
/* Who our children are. Everything that ends is reaped, known or not; a known
 * child's owner is told exactly once. The table is our own, keyed by pid, so a
 * pid that the kernel gives out again never meets the old owner. */
#ifndef MOONRISE_CHILD_H
#define MOONRISE_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct child_end {
	enum { CHILD_EXITED, CHILD_KILLED, CHILD_DUMPED } how;
	int number; /* exit status or signal */
};

/* Embed it in the owner. Filled in by child_adopt. */
struct child {
	pid_t pid; /* 0 once it was reaped */
	void (*ended)(struct child *child, const struct child_end *end);
	void (*stopped)(struct child *child, int signal); /* see child_watch_stops */
	struct child *next;
};

/* Take note of a child just spawned; nothing is reaped in between, since only
 * child_reap reaps. */
void child_adopt(struct child *child, pid_t pid,
		 void (*ended)(struct child *child, const struct child_end *end));

/* For the job control of a terminal: also say when the child has been stopped,
 * and by which signal (SIGTSTP: Ctrl-Z). It stays adopted. */
void child_watch_stops(struct child *child, void (*stopped)(struct child *child, int signal));

/* Who wants to hear of the end of processes that nobody adopted (`-w`); NULL:
 * nobody. */
void child_watch_strangers(void (*ended)(pid_t pid, const struct child_end *end));

/* Called before processes are reaped, so that messages of one that has just ended are
 * read while it is still in /proc. For good; there is room for a few. */
void child_before_reaping(void (*look)(void));

/* What is to be done after each batch: once for all that were reaped in it. */
void child_watch_batches(void (*reaped)(void));

/* The known child with this pid, or NULL. */
struct child *child_find(pid_t pid);

/* Forget an owner that goes away first; the process is reaped all the same. */
void child_forget(struct child *child);

/* Reap what has ended, but no more than this in one call: a fork storm must not
 * keep the loop from its other work. true when there may be more. */
#define CHILD_REAP_BATCH 1024
bool child_reap(void);

/* true while any child, known or unknown, lives or waits to be reaped. */
bool child_any(void);

/* 0 or -errno; -ESRCH once it was reaped, so the signal can't hit another. */
int child_kill(const struct child *child, int signal);
int child_kill_group(const struct child *child, int signal);

/* To every known child and its group (used where PID 1's kill(-1) isn't ours). */
void child_kill_known(int signal);

/* 0..255 as a shell says it: the status, or 128 + signal. */
int child_exit_status(const struct child_end *end);

#endif
