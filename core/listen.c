/* SPDX-License-Identifier: MIT */
/* A socket in the file system has its rights before anybody can connect to it, and
 * replaces one that an earlier run has left behind. */
#include "listen.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Datagrams come without. */
static int start_listening(int fd, int type, int backlog)
{
	if ((type & ~SOCK_NONBLOCK) == SOCK_DGRAM)
		return 0;
	return listen(fd, backlog) < 0 ? -errno : 0;
}

/* ---- internet */

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Without SO_REUSEADDR a restarted container would wait for the connections of the
 * last one to time out. A datagram socket would share its port by it. */
static int set_options(int fd, const union net_address *address, int type, bool reuse_port)
{
	int r = 0;

	if (address->any.sa_family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (r == 0 && type == SOCK_STREAM)
		r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && reuse_port)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return r;
}

int listen_inet(const char *address, uint16_t port, int type, int backlog, bool reuse_port)
{
	union net_address a;
	int length = net_parse_address(address ? address : "::", port, &a);
	auto_close int fd = -1;
	int r;

	if (length < 0)
		return length;
	fd = socket(a.any.sa_family, type | SOCK_CLOEXEC, 0);
	r = fd < 0 ? -errno : set_options(fd, &a, type, reuse_port);
	if (r == 0 && bind(fd, &a.any, (socklen_t)length) < 0)
		r = -errno;
	if (r == 0)
		r = start_listening(fd, type, backlog);
	if (!address && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)) /* no IPv6 here */
		return listen_inet("0.0.0.0", port, type, backlog, reuse_port);
	return r < 0 ? r : keep_fd(&fd);
}

/* ---- the file system */

static bool has_owner(const struct listen_rights *rights)
{
	return rights->uid != (uid_t)-1 || rights->gid != (gid_t)-1;
}

static bool somebody_listens(const union net_address *address, int length, int type)
{
	auto_close int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* In doubt (its queue is full, it is of another type, no access) yes. */
	return connect(fd, &address->any, (socklen_t)length) == 0 || errno != ECONNREFUSED;
}

/* What an earlier run left behind. Anything but a socket stays: it is not ours. 1 when
 * there is nothing any more. */
static int remove_stale(const union net_address *address, int length, int type)
{
	const char *path = address->local.sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 1 : -errno;
	if (!S_ISSOCK(st.st_mode) || somebody_listens(address, length, type))
		return -EADDRINUSE;
	return unlink(path) < 0 ? -errno : 1;
}

/* The mode comes from the umask: a chmod afterwards would follow a link that the folder's
 * owner has put in the socket's place. */
static int bind_to(int fd, const union net_address *address, int length, mode_t mode)
{
	mode_t before = umask(~mode & 0777);
	int r = bind(fd, &address->any, (socklen_t)length) < 0 ? -errno : 0;

	(void)umask(before);
	return r;
}

int listen_remove_stale(const char *path, int type)
{
	union net_address address;
	int length = net_parse_unix(path, &address);
	int r = length < 0 ? length : remove_stale(&address, length, type);

	return r < 0 ? r : 0;
}

int listen_unix(const char *path, int type, int backlog, const struct listen_rights *rights)
{
	union net_address address;
	int length = net_parse_unix(path, &address);
	bool is_file = *path != '@';
	auto_close int fd = -1;
	int r = 0;

	if (length < 0)
		return length;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = bind_to(fd, &address, length, rights->mode);
	if (r == -EADDRINUSE && is_file)
		r = remove_stale(&address, length, type);
	if (r > 0)
		r = bind_to(fd, &address, length, rights->mode);
	if (r < 0)
		return r;
	if (is_file && has_owner(rights) && lchown(path, rights->uid, rights->gid) < 0)
		r = -errno;
	if (r == 0)
		r = start_listening(fd, type, backlog);
	if (r < 0 && is_file)
		(void)unlink(path);
	return r < 0 ? r : keep_fd(&fd);
}

/* Opened for both, so that it has a reader and a writer, us, and never ends. */
int listen_fifo(const char *path, const struct listen_rights *rights)
{
	auto_close int fd = -1;
	struct stat st;

	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISFIFO(st.st_mode))
		return -EEXIST;
	if (fcntl(fd, F_SETFL, O_RDWR) < 0)
		return -errno;
	if (has_owner(rights) && fchown(fd, rights->uid, rights->gid) < 0)
		return -errno;
	return fchmod(fd, rights->mode) < 0 ? -errno : keep_fd(&fd);
}

/* ---- */

static void describe_peer(const union net_address *peer, char ret_address[NET_ADDRESS_SIZE],
			  uint16_t *ret_port)
{
	int family = peer->any.sa_family;

	*ret_address = '\0';
	*ret_port = 0;
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer->v6.sin6_addr))
		(void)inet_ntop(AF_INET, peer->v6.sin6_addr.s6_addr + 12, ret_address,
				NET_ADDRESS_SIZE);
	else if (family == AF_INET6)
		(void)inet_ntop(family, &peer->v6.sin6_addr, ret_address, NET_ADDRESS_SIZE);
	else if (family == AF_INET)
		(void)inet_ntop(family, &peer->v4.sin_addr, ret_address, NET_ADDRESS_SIZE);
	if (family == AF_INET || family == AF_INET6) /* at the same place in both */
		*ret_port = ntohs(peer->v4.sin_port);
}

int listen_accept(int fd, char ret_address[NET_ADDRESS_SIZE], uint16_t *ret_port)
{
	union net_address peer = { 0 };
	socklen_t length = sizeof(peer);
	int connection = accept4(fd, &peer.any, &length, SOCK_CLOEXEC);

	if (connection < 0)
		return -errno;
	describe_peer(&peer, ret_address, ret_port);
	return connection;
}

static int spare = -1; /* ours for good */

bool listen_lacks_room(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

void listen_keep_spare(void)
{
	if (spare < 0)
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void listen_turn_away(int fd)
{
	if (spare < 0)
		return;
	(void)close(spare);
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (connection >= 0)
		(void)close(connection);
	spare = -1;
	listen_keep_spare();
}

int listen_adopt(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0)
		return -errno;
	if (flags & FD_CLOEXEC)
		return -EBADF;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}
