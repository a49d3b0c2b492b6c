/* SPDX-License-Identifier: MIT */
/* Whose process is this? Every service's processes carry a mark that they can't
 * lose by accident: the limit on file locks, which has had no effect since Linux
 * 2.4, is inherited through fork, exec, setsid and changes of user, and can be read
 * of any process, zombies included. */
#ifndef MOONRISE_DESCEND_H
#define MOONRISE_DESCEND_H

#include "spawn.h"

#include <stdint.h>
#include <sys/types.h>

/* Above any number that somebody might have meant. */
#define DESCEND_MARK (UINT64_C(1) << 40)

struct descend_stat {
	char state; /* 'Z': a zombie */
	pid_t parent, group, session;
	uint64_t ticks;      /* of CPU time, user and system */
	uint64_t start_time; /* in ticks since the machine's start */
	int exit_code;       /* as wait(2) has it; of a zombie that we may look into */
};

struct descend_usage {
	uint64_t ticks; /* of CPU time, sysconf(_SC_CLK_TCK) a second */
	uint64_t bytes; /* memory: what each has alone, and the most that is shared */
	uint64_t shared;
	int count;
};

/* The process that is to be started will be known as `id` (not 0), with all that
 * come of it. Where the limit is in use already (by a moonrise around this one) the
 * session and the parents have to do. */
void descend_mark(struct spawn_plan *plan, unsigned id);

/* The id that a process is known as; 0: nobody's, or no such process. */
unsigned descend_owner(pid_t pid);

/* 0 or -errno. */
int descend_stat(pid_t pid, struct descend_stat *ret_stat);

/* Call `visit` with each child of ours. 0 or -errno: then not all was visited. */
int descend_each_child(void (*visit)(pid_t pid, void *data), void *data);

/* `pids` holds `count` processes and has room for `size`: add all that descend from
 * them. How many they are now; more than `size` when there was no room, and then those
 * that did not fit were not asked for theirs. */
int descend_add_below(pid_t *pids, int count, int size);

/* Send a signal to a process if it belongs to `id`: 0 or -errno. */
int descend_signal(pid_t pid, unsigned id, int signal);

/* Add what a process uses. */
void descend_add_usage(pid_t pid, struct descend_usage *usage);

#endif
