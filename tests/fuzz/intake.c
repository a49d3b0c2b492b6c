/* SPDX-License-Identifier: MIT */
/* libFuzzer: the sockets of syslog and the journal, with clients that send anything in
 * any order, come and go, and belong to services that come and go; and with a reader of
 * the output that reads now and then. The input is a program for them. Whatever is
 * sent, each line of the output has a name in front, and in the end all is out. */
#include "intake.h"
#include "child.h"
#include "descend.h"
#include "log.h"
#include "loop.h"
#include "origin.h"
#include "output.h"
#include "util.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STREAMS 3

static struct origin *services[3]; /* 1 and 2 */
static struct tail *tails[3];
static unsigned speaking; /* 0: a stranger */
static int streams[STREAMS] = { -1, -1, -1 };
static int datagrams[2]; /* to syslog, to the journal */
static int reader;

/* In the place of descend.c: the clients are all ourselves. */
unsigned descend_owner(pid_t pid)
{
	(void)pid;
	return speaking;
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* ---- clients */

static int dial(const char *name, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", getenv("MOONRISE_FUZZ"),
		       name);
	(void)!connect(fd, (struct sockaddr *)&address, sizeof(address));
	return fd;
}

static void say(int fd, const uint8_t *data, size_t size)
{
	if (fd >= 0)
		(void)!send(fd, data, size, MSG_NOSIGNAL);
}

static void send_file(const uint8_t *data, size_t size, bool sealed)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr header = { .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	auto_close int fd = memfd_create("entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	require(write(fd, data, size) == (ssize_t)size);
	if (sealed)
		require(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS,
			       .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	(void)!sendmsg(datagrams[1], &header, MSG_NOSIGNAL);
}

static void flood(void)
{
	static char text[20000];

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 8; i++)
		(void)!send(datagrams[0], text, sizeof(text), MSG_NOSIGNAL);
}

static void hang_up(int *fd)
{
	if (*fd >= 0)
		(void)close(keep_fd(fd));
}

static void start_stream(int *fd)
{
	static const uint8_t header[] = "app\n\n4\n1\n0\n0\n0\n";

	hang_up(fd);
	*fd = dial("/run/systemd/journal/stdout", SOCK_STREAM);
	say(*fd, header, sizeof(header) - 1);
}

/* ---- services */

static void come_or_go(unsigned id)
{
	static const char *const names[] = { NULL, "one", "two" };

	if (services[id]) {
		origin_end(services[id]);
		services[id] = NULL;
	} else {
		services[id] = origin_new(id, names[id], "/bin/app", tails[id], NULL);
	}
}

/* ---- the output */

/* "one: ", "two: app[1]: ", "app[77]: ": a word, and a colon behind it. */
static void check_line(const char *line, size_t length)
{
	const char *space = memchr(line, ' ', length);

	require(space && space > line && space[-1] == ':');
}

static void read_output(void)
{
	static char text[1 << 20];
	static size_t used;
	ssize_t n;

	while ((n = read(reader, text + used, sizeof(text) - used)) > 0) {
		char *line = text, *end = text + used + n, *newline;

		while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
			check_line(line, (size_t)(newline - line));
			line = newline + 1;
		}
		used = (size_t)(end - line);
		memmove(text, line, used);
	}
}

static void turns(void)
{
	for (int i = 0; i < 1000 && loop_turn(LOOP_NOW) > 0; i++)
		continue;
}

/* ---- the program */

static void start(void)
{
	int out[2];

	require(loop_init() == 0);
	require(pipe2(out, O_CLOEXEC | O_NONBLOCK) == 0 && dup2(out[1], STDOUT_FILENO) >= 0);
	reader = out[0];
	log_set_level(LEVEL_ERROR);
	intake_open(getenv("MOONRISE_FUZZ"));
	datagrams[0] = dial("/dev/log", SOCK_DGRAM);
	datagrams[1] = dial("/run/systemd/journal/socket", SOCK_DGRAM);
	tails[1] = tail_new();
	tails[2] = tail_new();
}

/* One step: what to do, for whom, with how much of the input. */
static size_t step(const uint8_t *data, size_t size)
{
	int *stream = &streams[data[0] / 16 % STREAMS];
	size_t length = size > 2 ? (size_t)(data[1] | data[2] << 8) % 1024 : 0;
	const uint8_t *text = data + 3;

	if (size > 2 && length > size - 3)
		length = size - 3;
	switch (data[0] % 16) {
	case 0:
		say(datagrams[0], text, length);
		return 3 + length;
	case 1:
		say(datagrams[1], text, length);
		return 3 + length;
	case 2:
	case 3:
		send_file(text, length, data[0] % 16 == 2);
		return 3 + length;
	case 4:
		say(*stream, text, length);
		return 3 + length;
	case 5:
		hang_up(stream);
		*stream = dial("/run/systemd/journal/stdout", SOCK_STREAM);
		break;
	case 6:
		start_stream(stream);
		break;
	case 7:
		hang_up(stream);
		break;
	case 8:
		speaking = data[0] / 16 % 3;
		break;
	case 9:
		come_or_go(1 + data[0] / 16 % 2);
		break;
	case 10:
		flood();
		break;
	case 11:
		(void)child_reap();
		break;
	case 12:
		read_output();
		break;
	default:
		(void)loop_turn(LOOP_NOW);
	}
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool has_started;

	if (!has_started)
		start();
	has_started = true;
	for (size_t at = 0; at < size;)
		at += step(data + at, size - at);
	for (int i = 0; i < STREAMS; i++)
		hang_up(&streams[i]);
	for (int i = 0; i < 100 && !output_flush(output_stdout()); i++) {
		read_output();
		turns();
	}
	turns();
	read_output();
	require(output_flush(output_stdout()));
	return 0;
}
