/* SPDX-License-Identifier: MIT */
/* Room for descriptors. The init takes all that it may have, since each service needs
 * some, but for a few that are kept: to find and end the processes of a service /proc
 * has to be read, also when there is no descriptor left for anybody. What the init runs
 * gets the limit that the init was given. */
#ifndef MOONRISE_ROOM_H
#define MOONRISE_ROOM_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

void room_init(void);

/* As open(2) and pidfd_open(2), and they may have what is kept. The descriptor is to be
 * closed soon. -1 with errno. */
int room_open(const char *path, int flags);
int room_open_pidfd(pid_t pid);

/* The limit that the init was given; false: it is still that. */
bool room_given(struct rlimit *ret_limit);

#endif
