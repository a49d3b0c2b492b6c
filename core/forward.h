/* SPDX-License-Identifier: MIT */
/* To a journal that runs elsewhere, and whose socket is here: journald's native protocol.
 * RECORD_JOURNAL makes the entries, each with an empty line behind it. */
#ifndef MOONRISE_FORWARD_H
#define MOONRISE_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

struct forward {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool has_failed; /* the last time */
};

/* A socket, or -errno: there is no journal. */
int forward_open(const char *path, struct forward *ret_forward);

/* One entry out of `data`, which holds whole ones: how many bytes it is, or -errno. A
 * journal that has been started again is found again. An error is said, once until it
 * works again. */
ssize_t forward_write(struct forward *forward, int fd, const char *data, size_t size);

#endif
