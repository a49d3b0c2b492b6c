/* SPDX-License-Identifier: MIT */
/* The control socket and its frames: 1 byte kind, 4 bytes big-endian length,
 * payload. Reading is incremental and hostile-proof; what a frame means is
 * policy and lives in lua/moonrise/control.lua. */
#ifndef MOONRISE_CONTROL_H
#define MOONRISE_CONTROL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#define CONTROL_HEADER 5
#define CONTROL_REQUESTS "RI?" /* what a client may send */
#define CONTROL_MAX_REQUEST (1024 * 1024)
#define CONTROL_MAX_CLIENTS 32
#define CONTROL_MAX_QUEUE (4 * 1024 * 1024)
#define CONTROL_HIGH_WATER (256 * 1024)
#define CONTROL_MAX_PLACES 4
#define CONTROL_PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

struct control_frame {
	char kind;
	const char *payload;
	size_t length;
};

/* The kinds of `arrived` that no client sent. */
#define CONTROL_CLOSED 0  /* the client has gone */
#define CONTROL_DRAINED 1 /* what waited beyond CONTROL_HIGH_WATER is sent */

/* Reads a header: 0, -EPROTO for a kind that is not in `kinds`, -EMSGSIZE when
 * the payload is longer than `max`. */
int control_parse(const char header[CONTROL_HEADER], const char *kinds, size_t max, char *ret_kind,
		  size_t *ret_length);
void control_header(char header[CONTROL_HEADER], char kind, uint32_t length);

/* The socket paths to try, in order: in $MOONRISE_RUNDIR, /run/moonrise,
 * $XDG_RUNTIME_DIR/moonrise, /dev/shm/moonrise-`uid`. How many there are; a
 * variable that is not set, or not an absolute path that fits, has none. */
int control_places(uid_t uid, char ret_paths[CONTROL_MAX_PLACES][CONTROL_PATH_SIZE]);

/* Server. Makes the socket's directory if it is missing. `arrived` gets each
 * frame. Peers other than root and our own uid are turned away. 0 or -errno;
 * -EADDRINUSE when another init listens there. */
int control_listen(const char *path,
		   void (*arrived)(int client, const struct control_frame *frame));
/* Queued and sent as the client reads; one that does not read is dropped when
 * more than CONTROL_MAX_QUEUE wait. Bytes that wait, or -errno: -ESRCH when
 * there is no such client (any more). */
ssize_t control_send(int client, char kind, const char *payload, size_t length);
/* Once what it was sent is out; no CONTROL_CLOSED comes. */
void control_close(int client);
/* 0 or -ESRCH. */
int control_peer(int client, uid_t *ret_uid, pid_t *ret_pid);
/* Unlink the socket, close all clients once what they were sent is out or
 * `deadline` (loop_time) has come. */
void control_done(int64_t deadline);

#endif
