/* SPDX-License-Identifier: MIT */
/* The relay, from a service's pipe to the container's stdout. The output is fd 1
 * of the process, so each case runs in a child: `stdout` is a pipe that the case
 * reads itself, as fast or as slowly as it wants. */
#include "relay.h"

#include "loop.h"
#include "output.h"
#include "util.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PATIENCE (30 * NSEC_PER_SEC)
#define BIG (1 << 20)

static int reader; /* the other end of fd 1 */
static char got[4 * BIG];
static size_t got_length;

static void non_blocking(int fd)
{
	assert(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

static void in_child(const char *format, void (*body)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		int out[2];
		setenv("MOONRISE_LOG", format, 1);
		assert(pipe(out) == 0 && dup2(out[1], STDOUT_FILENO) == STDOUT_FILENO);
		close(out[1]);
		reader = out[0];
		non_blocking(reader);
		assert(loop_init() == 0);
		body();
		loop_done();
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A service: what it writes to is returned, non-blocking. */
static int service(const char *name, struct relay **ret_relay)
{
	int p[2];
	assert(pipe(p) == 0);
	non_blocking(p[1]);
	struct tail *tail = tail_new();
	*ret_relay = relay_new(p[0], name, SPEAKER_STDOUT, tail);
	assert(*ret_relay);
	tail_unref(tail); /* it has its own reference */
	return p[1];
}

static void turn(void)
{
	assert(loop_turn(loop_time() + NSEC_PER_MSEC) >= 0);
}

static bool read_some(void)
{
	ssize_t n = read(reader, got + got_length, sizeof(got) - got_length);
	if (n > 0)
		got_length += (size_t)n;
	return n > 0;
}

/* Feed everything through one relay with a willing reader. */
static void pass(const char *data, size_t length)
{
	struct relay *relay;
	int fd = service("web", &relay);
	int64_t end = loop_time() + PATIENCE;
	while (!relay_drained(relay)) {
		assert(loop_time() < end);
		ssize_t n = length > 0 ? write(fd, data, length) : 0;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
		if (length == 0 && fd >= 0) {
			close(fd);
			fd = -1;
		}
		turn();
		read_some();
	}
	while (!output_flush(output_stdout()) || read_some()) {
		assert(loop_time() < end);
		turn();
		read_some();
	}
	relay_release(relay);
}

static void expect(const char *text, size_t length)
{
	if (got_length != length || memcmp(got, text, length) != 0)
		fprintf(stderr, "got %zu bytes: %.*s\n", got_length, (int)got_length, got);
	assert(got_length == length && memcmp(got, text, length) == 0);
}

#define EXPECT(text) expect(text, sizeof(text) - 1)
#define PASS(text) pass(text, sizeof(text) - 1)

/* ---- cases */

static void prefix(void)
{
	PASS("one\n\ntwo\nno newline");
	EXPECT("web: one\nweb: \nweb: two\nweb: no newline\n");
}

static void plain_bytes(void)
{
	static char bytes[100000];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7919 >> 3);
	bytes[sizeof(bytes) - 1] = '\n';
	pass(bytes, sizeof(bytes));
	expect(bytes, sizeof(bytes));
}

/* Each length is copied by other means. */
static void all_lengths(void)
{
	static char lines[600 * 601];
	size_t length = 0;
	for (size_t n = 0; n < 600; n++) {
		for (size_t i = 0; i < n; i++)
			lines[length++] = (char)('a' + (n + i) % 26);
		lines[length++] = '\n';
	}
	pass(lines, length);
	expect(lines, length);
}

static void long_lines(void)
{
	static char line[SPEAKER_LINE_MAX * 2 + 11];
	memset(line, 'x', sizeof(line));
	line[SPEAKER_LINE_MAX] = '\n'; /* just short enough */
	pass(line, sizeof(line));
	assert(memcmp(got + SPEAKER_LINE_MAX, "\nxxx", 4) == 0);
	assert(memcmp(got + got_length - 13, "\\\nxxxxxxxxxx\n", 13) == 0);
	assert(got_length == sizeof(line) + 3);
}

/* The two bytes of the o lie on both sides of the limit. */
static void long_utf8(void)
{
	static char line[SPEAKER_LINE_MAX + 2];
	memset(line, 'x', sizeof(line));
	memcpy(line + SPEAKER_LINE_MAX - 1, "\xc3\xb6", 2);
	pass(line, sizeof(line));
	assert(memcmp(got + SPEAKER_LINE_MAX - 1, "\\\n\xc3\xb6x\n", 6) == 0);
}

static void json(void)
{
	PASS("say \"hi\"\t\\ \x1b[0m gr\xc3\xbc\xc3\x9f bad \xff\xc0\xaf\xed\xa0\x80.\n");
	got[got_length] = 0;
	assert(strncmp(got, "{\"time\":\"2", 10) == 0);
	assert(strstr(
		got,
		"Z\",\"name\":\"web\",\"stream\":\"stdout\",\"message\":\"say \\\"hi\\\"\\t\\\\ "
		"\\u001b[0m gr\xc3\xbc\xc3\x9f bad \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.\"}\n"));
}

/* A level is what a whole line begins with, and nothing else. */
static void levels(void)
{
	PASS("<3>bad\n<8>text\n x<3>\n<3\n<7>\n<4>tail");
	EXPECT("bad\n<8>text\n x<3>\n<3\n\ntail\n");
}

static void levels_json(void)
{
	PASS("<0>a\n<3>b\n<6>c\nd\n");
	got[got_length] = 0;
	assert(strstr(got, "\"stdout\",\"level\":\"error\",\"message\":\"a\"}\n"));
	assert(strstr(got, "\"level\":\"error\",\"message\":\"b\"}\n"));
	assert(strstr(got, "\"level\":\"info\",\"message\":\"c\"}\n"));
	assert(strstr(got, "\"stdout\",\"message\":\"d\"}\n"));
}

/* All pieces have the level of the first, although one begins as if with its own. */
static void levels_long(void)
{
	static char line[SPEAKER_LINE_MAX + 10];
	memset(line, 'x', sizeof(line));
	memcpy(line, "<3>", 3);
	memcpy(line + SPEAKER_LINE_MAX, "<7>y\n<5>z\n", 10);
	pass(line, sizeof(line));
	got[got_length] = 0;
	assert(strstr(got, "\"level\":\"error\",\"message\":\"xxx"));
	assert(strstr(got, "\"level\":\"error\",\"message\":\"<7>y\"}\n"));
	assert(strstr(got, "\"level\":\"notice\",\"message\":\"z\"}\n"));
}

static void levels_hidden(void)
{
	setenv("MOONRISE_LOG_LEVEL", "warning", 1);
	PASS("<3>bad\nplain\n<4>look\n<5>note\n");
	EXPECT("web: bad\nweb: look\n");
}

static void json_long(void)
{
	static char line[SPEAKER_LINE_MAX + 5];
	memset(line, 1, sizeof(line));
	pass(line, sizeof(line));
	got[got_length] = 0;
	assert(strstr(got, "\\u0001\",\"partial\":true}\n{"));
}

/* Nobody reads: the service's own pipe fills up. Then all of it arrives. */
static void back_pressure(void)
{
	struct relay *relay[2];
	int fd[2] = { service("a", &relay[0]), service("b", &relay[1]) };
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	size_t lines[2] = { 0, 0 };

	for (int idle = 0; idle < 20; idle++) {
		for (int i = 0; i < 2; i++) {
			while (write(fd[i], "0123456789abcde\n", 16) == 16) {
				lines[i]++;
				idle = 0;
			}
			assert(errno == EAGAIN);
		}
		turn();
	}
	assert((lines[0] + lines[1]) * 16 < 512 * 1024);
	assert(fcntl(STDOUT_FILENO, F_GETFL) == flags); /* it is not ours alone */

	close(fd[0]);
	close(fd[1]);
	int64_t end = loop_time() + PATIENCE;
	while (!relay_drained(relay[0]) || !relay_drained(relay[1]) || read_some()) {
		assert(loop_time() < end);
		read_some();
		turn();
	}
	size_t seen[2] = { 0, 0 };
	for (char *p = got; p < got + got_length; p += 19) {
		assert(p[0] == 'a' || p[0] == 'b');
		assert(memcmp(p + 1, ": 0123456789abcde\n", 18) == 0);
		seen[p[0] - 'a']++;
	}
	assert(seen[0] == lines[0] && seen[1] == lines[1]);
}

/* A reader that has gone: the service goes on, as with /dev/null. */
static void no_reader(void)
{
	sigset_t pipe_only;
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe_only, NULL);
	close(reader);
	reader = -1;
	static char much[BIG];
	memset(much, '\n', sizeof(much));
	pass(much, sizeof(much));
	assert(got_length == 0);
}

/* Two streams of one service in one tail: each relay sees its own, from its start. */
static void tail(void)
{
	struct tail *tail = tail_new();
	struct tail_chunk chunk;
	int out[2], err[2];
	uint64_t position = 0;
	tail_append(tail, SPEAKER_STDERR, true, "before\n", 7);
	assert(pipe(out) == 0 && pipe(err) == 0);
	struct relay *relay = relay_new(out[0], "a", SPEAKER_STDOUT, tail);
	struct relay *other = relay_new(err[0], "a", SPEAKER_STDERR, tail);
	assert(write(out[1], "one\n", 4) == 4);
	turn();
	assert(write(err[1], "two", 3) == 3);
	turn();
	assert(relay_tail_next(other, &position, &chunk) && chunk.is_first);
	assert(chunk.sizes[0] == 3 && memcmp(chunk.parts[0], "two", 3) == 0);
	assert(!relay_tail_next(other, &position, &chunk) && position == tail_end(tail));
	close(out[1]);
	close(err[1]);
	turn();
	turn();
	relay_release(relay);
	relay_release(other);
	tail_unref(tail);
}

static char heard[64];

static void hear(unsigned id, const char *text, size_t length)
{
	size_t used = strlen(heard);

	snprintf(heard + used, sizeof(heard) - used, "%u:%.*s;", id, (int)length, text);
}

/* Whole lines only, and only while somebody listens. */
static void watch(void)
{
	struct relay *relay;
	int fd = service("a", &relay);
	int64_t end = loop_time() + PATIENCE;
	relay_watch(relay, hear, 7);
	assert(write(fd, "one\n\ntw", 7) == 7);
	while (!strchr(heard, ';') && loop_time() < end)
		turn();
	assert(write(fd, "o\n", 2) == 2);
	while (!strstr(heard, "two") && loop_time() < end)
		turn();
	assert(strcmp(heard, "7:one;7:;7:two;") == 0);
	relay_watch(relay, NULL, 0);
	assert(write(fd, "three\n", 6) == 6);
	close(fd);
	while (!relay_drained(relay) && loop_time() < end)
		turn();
	assert(strcmp(heard, "7:one;7:;7:two;") == 0);
	relay_release(relay);
}

/* What is in the pipes at the end comes out, although their ends never come. */
static void flush(void)
{
	struct relay *relay[2];
	int fd[2] = { service("a", &relay[0]), service("b", &relay[1]) };
	assert(write(fd[0], "one\ntw", 6) == 6 && write(fd[1], "three\n", 6) == 6);
	relay_release(relay[1]);
	relay_flush(&(struct output_end){ PATIENCE, loop_time() + PATIENCE });
	read_some();
	EXPECT("b: three\na: one\na: tw\n");
}

/* Fills all that is on the way: how much that was. */
static size_t fill(int fd)
{
	size_t length = 0;
	for (ssize_t n = 16; n == 16 || loop_turn(LOOP_NOW) > 0; length += n == 16 ? 16 : 0)
		n = write(fd, "0123456789abcde\n", 16);
	return length;
}

/* ... but not for ever. */
static void flush_deadline(void)
{
	struct relay *relay;
	fill(service("a", &relay));
	relay_flush(&(struct output_end){ 50 * NSEC_PER_MSEC, LOOP_FOREVER });
	relay_flush(&(struct output_end){ PATIENCE, loop_time() + 50 * NSEC_PER_MSEC });
	assert(!relay_drained(relay));
}

static void expect_all(size_t length)
{
	while (read_some())
		;
	assert(got_length == length / 16 * strlen("a: 0123456789abcde\n"));
}

static void read_page(struct loop_source *source, uint32_t events)
{
	uint64_t times;
	(void)events;
	assert(read(source->fd, &times, sizeof(times)) == sizeof(times));
	ssize_t n = read(reader, got + got_length, 4096);
	got_length += n > 0 ? (size_t)n : 0;
}

/* A slow reader gets all of it, however long that takes. */
static void flush_slowly(void)
{
	const struct itimerspec often = { { 0, 10 * NSEC_PER_MSEC }, { 0, 10 * NSEC_PER_MSEC } };
	struct relay *relay;
	size_t length = fill(service("a", &relay));
	struct loop_source timer = { timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), read_page };
	assert(timerfd_settime(timer.fd, 0, &often, NULL) == 0);
	assert(loop_add(&timer, EPOLLIN) == 0);
	relay_flush(&(struct output_end){ 100 * NSEC_PER_MSEC, LOOP_FOREVER });
	expect_all(length);
}

