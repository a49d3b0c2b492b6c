/* SPDX-License-Identifier: MIT */
/* Names from numbers and a hosts file; sockets that are alive, stale or none. */
#include "net.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

static char top[] = "/tmp/moonrise-net-XXXXXX";
static char hosts[64];
static char path[64];

static void write_file(const char *name, const char *text)
{
	auto_close int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	(void)snprintf(hosts, sizeof(hosts), "%s/hosts", top);
	(void)snprintf(path, sizeof(path), "%s/socket", top);
	write_file(hosts, "# 10.0.0.1 commented\n"
			  "127.0.0.1\tlocalhost\n"
			  "10.0.0.2  db  db.example.test # primary\n"
			  "fd00::2\tdb\n"
			  "no-address broken\n"
			  "10.0.0.3");
	net_hosts_path = hosts;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(hosts);
	(void)unlink(path);
	return rmdir(top);
}

/* ---- names */

static void test_resolve(void **state)
{
	char addresses[NET_MAX_ADDRESSES][NET_ADDRESS_SIZE];

	(void)state;
	assert_int_equal(net_resolve("192.0.2.7", addresses), 1);
	assert_string_equal(addresses[0], "192.0.2.7");
	assert_int_equal(net_resolve("::1", addresses), 1);
	assert_string_equal(addresses[0], "::1");
	assert_int_equal(net_resolve("DB", addresses), 2);
	assert_string_equal(addresses[0], "10.0.0.2");
	assert_string_equal(addresses[1], "fd00::2");
	assert_int_equal(net_resolve("db.example.test", addresses), 1);
	assert_int_equal(net_resolve("localhost", addresses), 1);
}

static void test_resolve_knows_nothing_else(void **state)
{
	static const char *const names[] = { "commented", "primary", "broken",
					     "10.0.0",    "no.such", "" };
	char addresses[NET_MAX_ADDRESSES][NET_ADDRESS_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(net_resolve(names[i], addresses), -ENOENT);
}

static void test_localhost_without_a_file(void **state)
{
	char addresses[NET_MAX_ADDRESSES][NET_ADDRESS_SIZE];

	(void)state;
	net_hosts_path = "/no/such/hosts";
	assert_int_equal(net_resolve("localhost", addresses), 2);
	assert_string_equal(addresses[0], "127.0.0.1");
	assert_string_equal(addresses[1], "::1");
	net_hosts_path = hosts;
}

/* ---- connections */

/* What net_connected says once it knows. */
static int outcome(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	assert_int_equal(poll(&poll_fd, 1, 30000), 1);
	return net_connected(fd);
}

static int tcp_socket(uint16_t *ret_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static void test_connect_tcp(void **state)
{
	uint16_t port;
	auto_close int server = tcp_socket(&port);
	auto_close int refused = net_connect_tcp("127.0.0.1", port);
	auto_close int client = -1;

	(void)state;
	/* Taken, but nobody listens: said at once or later. */
	assert_int_equal(refused < 0 ? refused : outcome(refused), -ECONNREFUSED);
	assert_int_equal(listen(server, 1), 0);
	client = net_connect_tcp("127.0.0.1", port);
	assert_true(client >= 0);
	assert_int_equal(outcome(client), 1);
	assert_int_equal(net_connect_tcp("localhost", port), -EINVAL);
}

static void test_connect_unix_refuses(void **state)
{
	char long_name[200];

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(net_connect_unix(long_name), -ENAMETOOLONG);
	assert_int_equal(net_connect_unix(""), -EINVAL);
}

/* ---- sd_notify */

static void assert_notified(const char *name, const struct sockaddr_un *address, socklen_t length)
{
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char text[64];

	assert_int_equal(bind(fd, (const struct sockaddr *)address, length), 0);
	assert_int_equal(net_notify(name, "READY=1\n"), 1);
	assert_int_equal(read(fd, text, sizeof(text)), 8);
	assert_memory_equal(text, "READY=1\n", 8);
}

static void test_notify(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t start = offsetof(struct sockaddr_un, sun_path);

	(void)state;
	(void)unlink(path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_notified(path, &address, sizeof(address));
	/* Abstract: the folder's name makes it ours; no zero ends it. */
	address.sun_path[0] = '\0';
	memcpy(address.sun_path + 1, top, strlen(top));
	(void)snprintf(path, sizeof(path), "@%s", top);
	assert_notified(path, &address, (socklen_t)(start + 1 + strlen(top)));
	assert_int_equal(net_notify(path, "READY=1\n"), -ECONNREFUSED);
	(void)snprintf(path, sizeof(path), "%s/socket", top);
}

static void test_nobody_to_notify(void **state)
{
	(void)state;
	assert_int_equal(net_notify(NULL, "READY=1\n"), 0);
	assert_int_equal(net_notify("", "READY=1\n"), 0);
	assert_int_equal(net_notify("/no/such/socket", "READY=1\n"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_resolve_knows_nothing_else),
		cmocka_unit_test(test_localhost_without_a_file),
		cmocka_unit_test(test_connect_tcp),
		cmocka_unit_test(test_connect_unix_refuses),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_nobody_to_notify),
	};

	return cmocka_run_group_tests_name("net", tests, set_up, tear_down);
}
