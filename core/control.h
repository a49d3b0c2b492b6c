/* SPDX-License-Identifier: MIT */
/* The control socket and its frames: 1 byte kind, 4 bytes big-endian length,
 * payload. Reading is incremental and hostile-proof; what a frame means is
 * policy and lives in lua/moonrise/control.lua. */
#ifndef MOONRISE_CONTROL_H
#define MOONRISE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_HEADER 5
#define CONTROL_MAX_REQUEST (1024 * 1024)
#define CONTROL_MAX_CLIENTS 32

struct control_frame {
	char kind;
	const char *payload;
	size_t length;
};

/* Looks for one whole frame at the start of `data`: bytes consumed, 0 when more
 * is needed, -EPROTO for an unknown kind, -EMSGSIZE for one too long. */
ssize_t control_parse(const char *data, size_t size, const char *kinds, size_t max,
		      struct control_frame *ret_frame);
void control_header(char header[CONTROL_HEADER], char kind, uint32_t length);

/* Server. `arrived` gets each frame; kind 0: the client has gone. Peers other
 * than root and our own uid are turned away. 0 or -errno. */
int control_listen(const char *path,
		   void (*arrived)(int client, const struct control_frame *frame));
/* Queued and sent as the client reads; one that does not read is dropped when
 * more than 4 MiB wait. 0 or -errno. */
int control_send(int client, char kind, const char *payload, size_t length);
void control_close(int client);
void control_peer(int client, uid_t *ret_uid, pid_t *ret_pid);
/* Unlink the socket, close all clients once what they were sent is out or
 * `deadline` (loop_time) has come. */
void control_done(int64_t deadline);

/* First usable of $MOONRISE_RUNDIR, /run/moonrise, $XDG_RUNTIME_DIR/moonrise,
 * /dev/shm/moonrise-UID. For the server: created and writable. For a client:
 * the one in which a socket is found. 0 or -errno with the last place tried. */
int control_find_dir(bool server, char *ret_path, size_t size);

#endif
