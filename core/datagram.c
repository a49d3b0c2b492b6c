/* SPDX-License-Identifier: MIT */
#include "datagram.h"

#include "listen.h"
#include "net.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int datagram_listen(const char *path)
{
	static const struct listen_rights everybody = { .mode = 0666, .uid = -1, .gid = -1 };
	int on = 1;
	auto_close int fd = listen_unix(path, SOCK_DGRAM | SOCK_NONBLOCK, 0, &everybody);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		int error = errno;

		(void)unlink(path);
		return -error;
	}
	return keep_fd(&fd);
}

static void take_control(struct msghdr *header, struct datagram *datagram)
{
	struct ucred sender;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t size = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && size == sizeof(sender)) {
			memcpy(&sender, CMSG_DATA(c), sizeof(sender));
			datagram->pid = sender.pid;
		} else if (c->cmsg_type == SCM_RIGHTS) {
			memcpy(datagram->fds, CMSG_DATA(c), size);
			datagram->fd_count = (int)(size / sizeof(int));
		}
	}
}

int datagram_receive(int fd, char *text, size_t size, struct datagram *ret_datagram)
{
	union {
		char space[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int) * DATAGRAM_MAX_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec part = { text, size };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	ret_datagram->pid = 0;
	ret_datagram->fd_count = 0;
	ret_datagram->length = (size_t)n;
	ret_datagram->is_cut = header.msg_flags & MSG_TRUNC;
	take_control(&header, ret_datagram);
	return 0;
}

void datagram_close_fds(struct datagram *datagram)
{
	while (datagram->fd_count > 0)
		net_close_foreign(datagram->fds[--datagram->fd_count]);
}
