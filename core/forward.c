/* SPDX-License-Identifier: MIT */
/* An entry is a datagram. A line is at most 16 KiB, so none is too large for one. */
#include "forward.h"

#include "log.h"
#include "net.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static int reach(int fd, const char *path)
{
	union net_address address;
	int length = net_parse_unix(path, &address);

	if (length < 0)
		return length;
	return connect(fd, &address.any, (socklen_t)length) < 0 ? -errno : 0;
}

int forward_open(const char *path, struct forward *ret_forward)
{
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -errno : reach(fd, path);

	if (r < 0)
		return r;
	*ret_forward = (struct forward){ 0 };
	(void)snprintf(ret_forward->path, sizeof(ret_forward->path), "%s", path);
	return keep_fd(&fd);
}

static int send_entry(int fd, const char *entry, size_t size)
{
	return send(fd, entry, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static bool is_gone(int error)
{
	return error == -ECONNREFUSED || error == -ENOTCONN || error == -ECONNRESET;
}

static void tell(struct forward *f, int r)
{
	if (r < 0 && !f->has_failed)
		log_warning("lines are lost, since nothing can be sent to the journal at %s: %s",
			    f->path, strerror(-r));
	else if (r == 0 && f->has_failed)
		log_notice("the journal at %s takes lines again", f->path);
	f->has_failed = r < 0;
}

ssize_t forward_write(struct forward *f, int fd, const char *data, size_t size)
{
	const char *end = memmem(data, size, "\n\n", 2);
	size_t length = end ? (size_t)(end - data) + 1 : size;
	int r = send_entry(fd, data, length);

	if (is_gone(r)) {
		r = reach(fd, f->path);
		if (r == 0)
			r = send_entry(fd, data, length);
	}
	if (r == -EAGAIN)
		return r;
	tell(f, r);
	return r < 0 ? r : (ssize_t)(end ? length + 1 : length);
}
