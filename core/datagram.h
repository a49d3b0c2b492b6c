/* SPDX-License-Identifier: MIT */
/* Datagrams to PID 1: each comes with its sender, by the kernel's word (SO_PASSCRED),
 * and with descriptors. Nobody can speak for another. */
#ifndef MOONRISE_DATAGRAM_H
#define MOONRISE_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DATAGRAM_MAX_FDS 253 /* the kernel sends no more at once */

struct datagram {
	pid_t pid; /* 0: of another pid namespace */
	size_t length;
	bool is_cut; /* it was longer than the room for it */
	int fds[DATAGRAM_MAX_FDS];
	int fd_count; /* they are the receiver's to close */
};

/* A non-blocking socket to which everybody may write: who may say what is decided by
 * the sender's pid. Descriptor or -errno, as of listen_unix. */
int datagram_listen(const char *path);

/* 0, or -errno: -EAGAIN when there is none, -EINTR. */
int datagram_receive(int fd, char *text, size_t size, struct datagram *ret_datagram);

void datagram_close_fds(struct datagram *datagram);

#endif
