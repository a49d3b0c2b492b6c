/* SPDX-License-Identifier: MIT */
/* Nothing here waits: sockets are non-blocking from birth, and names are looked
 * up only in what the container itself knows, since a name server may take
 * seconds to answer, or never. */
#include "net.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

const char *net_hosts_path = "/etc/hosts";

/* ---- names */

int net_parse_address(const char *text, uint16_t port, union net_address *ret_address)
{
	union net_address address = { 0 };

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		*ret_address = address;
		return sizeof(address.v4);
	}
	if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		*ret_address = address;
		return sizeof(address.v6);
	}
	return -EINVAL;
}

static bool is_address(const char *text)
{
	union net_address address;

	return net_parse_address(text, 0, &address) > 0;
}

static int add_address(char addresses[][NET_ADDRESS_SIZE], int count, const char *text)
{
	if (count == NET_MAX_ADDRESSES || !is_address(text))
		return count;
	(void)snprintf(addresses[count], NET_ADDRESS_SIZE, "%s", text);
	return count + 1;
}

/* "address name alias ... # comment" */
static int add_hosts_line(char *line, const char *name, char addresses[][NET_ADDRESS_SIZE],
			  int count)
{
	char *rest = line;
	const char *address;
	const char *word;

	line[strcspn(line, "#\n")] = '\0';
	address = strtok_r(line, " \t\r", &rest);
	if (!address)
		return count;
	while ((word = strtok_r(NULL, " \t\r", &rest)))
		if (strcasecmp(word, name) == 0)
			return add_address(addresses, count, address);
	return count;
}

static int read_hosts(const char *name, char addresses[][NET_ADDRESS_SIZE])
{
	auto_fclose FILE *file = fopen(net_hosts_path, "re");
	auto_free char *line = NULL;
	size_t size = 0;
	int count = 0;

	while (file && getline(&line, &size, file) > 0)
		count = add_hosts_line(line, name, addresses, count);
	return count;
}

int net_resolve(const char *name, char ret_addresses[NET_MAX_ADDRESSES][NET_ADDRESS_SIZE])
{
	int count = add_address(ret_addresses, 0, name);

	if (count == 0)
		count = read_hosts(name, ret_addresses);
	if (count == 0 && strcasecmp(name, "localhost") == 0) {
		count = add_address(ret_addresses, count, "127.0.0.1");
		count = add_address(ret_addresses, count, "::1");
	}
	return count == 0 ? -ENOENT : count;
}

/* ---- connecting */

/* A connect that has only been started is as good as one that is done. */
static int start_connect(const struct sockaddr *address, socklen_t length)
{
	auto_close int fd =
		socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (address->sa_family == AF_UNIX)
		net_refuse_fds(fd);
	if (connect(fd, address, length) < 0 && errno != EINPROGRESS)
		return -errno;
	return keep_fd(&fd);
}

int net_connect_tcp(const char *address, uint16_t port)
{
	union net_address a;
	int length = net_parse_address(address, port, &a);

	return length < 0 ? length : start_connect(&a.any, (socklen_t)length);
}

int net_parse_unix(const char *name, union net_address *ret_address)
{
	size_t length = strlen(name);

	if (length == 0)
		return -EINVAL;
	if (length >= sizeof(ret_address->local.sun_path))
		return -ENAMETOOLONG;
	*ret_address = (union net_address){ .local.sun_family = AF_UNIX };
	memcpy(ret_address->local.sun_path, name, length);
	if (*name == '@')
		ret_address->local.sun_path[0] = '\0';
	else
		length++;
	return (int)(offsetof(struct sockaddr_un, sun_path) + length);
}

int net_connect_unix(const char *path)
{
	union net_address address;
	int length = net_parse_unix(path, &address);

	return length < 0 ? length : start_connect(&address.any, (socklen_t)length);
}

int net_connected(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t length = sizeof(error);

	if (poll(&poll_fd, 1, 0) < 0)
		return errno == EINTR ? 0 : -errno; /* guard.c's timer */
	if (poll_fd.revents == 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return error ? -error : 1;
}

/* ---- what others send */

void net_close_foreign(int fd)
{
	static const struct linger off = { 0 };

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	(void)close(fd);
}

void net_refuse_fds(int fd)
{
	int off = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

/* ---- sd_notify */

int net_notify(const char *socket_name, const char *text)
{
	auto_close int fd = -1;
	union net_address address;
	int length;

	if (!socket_name || !*socket_name)
		return 0;
	length = net_parse_unix(socket_name, &address);
	if (length < 0)
		return length;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, &address.any, (socklen_t)length) < 0)
		return -errno;
	return 1;
}