/* One who takes all at once does so, too: also what is behind that which was held. */
static void flush_late(void)
{
	struct relay *relay;
	size_t length = fill(service("a", &relay));
	assert(fcntl(reader, F_SETPIPE_SZ, BIG) >= BIG);
	relay_flush(&(struct output_end){ PATIENCE, LOOP_FOREVER });
	expect_all(length);
}

/* ---- the same in cmocka's words */

#define CASE(name, format)                    \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		in_child(format, name);       \
	}

CASE(prefix, "prefix")
CASE(plain_bytes, "plain")
CASE(all_lengths, "plain")
CASE(long_lines, "plain")
CASE(long_utf8, "plain")
CASE(json, "json")
CASE(json_long, "json")
CASE(levels, "plain")
CASE(levels_json, "json")
CASE(levels_long, "json")
CASE(levels_hidden, "prefix")
CASE(back_pressure, "prefix")
CASE(no_reader, "prefix")
CASE(tail, "prefix")
CASE(watch, "prefix")
CASE(flush, "prefix")
CASE(flush_deadline, "prefix")
CASE(flush_slowly, "prefix")
CASE(flush_late, "prefix")

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix),        cmocka_unit_test(test_plain_bytes),
		cmocka_unit_test(test_long_lines),    cmocka_unit_test(test_long_utf8),
		cmocka_unit_test(test_json),          cmocka_unit_test(test_json_long),
		cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_no_reader),
		cmocka_unit_test(test_tail),          cmocka_unit_test(test_watch),
		cmocka_unit_test(test_flush),         cmocka_unit_test(test_flush_deadline),
		cmocka_unit_test(test_levels),        cmocka_unit_test(test_levels_json),
		cmocka_unit_test(test_all_lengths),   cmocka_unit_test(test_levels_long),
		cmocka_unit_test(test_levels_hidden), cmocka_unit_test(test_flush_slowly),
		cmocka_unit_test(test_flush_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
