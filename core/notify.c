/* SPDX-License-Identifier: MIT */
/* One datagram socket for all services. */
#include "notify.h"

#include "child.h"
#include "datagram.h"
#include "descend.h"
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <sys/epoll.h>

/* A service that floods takes its turn like the rest; the others' messages wait in
 * the socket, at most net.unix.max_dgram_qlen of them. */
#define BATCH 64

static struct loop_source source = { .fd = -1 };
static char socket_path[108];
static void (*on_message)(const struct notify_message *message);

/* false: there is none. */
static bool receive(void)
{
	static char text[NOTIFY_MAX_TEXT];
	struct datagram datagram;
	int r = datagram_receive(source.fd, text, sizeof(text), &datagram);

	if (r < 0)
		return r == -EINTR;
	if (datagram.pid <= 0) {
		datagram_close_fds(&datagram);
		return true;
	}
	on_message(&(struct notify_message){ .pid = datagram.pid,
					     .owner = descend_owner(datagram.pid),
					     .text = text,
					     .length = datagram.is_cut ? 0 : datagram.length,
					     .fds = datagram.fds,
					     .fd_count = datagram.fd_count });
	return true;
}

static void receive_some(void)
{
	for (int i = 0; i < BATCH && source.fd >= 0 && receive(); i++)
		continue;
}

static void on_readable(struct loop_source *readable, uint32_t events)
{
	(void)readable;
	(void)events;
	receive_some();
}

int notify_listen(const char *path, void (*arrived)(const struct notify_message *message))
{
	int r;

	if (source.fd >= 0)
		return -EALREADY;
	auto_close int fd = datagram_listen(path);
	if (fd < 0)
		return fd;
	source = (struct loop_source){ fd, on_readable };
	r = loop_add(&source, EPOLLIN);
	if (r < 0) {
		source.fd = -1;
		(void)unlink(path);
		return r;
	}
	(void)keep_fd(&fd);
	(void)snprintf(socket_path, sizeof(socket_path), "%s", path);
	on_message = arrived;
	child_before_reaping(receive_some);
	return 0;
}

void notify_done(void)
{
	if (source.fd < 0)
		return;
	loop_remove(&source);
	(void)close(source.fd);
	(void)unlink(socket_path);
	source.fd = -1;
}
