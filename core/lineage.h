/* SPDX-License-Identifier: MIT */
/* Who stands behind a process: its parents, its session and its group, by /proc.
 * That is how a message or a line of some grandchild finds its service. */
#ifndef MOONRISE_LINEAGE_H
#define MOONRISE_LINEAGE_H

#include <sys/types.h>

#define LINEAGE_MAX 16

/* The pid itself, then its parents, nearest first, without PID 1; then its session
 * and its group. How many. A zombie still has all of them. */
int lineage_of(pid_t pid, pid_t ret_pids[LINEAGE_MAX]);

/* 0: it is gone. */
pid_t lineage_parent(pid_t pid);

#endif
