/* SPDX-License-Identifier: MIT */
/* Sockets and FIFOs that are made, replaced, refused, accepted from and adopted. */
#include "listen.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct listen_rights rights = { .mode = 0620, .uid = -1, .gid = -1 };
static const struct listen_rights others = { .mode = 0600, .uid = -1, .gid = -1 };

static char top[] = "/tmp/moonrise-listen-XXXXXX";
static char path[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/socket", top);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(top);
}

static int clear(void **state)
{
	(void)state;
	(void)unlink(path);
	return 0;
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	return st.st_mode & 07777;
}

static uint16_t port_of(int fd)
{
	union net_address address;
	socklen_t length = sizeof(address);

	assert_int_equal(getsockname(fd, &address.any, &length), 0);
	return ntohs(address.v4.sin_port);
}

/* ---- the file system */

static void test_unix_has_its_rights(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		auto_close int server = listen_unix(path, types[i], 5, &rights);
		auto_close int client = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
		union net_address address;
		int length = net_parse_unix(path, &address);

		assert_true(server >= 0);
		assert_int_equal(mode_of(path), 0620);
		assert_int_equal(connect(client, &address.any, (socklen_t)length), 0);
		assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
		assert_false(fcntl(server, F_GETFL) & O_NONBLOCK);
		assert_int_equal(listen_unix(path, types[i], 5, &others), -EADDRINUSE);
	}
}

static void test_stale_socket_is_replaced(void **state)
{
	auto_close int server = -1;
	auto_close int client = -1;

	(void)state;
	(void)close(listen_unix(path, SOCK_STREAM, 5, &others));
	assert_int_equal(net_connect_unix(path), -ECONNREFUSED);
	server = listen_unix(path, SOCK_STREAM | SOCK_NONBLOCK, 5, &others);
	assert_true(server >= 0);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	client = net_connect_unix(path);
	assert_true(client >= 0);
}

static void test_other_files_stay(void **state)
{
	char long_name[200];

	(void)state;
	(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(listen_unix(path, SOCK_STREAM, 5, &others), -EADDRINUSE);
	assert_int_equal(listen_fifo(path, &others), -EEXIST);
	assert_int_equal(mode_of(path), 0600);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(listen_unix(long_name, SOCK_STREAM, 5, &others), -ENAMETOOLONG);
	assert_int_equal(listen_unix("/nonexistent/folder/s", SOCK_STREAM, 5, &others), -ENOENT);
}

static void test_abstract(void **state)
{
	char name[64];

	(void)state;
	(void)snprintf(name, sizeof(name), "@%s", top);
	auto_close int server = listen_unix(name, SOCK_STREAM, 5, &rights);
	auto_close int client = net_connect_unix(name);

	assert_true(server >= 0);
	assert_true(client >= 0);
	assert_int_equal(listen_unix(name, SOCK_STREAM, 5, &rights), -EADDRINUSE);
}

static void test_fifo(void **state)
{
	auto_close int fifo = listen_fifo(path, &rights);
	auto_close int again = listen_fifo(path, &others);
	auto_close int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	char byte;

	(void)state;
	assert_true(fifo >= 0 && again >= 0 && writer >= 0);
	assert_int_equal(mode_of(path), 0600);
	assert_int_equal(write(writer, "x", 1), 1);
	assert_int_equal(read(fifo, &byte, 1), 1);
	assert_false(fcntl(fifo, F_GETFL) & O_NONBLOCK);
}

/* ---- internet; port 0 is one that is free */

static void test_inet(void **state)
{
	auto_close int server = listen_inet("127.0.0.1", 0, SOCK_STREAM, 5, false);
	uint16_t port = port_of(server), peer_port;
	auto_close int client = net_connect_tcp("127.0.0.1", port);
	struct pollfd incoming = { .fd = server, .events = POLLIN };
	char address[NET_ADDRESS_SIZE];

	(void)state;
	assert_int_equal(poll(&incoming, 1, 10000), 1);
	auto_close int connection = listen_accept(server, address, &peer_port);
	assert_true(connection >= 0);
	assert_string_equal(address, "127.0.0.1");
	assert_int_equal(peer_port, port_of(client));
	assert_false(fcntl(connection, F_GETFL) & O_NONBLOCK);
	assert_int_equal(listen_inet("127.0.0.1", port, SOCK_STREAM, 5, false), -EADDRINUSE);
	assert_int_equal(listen_inet("localhost", port, SOCK_STREAM, 5, false), -EINVAL);
}

static void test_every_address(void **state)
{
	auto_close int server = listen_inet(NULL, 0, SOCK_STREAM, 5, false);
	auto_close int client = net_connect_tcp("127.0.0.1", port_of(server));
	struct pollfd incoming = { .fd = server, .events = POLLIN };
	char address[NET_ADDRESS_SIZE];
	uint16_t port;

	(void)state;
	assert_int_equal(poll(&incoming, 1, 10000), 1);
	(void)close(listen_accept(server, address, &port));
	assert_string_equal(address, "127.0.0.1"); /* not ::ffff:127.0.0.1 */
}

static void test_reuse_port(void **state)
{
	auto_close int one = listen_inet("127.0.0.1", 0, SOCK_DGRAM, 5, true);
	auto_close int two = listen_inet("127.0.0.1", port_of(one), SOCK_DGRAM, 5, true);

	(void)state;
	assert_true(one >= 0);
	assert_true(two >= 0);
	assert_int_equal(listen_inet("127.0.0.1", port_of(one), SOCK_DGRAM, 5, false), -EADDRINUSE);
}

static void test_nobody_there_yet(void **state)
{
	auto_close int server = listen_unix(path, SOCK_STREAM | SOCK_NONBLOCK, 5, &others);
	char address[NET_ADDRESS_SIZE];
	uint16_t port;

	(void)state;
	assert_int_equal(listen_accept(server, address, &port), -EAGAIN);
	auto_close int client = net_connect_unix(path);
	auto_close int connection = listen_accept(server, address, &port);
	assert_true(client >= 0 && connection >= 0);
	assert_string_equal(address, "");
}

static void test_adopt(void **state)
{
	auto_close int ours = open("/dev/null", O_RDONLY | O_CLOEXEC);
	auto_close int inherited = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(listen_adopt(ours), -EBADF);
	assert_int_equal(listen_adopt(1000000), -EBADF);
	assert_int_equal(listen_adopt(inherited), 0);
	assert_int_equal(listen_adopt(inherited), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_unix_has_its_rights, clear),
		cmocka_unit_test_teardown(test_stale_socket_is_replaced, clear),
		cmocka_unit_test_teardown(test_other_files_stay, clear),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test_teardown(test_fifo, clear),
		cmocka_unit_test(test_inet),
		cmocka_unit_test(test_every_address),
		cmocka_unit_test(test_reuse_port),
		cmocka_unit_test_teardown(test_nobody_there_yet, clear),
		cmocka_unit_test(test_adopt),
	};

	return cmocka_run_group_tests_name("listen", tests, set_up, tear_down);
}
