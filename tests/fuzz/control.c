/* SPDX-License-Identifier: MIT */
/* libFuzzer: the control socket with three clients that do anything in any
 * order, and an owner that answers, closes and asks at any time. The input is a
 * program for them. What arrives must be whole, of a known kind, from a client
 * that has not been said to be gone. */
#include "control.h"

#include "loop.h"
#include "util.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CLIENTS 3

static char path[CONTROL_PATH_SIZE];
static int fds[CLIENTS];
static int newest, last_closed; /* client numbers only grow */
static volatile char sink;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void arrived(int client, const struct control_frame *frame)
{
	require(client > 0 && client != last_closed);
	if (frame->kind == CONTROL_CLOSED)
		last_closed = client;
	else
		newest = client;
	require(frame->kind == CONTROL_CLOSED || frame->kind == CONTROL_DRAINED ||
		strchr(CONTROL_REQUESTS, frame->kind));
	require(frame->length <= CONTROL_MAX_REQUEST);
	for (size_t i = 0; i < frame->length; i++)
		sink = frame->payload[i];
	if (frame->length > 0 && frame->payload[0] == '!')
		control_close(client);
	if (frame->length > 0 && frame->payload[0] == '>')
		(void)control_send(client, 'O', frame->payload, frame->length);
}

static void start(void)
{
	char dir[] = "/tmp/moonrise-fuzz-XXXXXX";

	require(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/control", dir);
	require(loop_init() == 0 && control_listen(path, arrived) == 0);
	memset(fds, -1, sizeof(fds));
}

static void finish(void)
{
	control_done(LOOP_NOW);
	loop_done();
	*strrchr(path, '/') = '\0';
	(void)rmdir(path);
}

static void hang_up(int *fd)
{
	if (*fd >= 0)
		(void)close(keep_fd(fd));
}

static void dial(int *fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	hang_up(fd);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, path);
	(void)connect(*fd, (struct sockaddr *)&address, sizeof(address));
}

static void say(int fd, const uint8_t *data, size_t size)
{
	if (fd >= 0)
		(void)!send(fd, data, size, MSG_NOSIGNAL);
}

static void say_frame(int fd, const uint8_t *data, size_t size)
{
	char header[CONTROL_HEADER];

	control_header(header, CONTROL_REQUESTS[size % 3], (uint32_t)size);
	say(fd, (uint8_t *)header, sizeof(header));
	say(fd, data, size);
}

static void listen_to(int fd)
{
	char buf[64 * 1024];

	if (fd >= 0)
		(void)!recv(fd, buf, sizeof(buf), 0);
}

static void flood(int client)
{
	static const char block[200 * 1024];

	(void)control_send(client, 'O', block, sizeof(block));
}

static void turns(void)
{
	for (int i = 0; i < 1000 && loop_turn(LOOP_NOW) > 0; i++)
		continue;
}

/* One step: what to do, for whom, with how much of the input. */
static size_t step(const uint8_t *data, size_t size)
{
	int *fd = &fds[data[0] / 16 % CLIENTS];
	size_t length = 0;

	switch (data[0] % 12) {
	case 0:
		dial(fd);
		break;
	case 1:
		hang_up(fd);
		break;
	case 2:
	case 3:
		length = size > 1 ? data[1] : 0;
		length = length < size - 1 ? length : size - 1;
		(data[0] % 12 == 2 ? say : say_frame)(*fd, data + 1, length);
		break;
	case 4:
		listen_to(*fd);
		break;
	case 5:
		if (*fd >= 0)
			(void)shutdown(*fd, data[0] & 16 ? SHUT_WR : SHUT_RD);
		break;
	case 6:
		(void)control_send(newest, 'X', "", 1);
		break;
	case 7:
		flood(newest);
		break;
	case 8:
		control_close(newest);
		break;
	default:
		turns();
	}
	return 1 + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned runs;

	if (runs == 0) {
		start();
		(void)atexit(finish);
	}
	for (size_t at = 0; at < size;)
		at += step(data + at, size - at);
	if (runs % 64 == 63) /* with the clients as they are */
		finish();
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&fds[i]);
	if (runs % 64 == 63)
		start();
	turns();
	runs++;
	return 0;
}
