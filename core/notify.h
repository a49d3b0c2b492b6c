/* SPDX-License-Identifier: MIT */
/* The socket to which services say their state, as sd_notify(3) does. Messages are
 * read before any process is reaped: a sender that has ended already is then still
 * in /proc, and can be told whose it was. */
#ifndef MOONRISE_NOTIFY_H
#define MOONRISE_NOTIFY_H

#include "datagram.h"

#include <stddef.h>
#include <sys/types.h>

#define NOTIFY_MAX_TEXT 4096 /* as systemd: what is longer is no message */
#define NOTIFY_MAX_FDS DATAGRAM_MAX_FDS

struct notify_message {
	pid_t pid;        /* what the kernel says; 0: of another pid namespace */
	unsigned owner;   /* as descend_owner has it */
	const char *text; /* empty when it was too long */
	size_t length;
	int *fds; /* `arrived` owns them */
	int fd_count;
};

/* Open it for everybody: who may say what is decided by the sender's pid. 0 or
 * -errno. */
int notify_listen(const char *path, void (*arrived)(const struct notify_message *message));
void notify_done(void);

#endif
