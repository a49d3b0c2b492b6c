/* SPDX-License-Identifier: MIT */
/* The notify socket, with messages as no service should send them. */
#include "notify.h"
#include "child.h"
#include "descend.h"
#include "loop.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char dir[] = "/tmp/moonrise-notify-XXXXXX";
static char path[64];

static struct {
	int count, fd_count;
	pid_t pid;
	unsigned owner;
	char text[NOTIFY_MAX_TEXT + 1];
} last;

static void arrived(const struct notify_message *message)
{
	last.count++;
	last.pid = message->pid;
	last.fd_count = message->fd_count;
	last.owner = message->owner;
	memcpy(last.text, message->text, message->length);
	last.text[message->length] = '\0';
	for (int i = 0; i < message->fd_count; i++)
		assert_int_equal(close(message->fds[i]), 0);
}

static void send_message(const char *text, size_t length, const int *fds, int count)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	union {
		char space[CMSG_SPACE(sizeof(int) * NOTIFY_MAX_FDS)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (void *)text, length };
	struct msghdr header = { .msg_name = &address,
				 .msg_namelen = sizeof(address),
				 .msg_iov = &part,
				 .msg_iovlen = 1 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	if (count > 0) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&header);
		*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS,
				       .cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count) };
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)count);
	}
	assert_int_equal(sendmsg(fd, &header, 0), (ssize_t)length);
	close(fd);
}

static int open_socket(void **state)
{
	(void)state;
	memset(&last, 0, sizeof(last));
	snprintf(path, sizeof(path), "%s/notify", dir);
	return loop_init() < 0 || notify_listen(path, arrived) < 0 ? -1 : 0;
}

static int close_socket(void **state)
{
	(void)state;
	notify_done();
	loop_done();
	return access(path, F_OK) == 0 ? -1 : 0;
}

static void test_a_message_comes_with_its_sender(void **state)
{
	(void)state;
	send_message("READY=1", 7, NULL, 0);
	loop_turn(LOOP_FOREVER);
	assert_int_equal(last.count, 1);
	assert_string_equal(last.text, "READY=1");
	assert_int_equal(last.pid, getpid());
	assert_int_equal(last.owner, 0);
}

static void test_everybody_may_write_to_it(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
}

static void test_a_long_message_is_none(void **state)
{
	static char text[NOTIFY_MAX_TEXT + 1];
	int fds[] = { 0, 1 };

	(void)state;
	memset(text, 'x', sizeof(text));
	send_message(text, sizeof(text) - 1, NULL, 0);
	loop_turn(LOOP_FOREVER);
	assert_int_equal(strlen(last.text), NOTIFY_MAX_TEXT);
	send_message(text, sizeof(text), fds, 2);
	loop_turn(LOOP_FOREVER);
	assert_int_equal(last.count, 2);
	assert_string_equal(last.text, "");
	assert_int_equal(last.fd_count, 2); /* `arrived` has closed them */
}

static void test_an_empty_message_and_many_descriptors_are_taken(void **state)
{
	int fds[NOTIFY_MAX_FDS];

	(void)state;
	send_message("", 0, NULL, 0);
	loop_turn(LOOP_FOREVER);
	assert_int_equal(last.count, 1);
	for (int i = 0; i < NOTIFY_MAX_FDS; i++)
		fds[i] = 0;
	send_message("FDSTORE=1", 9, fds, NOTIFY_MAX_FDS);
	loop_turn(LOOP_FOREVER);
	assert_int_equal(last.fd_count, NOTIFY_MAX_FDS);
}

/* It has ended, but whose it was is still known. */
static void test_the_message_is_read_before_its_sender_is_reaped(void **state)
{
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct rlimit mark = { DESCEND_MARK + 7, DESCEND_MARK + 7 };

		(void)setrlimit(RLIMIT_LOCKS, &mark);
		send_message("STATUS=gone", 11, NULL, 0);
		_exit(0);
	}
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	child_reap();
	assert_int_equal(last.count, 1);
	assert_int_equal(last.pid, pid);
	assert_int_equal(last.owner, 7);
}

static void test_a_stale_socket_is_replaced_and_a_file_is_not(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(notify_listen(path, arrived), -EALREADY);
	notify_done();
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(notify_listen(path, arrived), -EADDRINUSE);
	unlink(path);
	assert_int_equal(notify_listen(path, arrived), 0);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_message_comes_with_its_sender, open_socket,
						close_socket),
		cmocka_unit_test_setup_teardown(test_everybody_may_write_to_it, open_socket,
						close_socket),
		cmocka_unit_test_setup_teardown(test_a_long_message_is_none, open_socket,
						close_socket),
		cmocka_unit_test_setup_teardown(
			test_an_empty_message_and_many_descriptors_are_taken, open_socket,
			close_socket),
		cmocka_unit_test_setup_teardown(
			test_the_message_is_read_before_its_sender_is_reaped, open_socket,
			close_socket),
		cmocka_unit_test_setup_teardown(test_a_stale_socket_is_replaced_and_a_file_is_not,
						open_socket, close_socket),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
