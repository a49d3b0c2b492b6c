/* SPDX-License-Identifier: MIT */
/* The control socket against clients that are slow, silent, many or hostile. */
#include "control.h"

#include "loop.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

static char top[] = "/tmp/moonrise-control-XXXXXX";
static char path[CONTROL_PATH_SIZE];

/* What has arrived, the last of it whole. */
static struct {
	int frames, closed, drained;
	int client;
	char kind;
	size_t length;
	char payload[64];
} seen;

static void arrived(int client, const struct control_frame *frame)
{
	seen.client = client;
	if (frame->kind == CONTROL_CLOSED) {
		seen.closed++;
	} else if (frame->kind == CONTROL_DRAINED) {
		seen.drained++;
	} else {
		seen.frames++;
		seen.kind = frame->kind;
		seen.length = frame->length;
		memset(seen.payload, 0, sizeof(seen.payload));
		if (frame->length < sizeof(seen.payload))
			memcpy(seen.payload, frame->payload, frame->length);
	}
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(path, sizeof(path), "%s/run/control", top);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(loop_init(), 0);
	assert_int_equal(control_listen(path, arrived), 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	control_done(LOOP_NOW);
	loop_done();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

/* Until nothing is ready any more. */
static void settle(void)
{
	while (loop_turn(LOOP_NOW) > 0)
		continue;
}

static int connect_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	settle();
	return fd;
}

static void send_bytes(int fd, const char *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static void send_frame(int fd, char kind, const char *payload)
{
	char header[CONTROL_HEADER];

	control_header(header, kind, (uint32_t)strlen(payload));
	send_bytes(fd, header, sizeof(header));
	send_bytes(fd, payload, strlen(payload));
}

/* Connect and say something: the client's number. */
static int introduce(int *ret_fd)
{
	*ret_fd = connect_client();
	send_frame(*ret_fd, 'R', "status");
	settle();
	return seen.client;
}

static bool is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* The next frame has this kind; its payload, in a static buffer. */
static const char *expect_frame(int fd, char kind)
{
	static char payload[256];
	char header[CONTROL_HEADER], got;
	size_t length;

	assert_int_equal(recv(fd, header, sizeof(header), 0), sizeof(header));
	assert_int_equal(control_parse(header, "OEXMC", sizeof(payload) - 1, &got, &length), 0);
	assert_int_equal(got, kind);
	assert_int_equal(recv(fd, payload, length, 0), length);
	payload[length] = '\0';
	return payload;
}

static void refuses_what_is_no_header(void **state)
{
	static const struct {
		unsigned char header[CONTROL_HEADER];
		int result;
		size_t length;
	} rows[] = {
		{ { 'R', 0, 0, 0, 0 }, 0, 0 },
		{ { 'I', 0, 0, 1, 2 }, 0, 258 },
		{ { '?', 0, 16, 0, 0 }, 0, CONTROL_MAX_REQUEST },
		{ { 'R', 0, 16, 0, 1 }, -EMSGSIZE, 0 },
		{ { 'R', 255, 255, 255, 255 }, -EMSGSIZE, 0 },
		{ { 'X', 0, 0, 0, 0 }, -EPROTO, 0 },
		{ { 0, 0, 0, 0, 0 }, -EPROTO, 0 },
		{ { 0xff, 0, 0, 0, 0 }, -EPROTO, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char kind = 0;
		size_t length = 0;
		assert_int_equal(control_parse((const char *)rows[i].header, CONTROL_REQUESTS,
					       CONTROL_MAX_REQUEST, &kind, &length),
				 rows[i].result);
		assert_int_equal(length, rows[i].length);
		assert_int_equal(kind, rows[i].result ? 0 : rows[i].header[0]);
	}
}

static void writes_the_header_that_it_reads(void **state)
{
	char header[CONTROL_HEADER], kind;
	size_t length;

	(void)state;
	control_header(header, 'C', 0xfedcba98);
	assert_int_equal(control_parse(header, "C", SIZE_MAX, &kind, &length), 0);
	assert_int_equal(length, 0xfedcba98);
}

static void knows_the_places(void **state)
{
	char places[CONTROL_MAX_PLACES][CONTROL_PATH_SIZE];
	char endless[4096];

	(void)state;
	setenv("MOONRISE_RUNDIR", "/srv/run", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(control_places(7, places), 4);
	assert_string_equal(places[0], "/srv/run/control");
	assert_string_equal(places[1], "/run/moonrise/control");
	assert_string_equal(places[2], "/run/user/7/moonrise/control");
	assert_string_equal(places[3], "/dev/shm/moonrise-7/control");
	unsetenv("MOONRISE_RUNDIR");
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	assert_int_equal(control_places(7, places), 2);
	assert_string_equal(places[1], "/dev/shm/moonrise-7/control");
	unsetenv("XDG_RUNTIME_DIR");
	memset(endless, 'x', sizeof(endless) - 1);
	endless[0] = '/';
	endless[sizeof(endless) - 1] = '\0';
	setenv("MOONRISE_RUNDIR", endless, 1);
	assert_int_equal(control_places(7, places), 2);
	unsetenv("MOONRISE_RUNDIR");
}

static void listens_for_us_alone(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(control_listen(path, arrived), -EALREADY);
}

/* control_listen for another place, with the present one given up. */
static int listen_at(const char *name)
{
	char other[CONTROL_PATH_SIZE];

	control_done(LOOP_NOW);
	snprintf(other, sizeof(other), "%s/%s", top, name);
	return control_listen(other, arrived);
}

static void refuses_a_bad_place(void **state)
{
	char name[CONTROL_PATH_SIZE];

	(void)state;
	assert_int_equal(listen_at("no/such/control"), -ENOENT);
	snprintf(name, sizeof(name), "%s/link", top);
	assert_int_equal(symlink("run", name), 0);
	assert_int_equal(listen_at("link/control"), -ENOTDIR);
	snprintf(name, sizeof(name), "%s/file", top);
	close(open(name, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(listen_at("file/control"), -ENOTDIR);
	assert_int_equal(control_listen("control", arrived), -EINVAL);
	if (geteuid() != 0)
		return;
	snprintf(name, sizeof(name), "%s/theirs", top);
	assert_int_equal(mkdir(name, 0777), 0);
	assert_int_equal(chown(name, 12345, 12345), 0);
	assert_int_equal(listen_at("theirs/control"), -EPERM);
}

static void refuses_a_place_that_is_taken(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	control_done(LOOP_NOW);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(control_listen(path, arrived), -EADDRINUSE);
	close(keep_fd(&fd));
	assert_int_equal(control_listen(path, arrived), 0); /* now it is only a file */
}

static void hands_over_a_frame(void **state)
{
	auto_close int fd = -1;
	uid_t uid;
	pid_t pid;

	(void)state;
	introduce(&fd);
	assert_int_equal(seen.frames, 1);
	assert_int_equal(seen.kind, 'R');
	assert_string_equal(seen.payload, "status");
	assert_int_equal(control_peer(seen.client, &uid, &pid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(pid, getpid());
	assert_int_equal(control_peer(seen.client + 1, &uid, &pid), -ESRCH);
}

static void puts_a_frame_together_byte_by_byte(void **state)
{
	auto_close int fd = connect_client();
	const char bytes[] = "R\0\0\0\5hello?\0\0\0\2ab";

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
		send_bytes(fd, &bytes[i], 1);
		settle();
		assert_int_equal(seen.frames, i < 9 ? 0 : i < 16 ? 1 : 2);
	}
	assert_int_equal(seen.kind, '?');
	assert_string_equal(seen.payload, "ab");
}

static void takes_one_frame_a_turn(void **state)
{
	auto_close int fd = connect_client();

	(void)state;
	for (int i = 0; i < 100; i++)
		send_frame(fd, 'I', "");
	for (int i = 1; i <= 100; i++) {
		assert_int_equal(loop_turn(LOOP_NOW), 1);
		assert_int_equal(seen.frames, i);
	}
}

static void takes_the_longest_request(void **state)
{
	auto_close int fd = connect_client();
	auto_free char *data = calloc(1, CONTROL_MAX_REQUEST);
	char header[CONTROL_HEADER];

	(void)state;
	control_header(header, 'R', CONTROL_MAX_REQUEST);
	send_bytes(fd, header, sizeof(header));
	for (size_t sent = 0; sent < CONTROL_MAX_REQUEST; settle()) {
		ssize_t n = send(fd, data + sent, CONTROL_MAX_REQUEST - sent, MSG_NOSIGNAL);
		assert_true(n > 0);
		sent += (size_t)n;
	}
	assert_int_equal(seen.frames, 1);
	assert_int_equal(seen.length, CONTROL_MAX_REQUEST);
}

static void tells_a_client_that_talks_rubbish(void **state)
{
	auto_close int fd = connect_client();

	(void)state;
	send_bytes(fd, "GET / HTTP/1.1\r\n", 16);
	settle();
	assert_int_equal(seen.frames, 0);
	assert_int_equal(seen.closed, 1);
	assert_string_equal(expect_frame(fd, 'E'),
			    "moonrise: that is no request (unknown kind of frame)\n");
	assert_int_equal(*expect_frame(fd, 'X'), 64);
	assert_true(is_closed(fd));
}

static void tells_a_client_that_sends_too_much(void **state)
{
	auto_close int fd = connect_client();
	char header[CONTROL_HEADER];

	(void)state;
	control_header(header, 'R', 10 * 1024 * 1024);
	send_bytes(fd, header, sizeof(header));
	settle();
	assert_int_equal(seen.closed, 1);
	assert_string_equal(expect_frame(fd, 'E'), "moonrise: the request is longer than 1 MiB\n");
	assert_int_equal(*expect_frame(fd, 'X'), 64);
	assert_true(is_closed(fd));
}

static void tells_of_one_that_leaves_in_the_middle(void **state)
{
	int fd = connect_client();

	(void)state;
	send_bytes(fd, "R\0\0\0\377half of it", 15);
	settle();
	assert_int_equal(seen.closed, 0);
	close(fd);
	settle();
	assert_int_equal(seen.frames, 0);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(control_send(seen.client, 'O', "x", 1), -ESRCH);
}

static void lets_the_silent_go_first(void **state)
{
	int fds[CONTROL_MAX_CLIENTS + 1], talker, last;

	(void)state;
	talker = introduce(&fds[0]);
	for (int i = 1; i < CONTROL_MAX_CLIENTS; i++)
		fds[i] = connect_client();
	send_bytes(fds[1], "R\0\0", 3); /* half a header says nothing */
	settle();
	assert_int_equal(seen.closed, 0);
	last = introduce(&fds[CONTROL_MAX_CLIENTS]);
	assert_int_equal(seen.closed, 1);
	assert_true(is_closed(fds[1]));
	assert_true(control_send(talker, 'O', "a", 1) >= 0);
	assert_true(control_send(last, 'O', "b", 1) >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void lets_the_longest_quiet_go_next(void **state)
{
	int fds[CONTROL_MAX_CLIENTS + 1];

	(void)state;
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		(void)introduce(&fds[i]);
	send_frame(fds[0], 'R', "again");
	settle();
	(void)introduce(&fds[CONTROL_MAX_CLIENTS]);
	assert_false(is_closed(fds[0]));
	assert_true(is_closed(fds[1]));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* Fill the socket's own buffer and then some. */
static ssize_t fill_queue(int client, size_t size)
{
	static const char block[64 * 1024];
	ssize_t waiting = 0;

	while (waiting >= 0 && (size_t)waiting <= size)
		waiting = control_send(client, 'O', block, sizeof(block));
	return waiting;
}

static size_t read_all(int fd)
{
	static char buf[64 * 1024];
	size_t total = 0;

	for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) > 0; total += (size_t)n)
		settle();
	return total;
}

static void waits_for_a_slow_reader(void **state)
{
	auto_close int fd = -1;
	int client = introduce(&fd);

	(void)state;
	assert_true(fill_queue(client, CONTROL_HIGH_WATER) > CONTROL_HIGH_WATER);
	settle();
	assert_int_equal(seen.drained, 0);
	assert_true(read_all(fd) > CONTROL_HIGH_WATER);
	assert_int_equal(seen.drained, 1);
	assert_int_equal(control_send(client, 'O', "", 0), 0);
}

static void drops_one_that_never_reads(void **state)
{
	auto_close int fd = -1;
	int client = introduce(&fd);

	(void)state;
	assert_int_equal(fill_queue(client, CONTROL_MAX_QUEUE), -ENOBUFS);
	assert_int_equal(seen.closed, 0); /* not in the middle of the owner's work */
	settle();
	assert_int_equal(seen.closed, 1);
	assert_int_equal(control_send(client, 'O', "", 0), -ESRCH);
}

static void closes_after_the_last_word(void **state)
{
	auto_close int fd = -1;
	int client = introduce(&fd);

	(void)state;
	(void)fill_queue(client, CONTROL_HIGH_WATER);
	control_close(client);
	assert_int_equal(control_send(client, 'O', "", 0), -ESRCH);
	assert_true(read_all(fd) > CONTROL_HIGH_WATER);
	assert_true(is_closed(fd));
	assert_int_equal(seen.closed, 0);
}

static void is_done_in_time(void **state)
{
	auto_close int reader = -1;
	auto_close int sleeper = -1;
	int client = introduce(&reader);

	(void)state;
	(void)control_send(client, 'O', "bye", 3);
	(void)fill_queue(introduce(&sleeper), CONTROL_HIGH_WATER);
	control_done(loop_time() + 50 * NSEC_PER_MSEC);
	assert_string_equal(expect_frame(reader, 'O'), "bye");
	assert_true(is_closed(reader));
	assert_int_equal(access(path, F_OK), -1);
}

/* A connection that can't be accepted must not keep the loop awake. */
static void survives_without_descriptors(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct rlimit saved, limit;
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)state;
	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
	limit = saved;
	limit.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	settle();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
	assert_true(is_closed(fd));
	int other;
	assert_true(introduce(&other) > 0);
	close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_no_header),
		cmocka_unit_test(writes_the_header_that_it_reads),
		cmocka_unit_test(knows_the_places),
		TEST(listens_for_us_alone),
		TEST(refuses_a_bad_place),
		TEST(refuses_a_place_that_is_taken),
		TEST(hands_over_a_frame),
		TEST(puts_a_frame_together_byte_by_byte),
		TEST(takes_one_frame_a_turn),
		TEST(takes_the_longest_request),
		TEST(tells_a_client_that_talks_rubbish),
		TEST(tells_a_client_that_sends_too_much),
		TEST(tells_of_one_that_leaves_in_the_middle),
		TEST(lets_the_silent_go_first),
		TEST(lets_the_longest_quiet_go_next),
		TEST(waits_for_a_slow_reader),
		TEST(drops_one_that_never_reads),
		TEST(closes_after_the_last_word),
		TEST(is_done_in_time),
		TEST(survives_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
