/* SPDX-License-Identifier: MIT */
/* Sockets that never block: connect, resolve what can be known without asking the
 * network, and the sd_notify datagram to whoever started us. listen.h has those
 * that others connect to. */
#ifndef MOONRISE_NET_H
#define MOONRISE_NET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NET_ADDRESS_SIZE 64
#define NET_MAX_ADDRESSES 8

union net_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

/* Length of the address, or -EINVAL: `text` is no number. */
int net_parse_address(const char *text, uint16_t port, union net_address *ret_address);

/* The same for a path; a name that starts with '@' is an abstract one. -errno for one
 * that is too long: a name cut off would be another socket. */
int net_parse_unix(const char *name, union net_address *ret_address);

/* Numbers, /etc/hosts, and localhost even where that does not name it. Count of
 * addresses as text, or -ENOENT: ask a process outside PID 1. */
int net_resolve(const char *name, char ret_addresses[NET_MAX_ADDRESSES][NET_ADDRESS_SIZE]);

/* Where names are looked up; tests bring their own. */
extern const char *net_hosts_path;

/* A non-blocking socket whose connect has been started: descriptor or -errno.
 * net_connected: 1 it is, 0 in progress, or -errno. */
int net_connect_tcp(const char *address, uint16_t port);
int net_connect_unix(const char *path); /* "/path" or "@abstract" */
int net_connected(int fd);

/* Close a descriptor that came from somebody else; -1 is fine. The last close of a
 * socket with SO_LINGER, also of one that is non-blocking, waits for its peer: whoever
 * sends us such a one would stop PID 1 for as long as they like. */
void net_close_foreign(int fd);

/* Nobody can send descriptors to this unix socket, or to those that it accepts: what
 * is not asked for is closed by the kernel, and can make us wait as above. Linux 6.16. */
void net_refuse_fds(int fd);

/* sd_notify(3) to $NOTIFY_SOCKET as it was at start ("/path" or "@abstract"):
 * 1 sent, 0 there is none, or -errno. */
int net_notify(const char *socket_name, const char *text);

#endif
