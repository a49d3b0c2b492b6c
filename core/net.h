/* SPDX-License-Identifier: MIT */
/* Sockets that never block: connect, listen, resolve what can be known without
 * asking the network, and the sd_notify datagram to whoever started us. */
#ifndef MOONRISE_NET_H
#define MOONRISE_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET_ADDRESS_SIZE 64
#define NET_MAX_ADDRESSES 8

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

/* A listening stream socket with the mode given; a stale socket that nobody
 * listens on is replaced: descriptor or -errno (-EADDRINUSE: one is alive). */
int net_listen_unix(const char *path, unsigned mode);

/* sd_notify(3) to $NOTIFY_SOCKET as it was at start ("/path" or "@abstract"):
 * 1 sent, 0 there is none, or -errno. */
int net_notify(const char *socket_name, const char *text);

#endif
