/* SPDX-License-Identifier: MIT */
/* A command that is ready at once and says so in one way:
 *
 *     tell file PATH      a file is made
 *     tell unix PATH      a socket listens
 *     tell notify         READY=1 to $NOTIFY_SOCKET
 *     tell fd NUMBER      a newline to a descriptor
 *
 * It prints the time at which it did, as nanoseconds of CLOCK_MONOTONIC. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int make_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0;
}

static socklen_t address_of(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
	if (*path == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
}

static int listen_at(const char *path)
{
	struct sockaddr_un address;
	socklen_t length = address_of(path, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return bind(fd, (struct sockaddr *)&address, length) || listen(fd, 8);
}

static int notify(const char *unused)
{
	static const char ready[] = "READY=1";
	struct sockaddr_un address;
	socklen_t length = address_of(getenv("NOTIFY_SOCKET"), &address);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)unused;
	return sendto(fd, ready, strlen(ready), 0, (struct sockaddr *)&address, length) < 0;
}

static int write_newline(const char *number)
{
	return write(atoi(number), "\n", 1) != 1;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*say)(const char *argument);
	} ways[] = { { "file", make_file },
		     { "unix", listen_at },
		     { "notify", notify },
		     { "fd", write_newline } };

	for (size_t i = 0; argc > 1 && i < sizeof ways / sizeof *ways; i++) {
		struct timespec t;

		if (strcmp(argv[1], ways[i].word))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &t);
		if (ways[i].say(argv[2]))
			return 1;
		dprintf(1, "%lld\n", t.tv_sec * 1000000000LL + t.tv_nsec);
		pause();
	}
	return 64;
}
