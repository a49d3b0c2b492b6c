/* SPDX-License-Identifier: MIT */
/* What others connect to or write to: sockets and FIFOs, made here, or handed in by
 * whoever started us. They are close-on-exec and blocking, as the programs that
 * they are passed to expect; `type` may have SOCK_NONBLOCK for our own. */
#ifndef MOONRISE_LISTEN_H
#define MOONRISE_LISTEN_H

#include "net.h"

#include <stdbool.h>

/* Whose a socket or FIFO in the file system is. */
struct listen_rights {
	unsigned mode;
	uid_t uid; /* -1: leave */
	gid_t gid;
};

/* SOCK_STREAM or SOCK_DGRAM: descriptor or -errno. Nothing for the address means
 * every address, of IPv6 and IPv4, or of what there is of them. */
int listen_inet(const char *address, uint16_t port, int type, int backlog, bool reuse_port);

/* "/path" or "@abstract", also SOCK_SEQPACKET. A stale socket that nobody listens on
 * is replaced; -EADDRINUSE: one is alive, or the path is no socket. */
int listen_unix(const char *path, int type, int backlog, const struct listen_rights *rights);

/* Makes room at a path for a socket of this type: 0 when nothing is there any more;
 * -EADDRINUSE as above. */
int listen_remove_stale(const char *path, int type);

/* The FIFO is made if it is not there. */
int listen_fifo(const char *path, const struct listen_rights *rights);

/* The next connection: descriptor or -errno (-EAGAIN), and the peer's address as
 * text, "" for a unix socket. */
int listen_accept(int fd, char ret_address[NET_ADDRESS_SIZE], uint16_t *ret_port);

/* Out of descriptors (such an errno of accept) the connection would stay pending and
 * wake the loop for ever: take it on a spare one, and hang up. */
bool listen_lacks_room(int error);
void listen_turn_away(int fd);
void listen_keep_spare(void);

/* A descriptor that we inherited: 0, or -EBADF when it is not open, or is one of our
 * own, all of which are close-on-exec. Now this one is, too. */
int listen_adopt(int fd);

#endif
