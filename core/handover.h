/* SPDX-License-Identifier: MIT */
/* Become another program without a fork: PID 1 stays PID 1. */
#ifndef MOONRISE_HANDOVER_H
#define MOONRISE_HANDOVER_H

#include "spawn.h"

/* Executes the plan's program here, with its environment and descriptors, and the
 * signal mask that we were started with; all of our own descriptors are closed by
 * it. Of the plan path, argv, envp, own_pids and fds count. Returns only when that
 * fails: -errno, and everything is as it was. */
int handover_exec(const struct spawn_plan *plan);

#endif
