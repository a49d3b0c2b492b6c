/* SPDX-License-Identifier: MIT */
/* One datagram socket for all services. The kernel stamps each message with its
 * sender (SO_PASSCRED), so nobody can speak for another. */
#include "notify.h"

#include "child.h"
#include "descend.h"
#include "listen.h"
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* A service that floods takes its turn like the rest; the others' messages wait in
 * the socket, at most net.unix.max_dgram_qlen of them. */
#define BATCH 64

static struct loop_source source = { .fd = -1 };
static char socket_path[108];
static void (*on_message)(const struct notify_message *message);

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		(void)close(fds[i]);
}

static void take_control(const struct msghdr *header, struct notify_message *message, int *fds)
{
	struct msghdr *h = (struct msghdr *)header;
	struct ucred sender;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t size = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && size == sizeof(sender)) {
			memcpy(&sender, CMSG_DATA(c), sizeof(sender));
			message->pid = sender.pid;
		} else if (c->cmsg_type == SCM_RIGHTS) {
			memcpy(fds, CMSG_DATA(c), size);
			message->fd_count = (int)(size / sizeof(int));
		}
	}
}

/* false: there is none. */
static bool receive(void)
{
	static char text[NOTIFY_MAX_TEXT];
	union {
		char space[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int) * NOTIFY_MAX_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec part = { text, sizeof(text) };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	int fds[NOTIFY_MAX_FDS];
	struct notify_message message = { .text = text, .fds = fds };
	ssize_t n = recvmsg(source.fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EINTR;
	take_control(&header, &message, fds);
	if (message.pid <= 0) {
		close_all(fds, message.fd_count);
		return true;
	}
	message.length = header.msg_flags & MSG_TRUNC ? 0 : (size_t)n;
	message.owner = descend_owner(message.pid);
	on_message(&message);
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
	static const struct listen_rights everybody = { .mode = 0666, .uid = -1, .gid = -1 };
	int on = 1;
	int r = 0;

	if (source.fd >= 0)
		return -EALREADY;
	auto_close int fd = listen_unix(path, SOCK_DGRAM | SOCK_NONBLOCK, 0, &everybody);
	if (fd < 0)
		return fd;
	source = (struct loop_source){ fd, on_readable };
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		r = -errno;
	if (r == 0)
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
